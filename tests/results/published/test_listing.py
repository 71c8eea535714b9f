"""Published rows among those of a leaderboard."""

from __future__ import annotations

import json
import math

import pandas as pd

from cryostat.results.export import write_csv, write_markdown, write_records
from cryostat.results.published import published, published_on
from cryostat.results.published.listing import FLAGS, footnotes, of_block, published_cells, with_published
from cryostat.results.records import find_runs
from cryostat.results.tables import summarise


def runs(home, put_run, *fractions: float, dataset: str = "lizard", protocols=("standard",)) -> pd.DataFrame:
    for fraction in fractions:
        for protocol in protocols:
            about = {"dataset": dataset, "fraction": fraction, "protocol": protocol}
            put_run(home, [1, 2], [1, 2], run_id=f"r-{fraction}-{protocol}", **about)
    return summarise(find_runs(home).records)[0]


def test_rows_are_those_of_dataset_split_and_share_best_first(home, put_run):
    rows = published_cells(runs(home, put_run, 1.0))
    assert len(rows) == len(published_on("lizard", "base")) == 16
    assert rows["macro_f1"].is_monotonic_decreasing
    best = rows.iloc[0]
    assert (best["encoder"], best["head"], best["macro_f1"], best["accuracy"]) == ("virchow2", "unetr", 0.7346, 0.8894)
    assert (best["kind"], best["mode"], best["cells"]) == ("published", "published", 162_374)
    assert best["source"] == "PathoCellBench, sheet lizard; Fig. 2a"
    assert best["f1 Neutrophil"] == 0.606


def test_other_datasets_splits_and_shares_have_none(home, put_run):
    assert published_cells(runs(home, put_run, 1.0, dataset="colon")).empty
    assert published_cells(runs(home, put_run, 0.3)).query("fraction == 0.3").empty


def test_each_row_stands_once_whatever_the_protocols(home, put_run):
    ours = runs(home, put_run, 1.0, protocols=("standard", "paper"))
    assert len(ours) == 2
    assert len(published_cells(ours)) == 16


def test_encoders_and_heads_are_filters(home, put_run):
    ours = runs(home, put_run, 1.0)
    assert published_cells(ours, encoders=["uni2-h"], heads=["linear"])["macro_f1"].tolist() == [0.6844]
    assert published_cells(ours, heads=["dpt"]).empty


def test_marks_are_explained_below(home, put_run):
    rows = published_cells(runs(home, put_run, 1.0), encoders=["musk"])
    assert rows["marks"].tolist() == ["b", "u", ""]
    about, *marks = footnotes(rows)
    assert "PathoCellBench, sheet lizard; Fig. 2a" in about
    assert "no interval" in about
    assert marks == [
        "b: contradicts itself: macro values and classes are of several runs.",
        "u: the sheet calls its encoder unfrozen; equal settings otherwise.",
    ]
    assert footnotes(rows.iloc[:0]) == []


def test_two_marks_of_one_row_are_told_apart(home, put_run):
    ours = runs(home, put_run, 1.0, dataset="arctique").assign(split="train-part-70-15-15")
    rows = published_cells(ours, encoders=["uni2-h"], heads=["unetr"])
    assert rows["marks"].tolist() == ["ac"]
    assert [line[0] for line in footnotes(rows)[1:]] == ["a", "c"]


def test_a_block_has_its_share_only(home, put_run):
    ours = runs(home, put_run, 1.0, 0.05)
    rows = published_cells(ours)
    assert set(of_block(rows, ours[ours["fraction"] == 0.05])["fraction"]) == {0.05}


def test_files_flag_them(home, put_run, tmp_path):
    ours = runs(home, put_run, 1.0)
    table = with_published(ours, published_cells(ours, encoders=["musk"]))
    assert list(table.columns) == [*ours.columns, *FLAGS]
    assert table["kind"].tolist() == ["run", *["published"] * 3]
    write_csv(tmp_path / "t.csv", table)
    read = pd.read_csv(tmp_path / "t.csv")
    assert read["macro_f1"].tolist() == [1.0, 0.7224, 0.7181, 0.5714]
    assert read["printed"].tolist()[1:] == ["musk"] * 3
    assert (tmp_path / "t.csv").read_text().splitlines()[1].split(",")[10] == "1"  # seeds stay whole
    write_records(tmp_path / "t.json", table)
    run, first, *_ = json.loads((tmp_path / "t.json").read_text())
    assert (run["kind"], run["marks"], run["seeds"]) == ("run", "", 1)
    assert (first["kind"], first["marks"], first["seeds"], first["runs"]) == ("published", "b", None, [])
    write_markdown(tmp_path / "t.md", table)
    text = (tmp_path / "t.md").read_text()
    assert "| musk | unetr | published b |" in text
    assert "u: the sheet calls its encoder unfrozen" in text


def test_without_published_rows_runs_are_flagged_all_the_same(home, put_run):
    ours = runs(home, put_run, 1.0, dataset="colon")
    table = with_published(ours, published_cells(ours))
    assert table["kind"].tolist() == ["run"]
    assert not [
        column
        for column in ours.columns
        if table[column].tolist() != ours[column].tolist()
        and not all(isinstance(v, float) and math.isnan(v) for v in table[column])
    ]


def test_every_split_with_published_rows_is_one_that_a_table_names():
    for table in published("pathocellbench"):
        assert published_on(table.dataset, table.split)
