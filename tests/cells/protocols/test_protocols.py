"""The protocols that ship, and what they say of each other."""

from __future__ import annotations

import pytest

from cryostat.cells.protocols import load_protocol, protocol_names
from cryostat.core.errors import SettingError


def test_standard_has_no_quirk_and_paper_names_all_of_its() -> None:
    assert protocol_names() == ["paper", "standard"]
    assert load_protocol("standard").quirks() == []
    quirks = [quirk.split(":")[0] for quirk in load_protocol("paper").quirks()]
    assert quirks == [
        "images.scaling",
        "scoring.background_may_win",
        "scoring.class_set",
        "scoring.nuclei",
        "scoring.truth",
        "splits.patient_disjoint",
        "tiling.kind",
        "tiling.mpp",
        "tiling.overlap",
        "training.background_logit",
        "training.decays_all",
        "training.decoders",
        "training.flat_elastic",
        "training.focal_mean_over_all",
        "training.last_of_equals",
        "training.layers",
        "training.linear",
        "training.no_horizontal_shift",
        "training.rate_rises_again",
        "training.sampled_background",
        "training.softmaxed_weights",
        "training.standardise",
        "training.stops_between_epochs",
        "training.strong_stains",
        "training.train_mode_encoder",
    ]


def test_another_scale_is_another_rule() -> None:
    standard = load_protocol("standard")
    assert standard.at(None) == standard.at(0.5) == standard
    assert standard.at(0.25).rules() != standard.rules()
    with pytest.raises(SettingError, match="no scale"):
        standard.at(-1)
