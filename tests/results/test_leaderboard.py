from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from cryostat.core.errors import SettingError
from cryostat.core.files import write_json
from cryostat.results.export import bounds, write_csv, write_markdown, write_records
from cryostat.results.leaderboard import leaderboard
from cryostat.results.pairing import comparable_rows, pairs, shifted_rows
from cryostat.results.predictions import write_predictions
from cryostat.results.records import RunRecord, find_runs
from cryostat.results.scores import score

CLASSES = {1: "tumour", 2: "stroma"}


@pytest.fixture
def put(home):
    """Writes a run of ten fields of ten cells, of which the given share is right in each field."""

    def put(encoder: str, right: float, seed: int = 0, split: str = "base", fields: int = 10, cells: int = 10, **about):
        name = f"{encoder}-{split}-{seed}" + "".join(f"-{v}" for v in about.values())
        true = np.tile(np.arange(cells) % 2 + 1, fields)
        wrong = np.tile(np.arange(cells) >= round(right * cells), fields)
        table = pd.DataFrame(
            {
                "run_id": name,
                "fov_id": np.repeat([f"{split}{i}" for i in range(fields)], cells),
                "tile": -1,
                "cell_id": np.tile(np.arange(cells), fields),
                "y_true": true,
                "y_pred": np.where(wrong, 3 - true, true),
            }
        )
        settings = {"dataset": "colon", "split": split, "encoder": encoder, "head": "linear", "protocol": "standard"}
        settings |= {"fraction": 1.0, "seed": seed, "mpp": 0.5} | about
        write_predictions(home.runs / name / "predictions.parquet", table)
        write_json(home.runs / name / "scores.json", score(table, CLASSES).to_dict())
        identity = {"encoder": encoder, "split": split, "seed": seed, "code": "1"}
        RunRecord(name, "cells", "2026-01-01", identity, settings).save(home.runs / name)
        return home.runs / name

    return put


def test_rows_have_intervals_and_ranks(home, put):
    for seed in (0, 1):
        put("good", 1.0, seed)
    put("as-good", 1.0)
    put("bad", 0.4)
    frame, broken = leaderboard(find_runs(home).records)
    assert not broken
    rows = {row["encoder"]: row for row in frame.to_dict("records")}
    assert [rows[name]["rank"] for name in ("good", "as-good", "bad")] == [1, 1, 3]
    # Ten fields without an error are ten observations at best: Clopper and Pearson's 0.025 ^ (1 / 10).
    assert (rows["good"]["accuracy_low"], rows["good"]["accuracy_high"]) == (pytest.approx(0.6915, abs=1e-4), 1)
    assert (0.6915 < rows["good"]["macro_f1_low"] < 0.85, rows["good"]["macro_f1_high"]) == (True, 1)
    assert rows["bad"]["accuracy_low"] == pytest.approx(0.4)
    # All ten fields differ: 2 of 2¹⁰ exchanges, twice corrected.
    assert rows["bad"]["p_best"] == pytest.approx(2 * 2 / 2**10)
    assert (rows["good"]["clusters"], rows["good"]["cluster"], rows["good"]["rare"]) == (10, "field", "")
    assert rows["bad"]["f1_low tumour"] <= rows["bad"]["f1 tumour"] <= rows["bad"]["f1_high tumour"]


def test_a_second_look_computes_nothing(home, put, monkeypatch):
    put("good", 1.0)
    put("bad", 0.4)
    first, _ = leaderboard(find_runs(home).records)

    def fail(*_, **__):
        raise AssertionError("computed again")

    for name in ("intervals.cell_intervals", "comparison.compare", "tallies.read_predictions"):
        monkeypatch.setattr(f"cryostat.results.{name}", fail)
    again, _ = leaderboard(find_runs(home).records)
    pd.testing.assert_frame_equal(first, again)


def test_other_predictions_are_not_served_from_what_was_kept(home, put):
    put("good", 1.0)
    folder = put("bad", 0.4)
    leaderboard(find_runs(home).records)
    table = RunRecord.load(folder).predictions()
    table["y_pred"] = table["y_true"]
    write_predictions(folder / "predictions.parquet", table)
    frame, _ = leaderboard(find_runs(home).records)
    assert frame["rank"].tolist() == [1, 1]


def test_rows_on_other_nuclei_or_without_all_folds_are_not_ranked(home, put):
    put("a", 1.0)
    put("b", 0.9)
    put("c", 0.9, fields=4)
    put("d", 1.0, split="2fold-0")
    frame, _ = leaderboard(find_runs(home).records)
    ranks = dict(zip(frame["encoder"], frame["rank"], strict=True))
    assert ranks["c"] is None
    assert ranks["d"] is None
    assert {ranks["a"], ranks["b"]} == {1, 2}


def test_a_row_that_cannot_be_read_stays_and_is_named(home, put):
    put("a", 1.0)
    folder = put("b", 0.9)
    (folder / "predictions.parquet").write_bytes(b"PAR1 torn")
    frame, broken = leaderboard(find_runs(home).records)
    assert [b.folder for b in broken] == [folder]
    assert math.isnan(frame.set_index("encoder").loc["b", "macro_f1_low"])
    assert frame["rank"].tolist() == [None, None]


def test_nothing_is_an_empty_table(home):
    frame, _ = leaderboard([])
    assert frame.empty
    assert "rank" in frame


def test_files_for_programs_and_people(home, put, tmp_path):
    put("a", 1.0)
    put("b", 0.4)
    frame, _ = leaderboard(find_runs(home).records)
    write_csv(tmp_path / "t.csv", frame)
    assert pd.read_csv(tmp_path / "t.csv")["rank"].tolist() == [1, 2]
    write_records(tmp_path / "t.json", frame)
    first, second = json.loads((tmp_path / "t.json").read_text())
    assert (first["rank"], first["p_best"]) == (1, None)
    assert second["p_best"] == pytest.approx(2 / 2**10)
    write_markdown(tmp_path / "t.md", frame)
    header, _, line, _ = (tmp_path / "t.md").read_text().splitlines()
    assert header.startswith("| rank | dataset |")
    assert "| 1.000 [0.692, 1.000] |" in line


def test_bounds():
    assert bounds(0.1, 0.25) == "[0.100, 0.250]"
    assert bounds(math.nan, 0.2) == bounds(None, None) == ""


def test_pairs_with_the_best_or_all(home, put):
    for name, right in (("a", 1.0), ("b", 0.8), ("c", 0.4)):
        put(name, right)
    (block,), broken = comparable_rows(find_runs(home).records)
    assert not broken
    assert [row.facts["encoder"] for row in block] == ["a", "b", "c"]
    assert [pair.second.facts["encoder"] for pair in pairs(block)] == ["b", "c"]
    every = pairs(block, every=True)
    assert [pair.adjusted for pair in every] == pytest.approx([3 * 2 / 2**10] * 3)


def test_shifted_rows_are_of_one_encoder_and_head(home, put):
    for name in ("a", "b"):
        put(name, 1.0)
        put(name, 0.8, split="glas")
    put("c", 1.0)
    rows, _ = shifted_rows(find_runs(home).records, "base", "glas")
    assert [row.base.facts["encoder"] for row in rows] == ["a", "b"]
    assert rows[0].shift.means[1].change.value == pytest.approx(-0.2)
    with pytest.raises(SettingError, match="both 'base' and 'stage'"):
        shifted_rows(find_runs(home).records, "base", "stage")
