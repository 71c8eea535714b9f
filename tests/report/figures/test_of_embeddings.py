from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from cryostat.core.errors import SettingError
from cryostat.report.figures import drawings
from cryostat.report.figures.of_embeddings import _judged, home_of
from cryostat.results.records import RECORD, RunRecord, find_runs


def test_a_map_for_each_frozen_encoder_when_asked(home, put_cells):
    for encoder, mode in (("uni", "cached"), ("virchow2", "finetune")):
        record = put_cells(encoder=encoder, mode=mode)
        (record.folder / RECORD).unlink()
        replace(record, identity={**record.identity, "features": {}}).save(record.folder)
    put_cells(encoder="none", head="hovernext", mode="supervised")
    records = find_runs(home).records
    names = [drawing.name for drawing in drawings(records, maps=True)[0] if drawing.name.endswith("-map")]
    assert names == ["colon-uni-standard-map"]
    assert not [drawing for drawing in drawings(records)[0] if drawing.name.endswith("-map")]


def test_nuclei_are_judged_by_any_run_that_tested_them(put_cells):
    record = put_cells(right=1.0)
    rows = pd.DataFrame({"fov_id": ["f0", "f0", "elsewhere"], "tile": -1, "cell_id": [1, 2, 1]})
    assert _judged(rows, [record, record]) == ["right", "right", None]


def test_the_home_of_a_run_is_two_folders_up(home, put_cells):
    assert home_of(put_cells()).root == home.root.resolve()
    with pytest.raises(SettingError, match="no home folder"):
        home_of(RunRecord("r", "cells", "2026", {}, {}, folder=Path("/tmp/r")))
