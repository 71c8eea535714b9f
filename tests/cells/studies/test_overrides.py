"""What replaces a part of a study, and what goes with it."""

from __future__ import annotations

from cryostat.cells.runs.spec import Study
from cryostat.cells.studies.overrides import Overrides

STUDY = Study(
    name="shift",
    datasets=["toy"],
    splits=["base"],
    encoders=["a", "b"],
    heads=["linear", "unetr"],
    fractions=[1.0],
    seeds=[0],
    base={"protocol": "paper", "mpp": 0},
    encoder_options={"a": {"weights": "hub", "precision": "fp16"}},
    head_options={"unetr": {"steps": 20_000}},
)


def test_nothing_given_changes_nothing() -> None:
    assert Overrides().of(STUDY) == STUDY
    assert Overrides(protocol="paper").of(STUDY) == STUDY
    assert Overrides(protocol="paper").notes(STUDY) == []


def test_other_rules_drop_the_settings_of_heads_and_keep_the_scale() -> None:
    other = Overrides(protocol="standard").of(STUDY)
    assert (other.name, other.base, other.head_options) == ("shift-standard", {"protocol": "standard", "mpp": 0}, {})
    assert Overrides(protocol="standard").notes(STUDY) == [
        "The study's settings of unetr belong to its protocol 'paper' and were dropped: "
        "under 'standard' these heads have their own."
    ]


def test_lists_are_replaced_and_the_weights_of_one_encoder_leave_its_precision() -> None:
    other = Overrides(encoders=["a"], heads=["dpt"], seeds=[1, 2], encoder_options={"a": {"weights": "a.bin"}}).of(
        STUDY
    )
    assert (other.encoders, other.heads, other.seeds) == (["a"], ["dpt"], [1, 2])
    assert other.encoder_options == {"a": {"weights": "a.bin", "precision": "fp16"}}
    assert other.head_options == STUDY.head_options
