from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cryostat.cells.dataset import CellDataset
from cryostat.cells.scoring.external import External, score_external
from cryostat.core.errors import SettingError
from cryostat.export.predictions import export_predictions
from cryostat.results.cases.predictions import read_case_predictions
from cryostat.results.predictions import read_predictions
from cryostat.results.records import RunRecord


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_scored_elsewhere_the_table_gives_the_same_scores(
    record: RunRecord, tissue: CellDataset, tmp_path: Path, ending: str
) -> None:
    path = export_predictions(record, tmp_path / f"sub/x.{ending}")
    asked = External(path, "test", "cells", "standard", "refuse", "auto", "again")
    _, scores = score_external(tissue, tissue.split("base"), asked)
    assert scores.macro_f1 == pytest.approx(record.cell_scores().macro_f1)
    assert scores.confusion == record.cell_scores().confusion


def test_classes_are_named_beside_their_ids(cut: RunRecord, tissue: CellDataset, tmp_path: Path) -> None:
    frame = pd.read_csv(export_predictions(cut, tmp_path / "x.csv"))
    at = list(frame.columns).index("y_pred")
    assert list(frame.columns)[at - 1 : at + 3] == ["y_true", "y_pred", "true_class", "predicted_class"]
    names = {0: "background"} | {c.id: c.name for c in tissue.classes}
    assert (frame["predicted_class"] == frame["y_pred"].map(names)).all()
    assert len(frame) == len(cut.predictions())


def test_parquet_is_still_a_predictions_table(record: RunRecord, tmp_path: Path) -> None:
    path = export_predictions(record, tmp_path / "x.parquet")
    pd.testing.assert_frame_equal(read_predictions(path), record.predictions())


def test_cases(case_run: RunRecord, tmp_path: Path) -> None:
    path = export_predictions(case_run, tmp_path / "x.parquet")
    pd.testing.assert_frame_equal(read_case_predictions(path), case_run.predictions())


def test_other_endings_are_refused(record: RunRecord, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"not written as \.xls.*\.csv, \.tsv, \.parquet"):
        export_predictions(record, tmp_path / "x.xls")
