"""Training modes as text, and what protocols do with each head."""

from __future__ import annotations

import pytest

from cryostat.cells.heads import HEADS
from cryostat.cells.protocols import load_protocol
from cryostat.cells.runs.modes import Mode, resolve_mode
from cryostat.core.errors import SettingError

STANDARD, PAPER = load_protocol("standard"), load_protocol("paper")


@pytest.mark.parametrize("text", ["cached", "cached:8", "live", "finetune", "lora:4", "supervised"])
def test_modes_are_written_as_they_are_read(text: str) -> None:
    assert str(Mode.parse(text)) == text


def test_numbers_have_defaults() -> None:
    assert Mode.parse("cached").views == 1
    assert Mode.parse("cached:8").views == 8
    assert str(Mode.parse("lora")) == "lora:16"


@pytest.mark.parametrize("text", ["", "cashed", "live:2", "cached:0", "lora:x", "finetune:3", "cached:8:2"])
def test_what_is_no_mode_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="no training mode"):
        Mode.parse(text)


def test_standard_keeps_encoders_frozen_and_paper_does_what_was_published() -> None:
    usual = {
        name: (str(resolve_mode(None, h, STANDARD)), str(resolve_mode(None, h, PAPER))) for name, h in HEADS.items()
    }
    assert usual == {
        "linear": ("cached", "live"),
        "cell-probe": ("cached", "cached"),
        "unetr": ("cached", "finetune"),
        "dpt": ("cached", "finetune"),
        "dpt-lean": ("cached", "finetune"),
        "hovernext": ("supervised", "supervised"),
    }


def test_a_head_without_an_encoder_cannot_be_frozen_nor_one_with_be_without() -> None:
    with pytest.raises(SettingError, match="no encoder to be live"):
        resolve_mode("live", HEADS["hovernext"], STANDARD)
    with pytest.raises(SettingError, match="stands on an encoder"):
        resolve_mode("supervised", HEADS["unetr"], STANDARD)
