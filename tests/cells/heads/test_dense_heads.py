"""What every dense head does, whatever it is: shapes, gradients, the maps it asked for, repeatability."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cryostat.cells.heads import HEADS, head_settings
from cryostat.cells.heads.build import build_head
from cryostat.cells.training.common import Standardiser, seeded
from cryostat.cells.training.tiles.models import DenseModel, tokens_gathered
from cryostat.encoders.card import EncoderCard

CARD = EncoderCard("some", "Some", "ViT", input_size=64, patch_size=16, width=6, depth=12)
FLAT = replace(CARD, depth=0, name="flat")
LOGITS = 4
SMALL: dict[str, dict[str, Any]] = {
    "dpt-lean": {"features": 8},
    "hovernext": {"backbone": "convnextv2_atto", "instances": False},
}
UNFED = {"dpt": "fuse.0.skip", "dpt-lean": "fuse.0.skip"}
"""Published parameters that nothing feeds."""

NAMES = [name for name, card in HEADS.items() if card.kind == "dense"]


def built(name: str, card: EncoderCard = CARD, seed: int = 0) -> DenseModel:
    if name == "hovernext" and importlib.util.find_spec("segmentation_models_pytorch") is None:
        pytest.skip("hovernext needs segmentation-models-pytorch")
    layers = HEADS[name].layers(card)
    with seeded(seed):
        head = build_head(name, card.width, LOGITS, head_settings(name, SMALL.get(name), on_tiles=True))
    return DenseModel(head, layers, card, {layer: Standardiser.none(card.width) for layer in layers})


def inputs(card: EncoderCard = CARD, size: int = 64, count: int = 2) -> tuple[dict[str, Tensor], Tensor]:
    """All maps of an encoder for a batch, and its pixels."""
    chance = torch.Generator().manual_seed(1)
    side = size // card.patch_size
    maps = {layer: torch.randn(count, side, side, card.width, generator=chance) for layer in card.layers()}
    return maps, torch.rand(count, 3, size, size, generator=chance)


@pytest.mark.parametrize("card", [CARD, FLAT], ids=["blocks", "final map only"])
@pytest.mark.parametrize("name", NAMES)
def test_a_logit_of_each_output_in_each_pixel(name: str, card: EncoderCard) -> None:
    model = built(name, card).eval()
    for size in (64, 96):
        maps, images = inputs(card, size)
        wanted = {layer: maps[layer] for layer in HEADS[name].layers(card)}
        with torch.no_grad():
            logits = model(wanted, images)
        assert logits.shape == (2, LOGITS, size, size)
        assert torch.isfinite(logits).all()
        assert logits.dtype == torch.float32


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter_and_every_map_it_asked_for(name: str) -> None:
    model = built(name).train()
    maps, images = inputs()
    asked = {layer: maps[layer].requires_grad_() for layer in HEADS[name].layers(CARD)}
    model(asked, images).square().mean().backward()
    without = [n for n, p in model.head.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    # ReLUs may leave a bias or two without gradient at the beginning, never a matrix.
    matrices = [n for n in without if dict(model.head.named_parameters())[n].ndim > 1]
    assert all(n.startswith(UNFED.get(name, "\0")) for n in matrices)
    assert all(float(z.grad.abs().sum()) > 0 for z in asked.values() if z.grad is not None)
    assert all(z.grad is not None for z in asked.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_makes_a_head(name: str) -> None:
    one, again, other = (built(name, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[key], again[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", NAMES)
def test_eval_mode_says_the_same_of_a_tile_in_any_batch(name: str) -> None:
    model = built(name).eval()
    maps, images = inputs(count=3)
    wanted = {layer: maps[layer] for layer in HEADS[name].layers(CARD)}
    with torch.no_grad():
        together, again = model(wanted, images), model(wanted, images)
        alone = model({layer: z[1:2] for layer, z in wanted.items()}, images[1:2])
    assert torch.equal(together, again)
    torch.testing.assert_close(together[1:2], alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_few_steps_learn_a_single_tile(name: str) -> None:
    with seeded(0):
        model = built(name).train()
        maps, images = inputs()
        wanted = {layer: maps[layer] for layer in HEADS[name].layers(CARD)}
        targets = torch.full((2, 64, 64), 2)
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2 if name != "hovernext" else 1e-3)
        losses = []
        for _ in range(6):
            loss = nn.functional.cross_entropy(model(wanted, images), targets)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


def test_features_reach_the_head_centred_and_scaled() -> None:
    class Sees(nn.Module):
        def forward(self, maps: list[Tensor], image: Tensor) -> Tensor:
            return maps[0]

    centred = Standardiser.fit([torch.tensor([[1.0, 10.0], [3.0, 10.0]]).numpy()])
    card = replace(CARD, width=2)
    model = DenseModel(Sees(), ("final",), card, {"final": centred})
    seen = model({"final": torch.tensor([5.0, 12.0]).view(1, 1, 1, 2)}, torch.zeros(1, 3, 16, 16))
    assert seen.flatten().tolist() == [3.0, 0.0]  # (5 − 2) / 1, and a constant feature is 0


@pytest.mark.parametrize(
    ("patch", "tile", "gathered"),
    [(16, 224, 1), (14, 224, 1), (8, 224, 2), (4, 224, 4), (4, 28, 1), (8, 24, 1), (32, 224, 1)],
)
def test_fine_tokens_are_gathered_to_about_sixteen_pixels(patch: int, tile: int, gathered: int) -> None:
    assert tokens_gathered(patch, tile) == gathered


def test_gathering_loses_nothing() -> None:
    class Sees(nn.Module):
        def forward(self, maps: list[Tensor], image: Tensor) -> Tensor:
            return maps[0]

    card = replace(CARD, width=3, patch_size=8)
    model = DenseModel(Sees(), ("final",), card, {"final": Standardiser.none(3)}, gathered=2)
    tokens = torch.arange(48.0).view(1, 4, 4, 3)
    seen = model({"final": tokens}, torch.zeros(1, 3, 32, 32))
    assert seen.shape == (1, 12, 2, 2)
    assert set(seen[0, :, 0, 0].tolist()) == set(tokens[0, :2, :2].flatten().tolist())
