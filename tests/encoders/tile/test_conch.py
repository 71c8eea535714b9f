from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from cryostat.core.errors import CryostatError, EncoderError
from cryostat.encoders.catalogue import read_recipe, shipped
from cryostat.encoders.registry import card, load_encoder
from cryostat.encoders.tile import selftest
from cryostat.encoders.tile.conch import ConchEncoder, build, dino_positions, published
from cryostat.encoders.tile.tuning import tuned

CARD = """
[card]
name = "tiny-conch"
title = "CONCH in small"
architecture = "ViT"
input_size = 64
patch_size = 16
width = 32
depth = 2
prefix_tokens = 1
flexible_size = true
"""

ARGS = "args = { img_size = 64, patch_size = 16, embed_dim = 32, depth = 2, num_heads = 2 }"
V1 = read_recipe(shipped()["conch"]).settings
V15 = read_recipe(shipped()["conch-v1-5"]).settings
SETTINGS = {
    "conch": f'[conch]\ntrunk = "{V1["trunk"]}"\nignored = {V1["ignored"]}\npositions = "timm"\n{ARGS}',
    "conch-v1-5": f'[conch]\ntrunk = "{V15["trunk"]}"\nignored = {V15["ignored"]}\npositions = "dino"\n'
    + ARGS.replace("}", ", init_values = 1e-6 }"),
}


def trunk(width: int, depth: int, grid: int, *, scaled: bool) -> dict[str, tuple[int, ...]]:
    """Names and shapes of timm's vision transformer with patches of 16 px."""
    block = {
        **{f"norm{i}.{w}": (width,) for i in (1, 2) for w in ("weight", "bias")},
        "attn.qkv.weight": (3 * width, width),
        "attn.qkv.bias": (3 * width,),
        "attn.proj.weight": (width, width),
        "attn.proj.bias": (width,),
        "mlp.fc1.weight": (4 * width, width),
        "mlp.fc1.bias": (4 * width,),
        "mlp.fc2.weight": (width, 4 * width),
        "mlp.fc2.bias": (width,),
        **({"ls1.gamma": (width,), "ls2.gamma": (width,)} if scaled else {}),
    }
    return {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 1 + grid**2, width),
        "patch_embed.proj.weight": (width, 3, 16, 16),
        "patch_embed.proj.bias": (width,),
        **{f"blocks.{i}.{name}": shape for i in range(depth) for name, shape in block.items()},
        "norm.weight": (width,),
        "norm.bias": (width,),
    }


def rest(name: str, width: int) -> dict[str, tuple[int, ...]]:
    """Names, as published, of some tensors outside the trunk."""
    pool = {"query": (1, width), "ln_k.weight": (width,), "to_kv.weight": (2 * width, width)}
    if name == "conch-v1-5":
        return {
            **{f"attn_pool_contrast.{n}": shape for n, shape in pool.items()},
            "ln_contrast.weight": (width,),
            "ln_contrast.bias": (width,),
        }
    return {
        "text.token_embedding.weight": (7, width),
        "text.transformer.resblocks.0.ln_1.weight": (width,),
        "text_decoder.resblocks.0.ln_1.weight": (width,),
        "logit_scale": (),
        **{f"visual.attn_pool_contrast.{n}": shape for n, shape in pool.items()},
        **{f"visual.attn_pool_caption.{n}": shape for n, shape in pool.items()},
        "visual.ln_contrast.weight": (width,),
        "visual.ln_caption.weight": (width,),
        "visual.proj_contrast": (width, width),
    }


PREFIX = {"conch": "visual.trunk.", "conch-v1-5": "trunk."}


def checkpoint(
    name: str, width: int, depth: int, grid: int, make: Callable[[tuple[int, ...]], Tensor]
) -> dict[str, Tensor]:
    ours = trunk(width, depth, grid, scaled=name == "conch-v1-5")
    shapes = {**{PREFIX[name] + n: shape for n, shape in ours.items()}, **rest(name, width)}
    return {n: make(shape) for n, shape in shapes.items()}


def tiny(name: str, grid: int = 4) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(4)
    return checkpoint(name, 32, 2, grid, lambda shape: 0.3 * torch.randn(shape, generator=generator))


def loaded(folder: Path, name: str, tensors: Mapping[str, Tensor]) -> ConchEncoder:
    (folder / "tiny-conch.toml").write_text(CARD + SETTINGS[name])
    save_file({n: t.contiguous() for n, t in tensors.items()}, folder / "model.safetensors")
    encoder = load_encoder(str(folder / "tiny-conch.toml"), weights=folder / "model.safetensors", device="cpu")
    assert isinstance(encoder, ConchEncoder)
    return encoder


# At full size, on the meta device.


@pytest.mark.parametrize(
    ("name", "width", "depth", "grid", "expected"),
    [
        ("conch", 768, 12, 28, 86_250_240),
        ("conch-v1-5", 1024, 24, 14, 303_350_784),
        ("conch-v1-5-448", 1024, 24, 14, 303_350_784),
    ],
)
def test_parameters_are_those_of_the_architecture(name: str, width: int, depth: int, grid: int, expected: int) -> None:
    scale = 2 * width if width == 1024 else 0
    attention, mlp = 4 * (width**2 + width), 2 * 4 * width**2 + 5 * width
    embedding = (3 * 16 * 16 * width + width) + width + (grid**2 + 1) * width
    assert depth * (attention + mlp + 4 * width + scale) + embedding + 2 * width == expected
    settings = read_recipe(shipped()[name]).settings
    with torch.device("meta"):
        module = build(settings, where=name)
    assert sum(p.numel() for p in module.parameters()) == expected == card(name).parameters
    meta = checkpoint(
        "conch" if width == 768 else "conch-v1-5", width, depth, grid, lambda s: torch.empty(s, device="meta")
    )
    found = {n: tuple(t.shape) for n, t in published(settings)(meta).items()}
    assert found == {n: tuple(t.shape) for n, t in module.state_dict().items()}


def test_cards() -> None:
    assert [card(n).grid for n in ("conch", "conch-v1-5", "conch-v1-5-448")] == [28, 14, 28]
    assert card("conch").mean == (0.48145466, 0.4578275, 0.40821073)
    assert card("conch-v1-5").mean == (0.485, 0.456, 0.406)
    assert (card("conch-v1-5").hub_id, card("conch-v1-5").hub_file) == (
        "MahmoodLab/TITAN",
        "conch_v1_5_pytorch_model.bin",
    )
    with pytest.raises(EncoderError, match=r"conch-v1-5 needs its weights.*MahmoodLab/TITAN"):
        load_encoder("conch-v1-5")


# Small.


@pytest.mark.parametrize("name", ["conch", "conch-v1-5"])
def test_the_trunk_is_a_timm_transformer_of_the_same_weights(tmp_path: Path, name: str) -> None:
    tensors = tiny(name)
    encoder = loaded(tmp_path, name, tensors)
    scale = {"init_values": 1e-6} if name == "conch-v1-5" else {}
    plain = VisionTransformer(64, 16, num_classes=0, embed_dim=32, depth=2, num_heads=2, **scale).eval()
    plain.load_state_dict({n.removeprefix(PREFIX[name]): t for n, t in tensors.items() if n.startswith(PREFIX[name])})
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (encoder.card.mean, encoder.card.std))
    final, blocks = plain.forward_intermediates((images - mean) / std, norm=False, output_fmt="NLC")
    found = encoder.encode(images, ("block-1", "block-2", "final"))
    for layer, expected in {"block-1": blocks[0], "block-2": blocks[1], "final": final[:, 1:]}.items():
        torch.testing.assert_close(found[layer].flatten(1, 2), expected, rtol=1e-4, atol=1e-4)


def test_what_is_passed_over_is_told(tmp_path: Path) -> None:
    assert (
        "13 tensors of other branches were passed over: text.*"
        in loaded(tmp_path, "conch", tiny("conch")).card.notes[-1]
    )
    encoder = loaded(tmp_path, "conch-v1-5", tiny("conch-v1-5"))
    assert encoder.card.notes[-1] == (
        "5 tensors of other branches were passed over: attn_pool_contrast.*, ln_contrast.*."
    )
    assert not any(p.requires_grad for p in encoder.module.parameters())


def test_weights_of_distributed_training_and_a_bare_trunk_fit_too(tmp_path: Path) -> None:
    tensors = tiny("conch")
    plain = loaded(tmp_path, "conch", tensors).identity()
    assert loaded(tmp_path, "conch", {f"module.{n}": t for n, t in tensors.items()}).identity() == plain
    bare = {n.removeprefix(PREFIX["conch"]): t for n, t in tensors.items() if n.startswith(PREFIX["conch"])}
    assert loaded(tmp_path, "conch", bare).identity() == plain


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda t: t.pop("visual.trunk.blocks.1.attn.qkv.weight"), r"1 missing \(blocks.1.attn.qkv.weight\)"),
        (lambda t: t.pop("visual.trunk.pos_embed"), r"1 missing \(pos_embed\)"),
        (
            lambda t: t.update({"visual.trunk.norm.bias": torch.zeros(8)}),
            r"1 of another shape \(norm.bias is \(8,\) not \(32,\)\)",
        ),
        (lambda t: t.update({"visual.trunk.pos_embed": torch.zeros(1, 12, 32)}), r"pos_embed is \(1, 12, 32\)"),
        (lambda t: t.update({"visual.neck.weight": torch.zeros(3)}), r"1 unexpected \(visual.neck.weight\)"),
        (lambda t: t.update({"norm.bias": torch.zeros(32)}), "1 unexpected"),
    ],
)
def test_misfits_are_named(tmp_path: Path, change: Callable[[dict[str, Tensor]], object], problem: str) -> None:
    tensors = tiny("conch")
    change(tensors)
    with pytest.raises(EncoderError, match=problem):
        loaded(tmp_path, "conch", tensors)


# Positions.


@pytest.mark.parametrize("name", ["conch", "conch-v1-5"])
def test_a_table_of_another_grid_is_resampled_on_loading(tmp_path: Path, name: str) -> None:
    tensors = tiny(name, grid=2)
    encoder = loaded(tmp_path, name, tensors)
    table = tensors[f"{PREFIX[name]}pos_embed"]
    expected = resample_abs_pos_embed(table, [4, 4], [2, 2], interpolation="bilinear", antialias=False)
    assert torch.equal(encoder.module.pos_embed, expected)
    assert encoder.card.notes[-1] == "Its positions were resampled from 2×2 to 4×4 (bilinear)."


def cubic(source: int, target: int) -> Tensor:
    """(target, source) weights of bicubic interpolation with DINO's offset, by Keys' kernel (a = −0.75)."""
    weights = torch.zeros(target, source, dtype=torch.float64)
    for i in range(target):
        x = (i + 0.5) * source / (target + 0.1) - 0.5
        for j in range(int(x // 1) - 1, int(x // 1) + 3):
            d, a = abs(x - j), -0.75
            w = (a + 2) * d**3 - (a + 3) * d**2 + 1 if d <= 1 else a * (d**3 - 5 * d**2 + 8 * d - 4)
            weights[i, min(max(j, 0), source - 1)] += w
    return weights


@pytest.mark.parametrize(("side", "grid"), [(4, 8), (4, 6), (14, 28)])
def test_positions_are_fitted_as_dino_does(side: int, grid: int) -> None:
    table = torch.randn(1, 1 + side**2, 5, generator=torch.Generator().manual_seed(0))
    weights = cubic(side, grid)
    plane = table[0, 1:].double().reshape(side, side, 5)
    expected = torch.einsum("ai,bj,ijc->abc", weights, weights, plane).reshape(-1, 5).float()
    found = dino_positions(table, grid)
    torch.testing.assert_close(found[0, 1:], expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(found[:, :1], table[:, :1])
    # Near to what timm would do, and not the same.
    others = resample_abs_pos_embed(table, [grid, grid], [side, side])
    assert 1e-3 < float((found - others).norm() / others.norm()) < 0.3


def test_positions_of_the_same_grid_are_untouched() -> None:
    table = torch.randn(1, 197, 4)
    assert dino_positions(table, 14) is table


@pytest.mark.parametrize("name", ["conch", "conch-v1-5"])
def test_other_sizes_get_positions_of_their_own(tmp_path: Path, name: str) -> None:
    encoder = loaded(tmp_path, name, tiny(name))
    table = encoder.module.pos_embed
    resampled = resample_abs_pos_embed(table, [6, 6], [4, 4]) if name == "conch" else dino_positions(table, 6)
    scale = {"init_values": 1e-6} if name == "conch-v1-5" else {}
    larger = VisionTransformer(96, 16, num_classes=0, embed_dim=32, depth=2, num_heads=2, **scale).eval()
    larger.load_state_dict({**encoder.module.state_dict(), "pos_embed": resampled})
    images = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (encoder.card.mean, encoder.card.std))
    expected = larger.forward_features((images - mean) / std)[:, 1:]
    torch.testing.assert_close(encoder.encode(images)["final"].flatten(1, 2), expected, rtol=1e-4, atol=1e-4)


# As any encoder.


@pytest.mark.parametrize("name", ["conch", "conch-v1-5"])
def test_every_token_sees_its_own_piece(tmp_path: Path, name: str) -> None:
    (tmp_path / "tiny-conch.toml").write_text(CARD.replace("input_size = 64", "input_size = 96") + SETTINGS[name])
    encoder = load_encoder(str(tmp_path / "tiny-conch.toml"), weights="random", device="cpu")
    report = selftest.check(encoder, seconds=0.01)
    assert report.passed, [finding for finding in report.findings if finding.passed is False]
    assert encoder.card.name == "tiny-conch@random0"


def test_identity_tells_how_positions_are_fitted(tmp_path: Path) -> None:
    encoder = loaded(tmp_path, "conch-v1-5", tiny("conch-v1-5"))
    assert encoder.identity()["timm"]["args"]["positions"] == "dino"
    assert deepcopy(encoder).identity() == tuned(encoder)._base.identity() == encoder.identity()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('positions = "timm"', 'positions = "rope"', "there are no positions 'rope'"),
        ("num_heads = 2", "num_heads = 5", "cannot build the trunk"),
        ("num_heads = 2", "wings = 2", "cannot build the trunk"),
        ("embed_dim = 32", "embed_dim = 64", "says width = 32, the model has 64"),
        ("trunk =", "stem =", "does not name its trunk"),
    ],
)
def test_cards_that_are_wrong(tmp_path: Path, old: str, new: str, problem: str) -> None:
    (tmp_path / "tiny-conch.toml").write_text(CARD + SETTINGS["conch"].replace(old, new))
    with pytest.raises(CryostatError, match=problem):
        load_encoder(str(tmp_path / "tiny-conch.toml"), weights="random")


def test_timm_gives_a_large_transformer_of_the_same_size() -> None:
    with torch.device("meta"):
        large = timm.create_model("vit_large_patch16_224", num_classes=0, init_values=1e-6)
    assert sum(p.numel() for p in large.parameters()) == card("conch-v1-5").parameters
