from __future__ import annotations

import json
import math

import pandas as pd
import pytest

from cryostat.results.export import spread, write_csv, write_markdown, write_records
from cryostat.results.records import find_runs
from cryostat.results.tables import summarise, summary


def test_one_run_is_one_row_without_a_spread(home, put_run):
    put_run(home, [1, 1, 2, 2], [1, 1, 2, 1])
    (row,) = summary(home).to_dict("records")
    # tumour: precision 2/3, recall 1; stroma: precision 1, recall 1/2.
    assert row["f1 tumour"] == pytest.approx(0.8)
    assert row["f1 stroma"] == pytest.approx(2 / 3)
    assert row["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2)
    assert math.isnan(row["macro_f1_sd"])
    assert (row["accuracy"], row["cells"], row["seeds"], row["folds"]) == (0.75, 4, 1, "")
    assert (row["dataset"], row["split"], row["encoder"], row["fraction"]) == ("colon", "base", "vit", 1.0)


def test_seeds_become_mean_and_sd(home, put_run):
    put_run(home, [1, 2], [1, 2], seed=0)
    put_run(home, [1, 2], [2, 1], seed=1)
    (row,) = summary(home).to_dict("records")
    assert (row["seeds"], row["macro_f1"]) == (2, 0.5)
    assert row["macro_f1_sd"] == pytest.approx(math.sqrt(0.5))
    assert row["variant"] == ""


def test_folds_are_pooled_before_they_are_scored(home, put_run):
    put_run(home, [1, 1], [1, 1], split="2fold-0", fov="a")
    put_run(home, [2, 1], [2, 2], split="2fold-1", fov="b")
    (row,) = summary(home).to_dict("records")
    assert (row["split"], row["folds"], row["complete"], row["cells"]) == ("2fold", "2/2", True, 4)
    # Pooled: tumour recall 2/3, precision 1; stroma recall 1, precision 1/2. The mean over folds would differ.
    assert row["f1 tumour"] == pytest.approx(0.8)
    assert row["f1 stroma"] == pytest.approx(2 / 3)
    assert len(row["runs"]) == 2


def test_incomplete_folds_do_not_pass_for_complete(home, put_run):
    for fold in range(2):
        put_run(home, [1, 2], [1, 2], split=f"2fold-{fold}", fov=f"f{fold}", seed=0)
    put_run(home, [1, 2], [2, 2], split="2fold-1", fov="f1", seed=1)
    complete, partial = summary(home).to_dict("records")
    assert (complete["folds"], complete["seeds"], complete["macro_f1"]) == ("2/2", 1, 1.0)
    assert (partial["folds"], partial["complete"], partial["variant"]) == ("1/2", False, "seed 1")
    assert partial["cells"] == 2


@pytest.mark.parametrize(
    ("difference", "variant"),
    [
        ({"identity": {"dataset": "d2"}}, "dataset d2"),
        ({"identity": {"protocol": {"name": "standard", "version": 2}}}, "protocol.version 2"),
        ({"identity": {"code": "c2"}}, "code c2"),
        ({"mpp": 0.25}, "mpp 0.25"),
    ],
)
def test_runs_that_differ_in_what_matters_are_never_averaged(home, put_run, difference, variant):
    put_run(home, [1, 2], [1, 2], seed=0, run_id="one")
    put_run(home, [1, 2], [1, 1], seed=1, run_id="two", **difference)
    rows = summary(home)
    assert rows["seeds"].tolist() == [1, 1]
    assert rows["runs"].tolist() == [["one"], ["two"]]
    assert rows["variant"].tolist()[1] == variant
    assert rows["variant"].tolist()[0] not in ("", variant)


def test_folds_of_different_datasets_are_never_pooled(home, put_run):
    put_run(home, [1], [1], split="2fold-0", fov="a")
    put_run(home, [1], [1], split="2fold-1", fov="b", identity={"dataset": "d2"})
    assert summary(home)["folds"].tolist() == ["1/2", "1/2"]


def test_seeds_scored_on_different_test_parts_are_never_averaged(home, put_run):
    put_run(home, [1, 2], [1, 2], seed=0)
    put_run(home, [1, 2, 2], [1, 2, 2], seed=1)
    rows = summary(home)
    assert sorted(rows["variant"]) == ["cells 2", "cells 3"]


def test_overlapping_folds_are_broken_not_pooled(home, put_run):
    put_run(home, [1], [1], split="2fold-0", fov="a")
    put_run(home, [1], [1], split="2fold-1", fov="a")
    frame, broken = summarise(find_runs(home).records)
    assert frame.empty
    assert len(broken) == 2
    assert "1 fields are in the test parts of two of its folds" in broken[0].reason


def test_a_damaged_fold_is_named_and_the_rest_is_incomplete(home, put_run):
    put_run(home, [1, 2], [1, 2], split="2fold-0", fov="a")
    folder = put_run(home, [1, 2], [1, 2], split="2fold-1", fov="b")
    (folder / "predictions.parquet").write_bytes(b"PAR1 torn")
    frame, broken = summarise(find_runs(home).records)
    assert frame["folds"].tolist() == ["1/2"]
    assert [b.folder for b in broken] == [folder]


def test_the_newest_of_equal_runs_counts(home, put_run):
    put_run(home, [1, 2], [1, 2], run_id="old", created="2026-01-01T00:00:00+00:00")
    put_run(home, [1, 2], [1, 1], run_id="new", created="2026-02-01T00:00:00+00:00")
    (row,) = summary(home).to_dict("records")
    assert (row["runs"], row["superseded"], row["seeds"]) == (["new"], 1, 1)


def test_rows_stand_best_first_within_a_split_and_fraction(home, put_run):
    put_run(home, [1, 2], [1, 1], encoder="weak")
    put_run(home, [1, 2], [1, 2], encoder="strong")
    put_run(home, [1, 2], [1, 2], encoder="weak", fraction=0.1)
    rows = summary(home)
    assert rows[["encoder", "fraction"]].to_numpy().tolist() == [["strong", 1.0], ["weak", 1.0], ["weak", 0.1]]


def test_filters_reach_the_runs(home, put_run):
    put_run(home, [1], [1], encoder="a")
    put_run(home, [1], [1], encoder="b")
    assert summary(home, encoder="b")["encoder"].tolist() == ["b"]


def test_a_mean_over_something_undefined_is_undefined(home, put_run):
    put_run(home, [1, 1], [1, 1])
    (row,) = summary(home).to_dict("records")
    assert row["macro_f1"] == 1.0
    assert math.isnan(row["f1 stroma"])


def test_nothing_is_an_empty_table(home):
    assert summary(home).empty
    assert "macro_f1" in summary(home).columns


def test_the_table_is_written_for_programs_and_people(home, put_run, tmp_path):
    put_run(home, [1, 1], [1, 1], seed=0)
    put_run(home, [1, 1], [1, 2], seed=1)
    frame = summary(home)
    write_csv(tmp_path / "t.csv", frame)
    back = pd.read_csv(tmp_path / "t.csv")
    assert back["runs"].tolist() == ["colon-base-vit-linear-1.0-0 colon-base-vit-linear-1.0-1"]
    write_records(tmp_path / "t.json", frame)
    (row,) = json.loads((tmp_path / "t.json").read_text())
    assert row["f1 stroma"] is None
    assert row["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)
    write_markdown(tmp_path / "t.md", frame)
    header, rule, line = (tmp_path / "t.md").read_text().splitlines()
    assert header.count("|") == rule.count("|") == line.count("|")
    assert (
        line
        == "| colon | base | vit | linear |  | standard | 1 |  |  | 2 | 0.833 ± 0.236 | 0.750 ± 0.354 | 2 | 0.833 | – |"
    )


def test_spreads():
    assert spread(0.6412, 0.0051) == "0.641 ± 0.005"
    assert spread(0.6412) == "0.641"
    assert spread(math.nan, 1) == "–"
