"""Settings of heads: numbers as text or as numbers, and nothing that no head has."""

from __future__ import annotations

import pytest

from cryostat.cells.heads import HEADS, head_settings
from cryostat.cells.heads.settings import CellProbeSettings
from cryostat.core.errors import SettingError


def test_text_and_numbers_mean_the_same() -> None:
    given = {"hidden": "64", "lr": "0.01"}
    assert head_settings("cell-probe", given) == CellProbeSettings(hidden=64, lr=0.01)
    assert head_settings("cell-probe", {"hidden": 64, "lr": 0.01}) == CellProbeSettings(hidden=64, lr=0.01)
    assert head_settings("cell-probe") == CellProbeSettings()


@pytest.mark.parametrize("given", [{"hiden": 1}, {"hidden": "many"}, {"hidden": 1.5}, {"lr": -1}, {"lr": "nan"}])
def test_what_makes_no_sense_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(SettingError):
        head_settings("cell-probe", given)


def test_every_head_says_what_it_is() -> None:
    assert all(card.about and card.kind in ("dense", "pooled") for card in HEADS.values())
