"""Settings of heads, the layers they want, and nothing that no head has."""

from __future__ import annotations

import pytest

from cryostat.cells.heads import HEADS, head_settings
from cryostat.cells.heads.settings import CellProbeSettings, LinearSettings, TileSettings
from cryostat.cells.protocols import load_protocol
from cryostat.core.errors import SettingError
from cryostat.encoders.card import EncoderCard


def card(depth: int) -> EncoderCard:
    return EncoderCard("some", "Some", "ViT", input_size=224, patch_size=16, width=8, depth=depth)


def test_text_and_numbers_mean_the_same() -> None:
    given = {"hidden": "64", "lr": "0.01"}
    assert head_settings("cell-probe", given) == CellProbeSettings(hidden=64, lr=0.01)
    assert head_settings("cell-probe", {"hidden": 64, "lr": 0.01}) == CellProbeSettings(hidden=64, lr=0.01)
    assert head_settings("cell-probe") == CellProbeSettings()


@pytest.mark.parametrize("text", ["true", "True", "yes", "1", 1, True])
def test_truth_may_be_written_in_several_ways(text: object) -> None:
    assert head_settings("unetr", {"augment": text}).augment is True


def test_text_settings_are_text_and_some_have_choices() -> None:
    assert head_settings("hovernext", {"backbone": "convnextv2_atto", "instances": "no"}).instances is False
    assert head_settings("unetr", {"precision": "fp32"}).precision == "fp32"


@pytest.mark.parametrize(
    ("head", "given"),
    [
        ("cell-probe", {"hiden": 1}),
        ("cell-probe", {"hidden": "many"}),
        ("cell-probe", {"hidden": 1.5}),
        ("cell-probe", {"lr": -1}),
        ("cell-probe", {"lr": "nan"}),
        ("cell-probe", {"lr": "inf"}),
        ("cell-probe", {"dropout": 1}),
        ("cell-probe", {"steps": 0}),
        ("linear", {"pixels": 0}),
        ("unetr", {"validate_every": 0}),
        ("unetr", {"window": 0}),
        ("unetr", {"batch": 0}),
        ("unetr", {"patience": 0}),
        ("dpt-lean", {"features": 0}),
        ("unetr", {"label_smoothing": 1}),
        ("unetr", {"precision": "fp8"}),
        ("unetr", {"augment": "perhaps"}),
        ("nothing", {}),
    ],
)
def test_what_makes_no_sense_is_refused(head: str, given: dict[str, object]) -> None:
    with pytest.raises(SettingError):
        head_settings(head, given)


def test_linear_is_fitted_on_vectors_or_trained_on_tiles() -> None:
    assert isinstance(head_settings("linear"), LinearSettings)
    assert isinstance(head_settings("linear", on_tiles=True), TileSettings)
    assert isinstance(head_settings("unetr"), TileSettings)


@pytest.mark.parametrize(
    ("depth", "spread", "last"),
    [
        (24, (6, 12, 18, 24), (21, 22, 23, 24)),
        (12, (3, 6, 9, 12), (9, 10, 11, 12)),
        (4, (1, 2, 3, 4), (1, 2, 3, 4)),
    ],
)
def test_decoders_read_four_blocks_from_early_to_late(
    depth: int, spread: tuple[int, ...], last: tuple[int, ...]
) -> None:
    for choice, numbers in (("spread", spread), ("last", last)):
        assert HEADS["unetr"].layers(card(depth), choice) == tuple(f"block-{n}" for n in numbers)


def test_other_heads_read_the_final_map_or_none() -> None:
    assert HEADS["linear"].layers(card(24)) == ("final",)
    assert HEADS["hovernext"].layers(card(24)) == ()
    assert HEADS["dpt"].layers(card(0)) == ("final",) * 4


def test_every_head_says_what_it_is_and_every_published_recipe_is_a_setting() -> None:
    assert all(
        c.about and c.kind in ("dense", "pooled") and c.reads in ("final", "blocks", "pixels") for c in HEADS.values()
    )
    for name, recipe in load_protocol("paper").heads.items():
        assert head_settings(name, recipe, on_tiles=True).steps == recipe["steps"]
