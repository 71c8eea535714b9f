"""Plans of studies with encoders of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryostat.cells.planning.encoders import known_encoder
from cryostat.cells.planning.machines import reference_gpu
from cryostat.cells.runs.spec import RunSpec

FILE = """
import cryostat
from torch import nn

@cryostat.tile_encoder(name="mine", width=3, patch_size=8, input_size=64{facts})
def mine():
    return nn.Conv2d(3, 3, 8, 8)
"""


def spec(folder: Path, facts: str = "", weights: str | None = None) -> RunSpec:
    (folder / "mine.py").write_text(FILE.format(facts=facts))
    return RunSpec("consep", str(folder / "mine.py"), "cell-probe", "base", weights=weights)


def test_a_file_of_ones_own_is_known_by_what_it_declares(tmp_path: Path) -> None:
    found = known_encoder(spec(tmp_path, weights="random"))
    assert found.label == "mine@random0"
    assert found.card is not None
    assert found.card.patch_size == 8
    assert found.obstacles == ()
    # What a network of one's own costs is not counted.
    assert found.work(64, reference_gpu("A100")) is None
    assert found.stored_as == ("mine@random0", "fp32", "")


@pytest.mark.parametrize(("facts", "lacking"), [("", 1), (", loads_weights=True", 0), (", weights='a.bin'", 0)])
def test_weights_that_a_file_brings_need_not_be_given(tmp_path: Path, facts: str, lacking: int) -> None:
    found = known_encoder(spec(tmp_path, facts))
    assert len(found.obstacles) == lacking
    assert found.label == "mine"


def test_a_file_with_an_error_is_an_obstacle(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("nowhere\n")
    found = known_encoder(RunSpec("consep", str(tmp_path / "mine.py"), "cell-probe", "base"))
    assert "line 1 in NameError" in found.obstacles[0].problem
