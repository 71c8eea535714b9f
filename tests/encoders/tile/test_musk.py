from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import InterpolationMode, resize

from cryostat.core.errors import CryostatError, EncoderError
from cryostat.encoders.catalogue import read_recipe, shipped
from cryostat.encoders.registry import card, load_encoder
from cryostat.encoders.tile import selftest
from cryostat.encoders.tile.musk import MuskEncoder, build, enlarged, published, quarters, rejoined
from cryostat.encoders.tile.tuning import ATTENTION
from cryostat.encoders.weights import weights_sha256

WIDTH, DEPTH, GRID = 32, 2, 4

TINY = """
[card]
name = "tiny-musk"
title = "MUSK in small"
architecture = "ViT"
input_size = 32
enlarged_to = 64
patch_size = 16
width = 32
depth = 2
prefix_tokens = 1
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
[musk]
scales = "1"
"""


def checkpoint(
    width: int, depth: int, grid: int, patch: int, words: int, texts: int, make: Callable[..., Tensor]
) -> dict[str, Tensor]:
    """Tensors under the names of the published model: torchscale's BEiT-3 with two experts, and MUSK's heads."""
    layer = {
        **{f"self_attn.{p}.{e}.weight": (width, width) for p in PROJECTIONS for e in "AB"},
        **{f"self_attn.{p}.{e}.bias": (width,) for p in PROJECTIONS for e in "AB"},
        **{f"ffn.{e}.fc1.weight": (4 * width, width) for e in "AB"},
        **{f"ffn.{e}.fc1.bias": (4 * width,) for e in "AB"},
        **{f"ffn.{e}.fc2.weight": (width, 4 * width) for e in "AB"},
        **{f"ffn.{e}.fc2.bias": (width,) for e in "AB"},
        **{f"ffn.{e}.ffn_layernorm.{w}": (4 * width,) for e in "AB" for w in ("weight", "bias")},
        **{f"{n}.{e}.{w}": (width,) for n in NORMS for e in "AB" for w in ("weight", "bias")},
    }
    shapes: dict[str, tuple[int, ...]] = {
        "beit3.text_embed.weight": (words, width),
        "beit3.vision_embed.mask_token": (1, 1, width),
        "beit3.vision_embed.cls_token": (1, 1, width),
        "beit3.vision_embed.proj.weight": (width, 3, patch, patch),
        "beit3.vision_embed.proj.bias": (width,),
        "beit3.encoder.embed_positions.A.weight": (grid**2 + 1 + 2, width),
        "beit3.encoder.embed_positions.B.weight": (texts, width),
        **{f"beit3.encoder.layers.{i}.{name}": shape for i in range(depth) for name, shape in layer.items()},
        **{f"beit3.encoder.layer_norm.{e}.{w}": (width,) for e in "AB" for w in ("weight", "bias")},
        "language_head.weight": (width, width),
        "vision_head.weight": (width, width),
        "logit_scale": (),
    }
    return {name: make(*shape) for name, shape in shapes.items()}


PROJECTIONS = ("q_proj", "k_proj", "v_proj", "out_proj")
NORMS = ("self_attn.inner_attn_ln", "self_attn_layer_norm", "final_layer_norm")


def tiny(grid: int = GRID) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(4)
    return checkpoint(WIDTH, DEPTH, grid, 16, 50, 20, lambda *s: 0.3 * torch.randn(s, generator=generator))


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "tiny-musk.toml").write_text(TINY)
    return tmp_path / "tiny-musk.toml"


def loaded(recipe: Path, tensors: Mapping[str, Tensor]) -> MuskEncoder:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, recipe.with_name("model.safetensors"))
    encoder = load_encoder(str(recipe), weights=recipe.with_name("model.safetensors"), device="cpu")
    assert isinstance(encoder, MuskEncoder)
    return encoder


# At full size, on the meta device.


def test_parameters_are_those_of_the_architecture() -> None:
    d, mlp = 1024, 4096
    attention, norms = 4 * (d * d + d), 3 * 2 * d
    feed_forward = (d * mlp + mlp) + (mlp * d + d) + 2 * mlp
    embedding = (3 * 16 * 16 * d + d) + d + (24 * 24 + 1) * d
    expected = 24 * (attention + norms + feed_forward) + embedding + 2 * d
    assert expected == 303_936_512
    for name in ("musk", "musk-384"):
        with torch.device("meta"):
            module = build(card(name))
        assert sum(p.numel() for p in module.parameters()) == expected == card(name).parameters


def test_the_published_names_fill_the_branch_and_sum_to_the_published_size() -> None:
    meta = checkpoint(1024, 24, 24, 16, 64_010, 1024, lambda *shape: torch.empty(shape, device="meta"))
    # 675.2 million are published.
    assert sum(tensor.numel() for tensor in meta.values()) == 675_188_737
    with torch.device("meta"):
        module = build(card("musk"))
    branch = published(card("musk"))
    found = {name: tuple(tensor.shape) for name, tensor in branch(meta).items()}
    assert found == {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    # Of each layer 10 modules of expert B with weight and bias; besides B: positions, last norm (2), five others.
    assert f"{24 * 20 + 3 + 5} tensors of other branches were passed over" in branch.told[0]


def test_cards() -> None:
    ours = card("musk")
    assert (ours.grid, ours.token_px, ours.tokens_across(224)) == (24, pytest.approx(28 / 3), 24)
    assert (card("musk-384").grid, card("musk-384").token_px) == (24, 16)
    assert read_recipe(shipped()["musk"]).settings == {"scales": "1"}
    assert ours.mean == ours.std == (0.5, 0.5, 0.5)
    with pytest.raises(EncoderError, match=r"musk needs its weights.*xiangjx/musk.*gated"):
        load_encoder("musk")


# Small.


def reference(tensors: Mapping[str, Tensor], images: Tensor) -> dict[str, Tensor]:
    """The image branch from the published tensors, head by head and in double precision."""
    t = {name: tensor.double() for name, tensor in tensors.items()}

    def norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()
        return scaled * t[f"{name}.weight"] + t[f"{name}.bias"]

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ t[f"{name}.weight"].T + t[f"{name}.bias"]

    patches = F.conv2d(
        images.double(), t["beit3.vision_embed.proj.weight"], t["beit3.vision_embed.proj.bias"], stride=16
    )
    x = torch.cat([t["beit3.vision_embed.cls_token"].repeat(len(images), 1, 1), patches.flatten(2).mT], 1)
    x = x + t["beit3.encoder.embed_positions.A.weight"][2:]
    maps = {}
    heads = max(1, x.shape[-1] // 64)
    for i in range(DEPTH):
        at = f"beit3.encoder.layers.{i}"
        normed = norm(x, f"{at}.self_attn_layer_norm.A")
        q, k, v = (linear(normed, f"{at}.self_attn.{p}_proj.A").chunk(heads, -1) for p in "qkv")
        mixed = [torch.softmax(q[h] @ k[h].mT / q[h].shape[-1] ** 0.5, -1) @ v[h] for h in range(heads)]
        mixed_normed = norm(torch.cat(mixed, -1), f"{at}.self_attn.inner_attn_ln.A")
        x = x + linear(mixed_normed, f"{at}.self_attn.out_proj.A")
        hidden = linear(norm(x, f"{at}.final_layer_norm.A"), f"{at}.ffn.A.fc1")
        active = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
        x = x + linear(norm(active, f"{at}.ffn.A.ffn_layernorm"), f"{at}.ffn.A.fc2")
        maps[f"block-{i + 1}"] = x[:, 1:].reshape(len(images), GRID, GRID, -1)
    return maps | {"final": norm(x, "beit3.encoder.layer_norm.A")[:, 1:].reshape(len(images), GRID, GRID, -1)}


def test_every_layer_is_that_of_an_independent_formula(recipe: Path) -> None:
    encoder, images = loaded(recipe, tiny()), torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    layers = ("block-1", "block-2", "final")
    expected = reference(tiny(), resize((images - 0.5) / 0.5, [64, 64], InterpolationMode.BICUBIC, antialias=True))
    found = encoder.encode(images, layers)
    for layer in layers:
        assert found[layer].shape == (2, GRID, GRID, WIDTH)
        torch.testing.assert_close(found[layer], expected[layer].float(), rtol=1e-4, atol=1e-4)


def test_several_heads_too() -> None:
    tensors = checkpoint(
        128, DEPTH, GRID, 16, 5, 5, lambda *s: 0.1 * torch.randn(s, generator=torch.Generator().manual_seed(sum(s)))
    )
    facts = read_recipe(shipped()["musk-384"]).card
    small = facts.__class__(**{**vars(facts), "input_size": 64, "width": 128, "depth": DEPTH})
    module = build(small)
    module.load_state_dict(published(small)(tensors))
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    assert module.layers[0].attn.heads == 2
    found = module(image, ("final",))["final"]
    torch.testing.assert_close(found, reference(tensors, image)["final"].float(), rtol=1e-4, atol=1e-4)


def test_text_experts_change_nothing_and_are_told(recipe: Path) -> None:
    tensors = tiny()
    encoder = loaded(recipe, tensors)
    other = loaded(recipe, {n: t + 1 if ".B." in n or "head" in n else t for n, t in tensors.items()})
    vision_only = loaded(recipe, {n: t for n, t in tensors.items() if ".B." not in n and n.startswith("beit3.")})
    assert encoder.identity() == other.identity() == vision_only.identity()
    assert "48 tensors of other branches were passed over: *.B.*" in encoder.card.notes[-1]
    assert "2 tensors" in vision_only.card.notes[-1]
    assert not any(p.requires_grad for p in encoder.module.parameters())


def test_weights_of_distributed_training(recipe: Path) -> None:
    plain = loaded(recipe, tiny()).identity()
    assert loaded(recipe, {f"module.{name}": tensor for name, tensor in tiny().items()}).identity() == plain
    torch.save({"module": tiny()}, recipe.with_name("musk.pth"))
    nested = load_encoder(str(recipe), weights=recipe.with_name("musk.pth"), device="cpu")
    assert nested.identity() == plain


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda t: t.pop("beit3.encoder.layers.1.ffn.A.fc2.weight"), r"1 missing \(layers.1.ffn.fc2.weight\)"),
        (lambda t: t.pop("beit3.encoder.embed_positions.A.weight"), r"1 missing \(pos_embed\)"),
        (
            lambda t: t.update({"beit3.encoder.layers.0.self_attn.q_proj.A.weight": torch.zeros(8, 32)}),
            r"1 of another shape \(layers.0.attn.q_proj.weight is \(8, 32\) not \(32, 32\)\)",
        ),
        (
            lambda t: t.update({"beit3.encoder.embed_positions.A.weight": torch.zeros(11, 32)}),
            r"pos_embed is \(11, 32\) not \(1, 17, 32\)",
        ),
        (
            lambda t: t.update({"beit3.encoder.relative_position.weight": torch.zeros(3)}),
            r"1 unexpected \(beit3.encoder.relative_position.weight\)",
        ),
        (lambda t: t.update({"beit3.encoder.layers.2.final_layer_norm.A.bias": torch.zeros(32)}), "1 unexpected"),
    ],
)
def test_misfits_are_named(recipe: Path, change: Callable[[dict[str, Tensor]], object], problem: str) -> None:
    tensors = tiny()
    change(tensors)
    with pytest.raises(EncoderError, match=problem):
        loaded(recipe, tensors)


def test_positions_of_another_grid_are_resampled_as_published(recipe: Path) -> None:
    tensors = tiny(grid=2)
    encoder = loaded(recipe, tensors)
    table = tensors["beit3.encoder.embed_positions.A.weight"][2:].unsqueeze(0)
    expected = resample_abs_pos_embed(table, [4, 4], [2, 2], antialias=False)
    assert torch.equal(encoder.module.pos_embed, expected)
    assert encoder.card.notes[-1] == "Its positions were resampled from 2×2 to 4×4 (bicubic)."


def test_the_first_two_rows_of_positions_are_never_read(recipe: Path) -> None:
    tensors = tiny()
    assert torch.equal(
        loaded(recipe, tensors).module.pos_embed[0], tensors["beit3.encoder.embed_positions.A.weight"][2:]
    )


@pytest.mark.parametrize("scales", ["1", "1+2"])
def test_every_token_sees_its_own_piece(recipe: Path, scales: str) -> None:
    text = TINY.replace('scales = "1"', f'scales = "{scales}"').replace("input_size = 32", "input_size = 56")
    recipe.write_text(text.replace("enlarged_to = 64", "enlarged_to = 96"))
    encoder = load_encoder(str(recipe), weights="random", device="cpu")
    report = selftest.check(encoder, seconds=0.01)
    assert encoder.card.grid == 6
    assert report.passed, [finding for finding in report.findings if finding.passed is False]


def test_two_scales_are_the_mean_of_both_maps(recipe: Path) -> None:
    one = loaded(recipe, tiny())
    recipe.write_text(TINY.replace('scales = "1"', 'scales = "1+2"'))
    both, images = loaded(recipe, tiny()), torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    seen = enlarged((images - 0.5) / 0.5, 64)
    twice = F.interpolate(seen, size=128, mode="bicubic")
    coarse = one.module(seen, ("final",))["final"]
    fine = torch.zeros(2, 8, 8, WIDTH)
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        quarter = twice[:, :, 64 * row : 64 * row + 64, 64 * column : 64 * column + 64]
        fine[:, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = one.module(quarter, ("final",))["final"]
    pooled = fine.reshape(2, 4, 2, 4, 2, WIDTH).mean((2, 4))
    torch.testing.assert_close(both.encode(images)["final"], (coarse + pooled) / 2, rtol=1e-4, atol=1e-4)
    assert both.identity()["scales"] == "1+2"


def test_quarters_rejoin_in_their_places() -> None:
    image = torch.arange(36.0).view(1, 1, 6, 6).repeat(2, 1, 1, 1) + torch.tensor([0, 100]).view(2, 1, 1, 1)
    maps = quarters(image).permute(0, 2, 3, 1)
    assert torch.equal(maps[:, 0, 0, 0], torch.tensor([0.0, 100, 3, 103, 18, 118, 21, 121]))
    assert torch.equal(rejoined(maps), F.avg_pool2d(image, 2).permute(0, 2, 3, 1))


def test_adapters_find_the_attention(recipe: Path) -> None:
    names = [name for name, _ in loaded(recipe, tiny()).module.named_modules() if ATTENTION.search(name)]
    assert len(names) == 4 * DEPTH


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('scales = "1"', 'scales = "3"', "cannot see the scales '3'"),
        ("enlarged_to = 64", "enlarged_to = 65", "not a positive multiple of patch_size"),
        ("enlarged_to = 64", "enlarged_to = 64\nflexible_size = true", "only images of one size are enlarged"),
        ('scales = "1"', "", "does not name its scales"),
    ],
)
def test_cards_that_are_wrong(recipe: Path, old: str, new: str, problem: str) -> None:
    recipe.write_text(TINY.replace(old, new))
    with pytest.raises(CryostatError, match=problem):
        load_encoder(str(recipe), weights="random")


def test_images_of_another_size_are_refused(recipe: Path) -> None:
    encoder = load_encoder(str(recipe), weights="random", device="cpu")
    assert encoder.card.name == "tiny-musk@random0"
    assert weights_sha256(encoder.module) == encoder.identity()["weights"]
    with pytest.raises(EncoderError, match=r"Supply \(N, 3, S, S\), S 32"):
        encoder.encode(torch.zeros(1, 3, 64, 64))
