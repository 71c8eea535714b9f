from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cryostat.core.errors import CryostatError, EncoderError, SettingError
from cryostat.core.identity import differences
from cryostat.encoders.catalogue import normalised
from cryostat.encoders.registry import card, load_encoder
from cryostat.encoders.tile.timm_models import build_random

TINY = "test_vit"


def test_cards_are_read_without_torch() -> None:
    code = (
        "import sys; from cryostat.encoders.registry import card, names\n"
        "print([card(n).name for n in names()] == names(), 'torch' in sys.modules, 'timm' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True", "False", "False"]


@pytest.mark.parametrize("name", ["Stain Filters", "stain_filters", "STAIN-filters", " stain--filters "])
def test_names_are_normalised(name: str) -> None:
    assert normalised(name) == "stain-filters"
    assert card(name).name == "stain-filters"


def test_unknown_names_are_told_with_the_nearest() -> None:
    with pytest.raises(SettingError, match="Did you mean stain-filters"):
        load_encoder("stain-filter")


def test_derived_card_of_a_timm_model() -> None:
    facts = card("timm:vit_small_patch14_reg4_dinov2")
    assert (facts.input_size, facts.patch_size, facts.width, facts.depth, facts.prefix_tokens) == (518, 14, 384, 12, 5)
    assert facts.layers()[-2:] == ("block-12", "final")
    assert facts.flexible_size


def test_no_weights_no_encoder() -> None:
    with pytest.raises(EncoderError, match=r"uni needs its weights.*--weights PATH"):
        load_encoder("uni")


def test_random_weights_show_in_the_name() -> None:
    assert load_encoder(f"timm:{TINY}", device="cpu").card.name == "test_vit@random0"
    assert load_encoder(TINY, weights="random", seed=3).card.name == "test_vit@random3"
    assert load_encoder("random-vit").card.name == "random-vit"
    assert load_encoder("rcf", seed=2).card.name == "rcf@seed2"


def test_seed_decides_the_bits_and_leaves_global_randomness_alone() -> None:
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    first, again, other = (load_encoder(TINY, seed=s) for s in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.identity() == again.identity()
    image = torch.rand(1, 3, 160, 160)
    assert torch.equal(first.encode(image)["final"], again.encode(image)["final"])
    assert [line.split(":")[0] for line in differences(first.identity(), other.identity())] == ["encoder", "weights"]


def test_weights_from_files_are_the_same_encoder(tmp_path: Path) -> None:
    state = build_random(TINY, {}, 5, where="test").state_dict()
    save_file(state, tmp_path / "vit.safetensors")
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "vit.pth")
    plain = load_encoder(TINY, weights=tmp_path / "vit.safetensors")
    wrapped = load_encoder(TINY, weights=str(tmp_path / "vit.pth"))
    assert plain.card.name == TINY
    assert plain.identity() == wrapped.identity()
    assert plain.identity()["weights"] == load_encoder(TINY, seed=5).identity()["weights"]
    assert "'module.' was taken off" in wrapped.card.notes[-1]
    assert not any(p.requires_grad for p in plain.module.parameters())


@pytest.mark.parametrize(
    ("name", "settings", "problem"),
    [
        ("stain-filters", {"weights": "some.bin"}, "no weights to load"),
        ("stain-filters", {"precision": "bf16"}, "fp32 only"),
        ("stain-filters", {"precision": "int4"}, "no precision"),
        ("stain-filters", {"device": "quantum"}, "no device"),
        (TINY, {"weights": "nowhere.bin"}, "does not exist"),
        ("test_vit+stage2", {}, "blocks, not stages"),
        ("resnet18+stage9", {}, "stages 1 … 5"),
    ],
)
def test_refused_settings(name: str, settings: dict[str, str], problem: str) -> None:
    with pytest.raises(CryostatError, match=problem):
        load_encoder(name, **settings)


CARD = """
[card]
name = "mine"
title = "Mine"
architecture = "ViT"
input_size = 160
patch_size = 16
width = 64
depth = 6
prefix_tokens = {prefix}
{extra}
[timm]
model = "test_vit"
"""


def test_a_card_of_ones_own_is_one_small_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(CARD.format(prefix=1, extra='precision = "bf16"\nflexible_size = true'))
    encoder = load_encoder(str(tmp_path / "mine.toml"), weights="random")
    assert encoder.card.name == "mine@random0"
    assert encoder.precision == "bf16"
    assert encoder.encode(torch.rand(1, 3, 96, 96))["final"].shape == (1, 6, 6, 64)


@pytest.mark.parametrize(
    ("prefix", "extra", "problem"),
    [
        (4, "", "says prefix_tokens = 4, the model has 1"),
        (1, 'colour = "red"', "unknown field 'colour'"),
        (1, "mean = [0.5, 0.5]", "mean = .* is not tuple"),
        (1, 'parameters = "many"', "parameters = 'many' is not int"),
        (1, "flexible_size = 1", "flexible_size = 1 is not bool"),
        (1, 'precision = "fp8"', "'fp8' is not one of"),
        (1, 'access = "secret"', "'secret' is not one of open, gated, local"),
    ],
)
def test_cards_that_are_wrong(tmp_path: Path, prefix: int, extra: str, problem: str) -> None:
    (tmp_path / "mine.toml").write_text(CARD.format(prefix=prefix, extra=extra))
    with pytest.raises(CryostatError, match=problem):
        load_encoder(str(tmp_path / "mine.toml"), weights="random")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("[card", "not valid TOML"),
        ("[card]\nname='x'\n", r"one of \[builtin\], \[timm\], \[hf\]"),
        ("[card]\nname='x'\n[timm]\nmodel='test_vit'", r"\[card\] lacks 'title'"),
        ("[card]\nname='x'\n[timm]\nargs={}", "does not name its model"),
        ("[card]\n[timm]\nmodel='x'\n[weights]\n", "unknown section"),
    ],
)
def test_files_that_are_no_cards(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(CryostatError, match=problem):
        card(str(tmp_path / "bad.toml"))


def test_arguments_timm_does_not_know(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(CARD.format(prefix=1, extra="") + "args = { act_layer = 'Sparkle', wings = 2 }")
    with pytest.raises(EncoderError, match="timm cannot build 'test_vit'"):
        load_encoder(str(tmp_path / "mine.toml"), weights="random")
