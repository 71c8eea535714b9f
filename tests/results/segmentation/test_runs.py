"""Segmentation scores of finished runs side by side."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cryostat.core.files import write_json
from cryostat.core.home import Home
from cryostat.results.records import find_runs
from cryostat.results.segmentation import METRICS, score_segmentation
from cryostat.results.segmentation.runs import SEGMENTATION_WRITERS, summarise_segmentation

TRUE = np.zeros((4, 12, 2), int)
TRUE[:, :4] = 1, 1
TRUE[:, 8:] = 2, 2
HALF = np.where(TRUE[..., :1] == 1, TRUE, 0)
"""Of a tumour and a stroma nucleus the first alone."""


@pytest.fixture
def put(home: Home, put_run: Callable[..., Path]) -> Callable[..., Path]:
    """Writes a run with one field, or one for each of `pred`."""

    def put(*pred: np.ndarray, match_um: float = 3.0, **about: Any) -> Path:
        folder = put_run(home, [1, 2], [1, 2], **about)
        scores = score_segmentation([TRUE] * len(pred), pred, {1: "tumour", 2: "stroma"}, match_um=match_um, mpp=0.5)
        write_json(folder / "segmentation.json", scores.to_dict())
        return folder

    return put


def table(home: Home) -> pd.DataFrame:
    frame, broken = summarise_segmentation(find_runs(home).records)
    assert broken == ()
    return frame


def test_seeds_become_mean_and_sd(home, put, put_run):
    put(TRUE, seed=0)
    put(HALF, seed=1)
    put_run(home, [1, 2], [1, 2], encoder="resnet")  # given nuclei alone
    (row,) = table(home).to_dict("records")
    # PQ 1 and 1 / 1.5; mPQ+ 1 and (1 + 0) / 2.
    assert (row["encoder"], row["seeds"], row["match"], row["fields"]) == ("vit", 2, "3 µm (6 px)", 1)
    assert row["pq"] == pytest.approx((1 + 2 / 3) / 2)
    assert (row["mpq_plus"], row["mpq_plus_sd"]) == pytest.approx((0.75, 0.5 / math.sqrt(2)))
    assert (row["pq tumour"], row["pq stroma"]) == (1, 0.5)
    assert math.isnan(row["r2"])  # no spread of numbers over one field


def test_folds_are_pooled_before_scoring(home, put):
    put(TRUE, TRUE, TRUE, split="2fold-0", fov="a")
    put(HALF, split="2fold-1", fov="b")
    (row,) = table(home).to_dict("records")
    assert (row["split"], row["folds"], row["fields"], row["seeds"]) == ("2fold", "2/2", 4, 1)
    assert row["mpq_plus"] == pytest.approx((1 + 3 / 3.5) / 2)
    assert math.isnan(row["mpq_plus_sd"])


def test_other_radii_are_other_rows_and_the_best_comes_first(home, put):
    put(HALF, encoder="weak")
    put(TRUE, encoder="strong")
    put(TRUE, encoder="odd", match_um=6.0)
    assert table(home)[["encoder", "match"]].to_numpy().tolist() == [
        ["strong", "3 µm (6 px)"],
        ["weak", "3 µm (6 px)"],
        ["odd", "6 µm (12 px)"],
    ]


def test_damaged_scores_are_named(home, put):
    folder = put(TRUE)
    facts = json.loads((folder / "segmentation.json").read_text())
    (folder / "segmentation.json").write_text(json.dumps(facts | {"fields": 7}))
    frame, broken = summarise_segmentation(find_runs(home).records)
    assert frame.empty
    assert [run.folder for run in broken] == [folder]
    assert "segmentation.json" in broken[0].reason


def test_folds_of_different_classes_are_named(home, put):
    put(TRUE, split="2fold-0", fov="a")
    folder = put(TRUE, split="2fold-1", fov="b")
    other = score_segmentation([TRUE], [TRUE], {1: "tumour", 2: "other"}, match_um=3.0, mpp=0.5)
    write_json(folder / "segmentation.json", other.to_dict())
    frame, broken = summarise_segmentation(find_runs(home).records)
    assert frame.empty
    assert len(broken) == 2


def _columns(lines: Sequence[str]) -> list[str]:
    return [cell.strip() for cell in lines[0].strip("|").split("|")]


def test_files(home, put, tmp_path):
    put(TRUE, seed=0)
    put(HALF, seed=1)
    frame = table(home)
    for form in ("csv", "json", "markdown"):
        SEGMENTATION_WRITERS[form](tmp_path / form, frame)
    assert pd.read_csv(tmp_path / "csv")["mpq_plus"].tolist() == [0.75]
    (row,) = json.loads((tmp_path / "json").read_text())
    assert (row["mpq_plus"], row["r2"]) == (0.75, None)
    lines = (tmp_path / "markdown").read_text().splitlines()
    assert _columns(lines)[-len(METRICS) :] == [metric.label for metric in METRICS]
    assert "| 0.750 ± 0.354 |" in lines[2]


def test_no_runs(home):
    frame = table(home)
    assert frame.empty
    assert {"dataset", "match", "mpq_plus", "runs"} <= set(frame.columns)
