from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryostat.core.errors import InputError
from cryostat.results.predictions import in_order
from cryostat.results.records import RunRecord
from cryostat.results.scores import score
from cryostat.results.tallies import TALLIES, pooled, tallies_of, tally

CLASSES = {1: "tumour", 2: "stroma"}


def table(rows: list[tuple[str, int, int, int]], **columns: list[object]) -> pd.DataFrame:
    """Rows of (field, cell, true, predicted)."""
    frame = pd.DataFrame(rows, columns=["fov_id", "cell_id", "y_true", "y_pred"]).assign(run_id="r", tile=-1, **columns)
    return in_order(frame)


def test_cells_are_counted_by_field_and_classes():
    found = tally(table([("b", 1, 1, 1), ("a", 1, 2, 1), ("b", 2, 1, 1), ("b", 3, 1, 2)]))
    assert found.fields["fov_id"].tolist() == ["a", "b"]
    assert found.counts.tolist() == [[0, 2, 1, 1], [1, 1, 1, 2], [1, 1, 2, 1]]
    assert found.cells == 4


def test_fields_keep_patient_site_and_groups():
    frame = table([("a", 1, 1, 1), ("b", 1, 1, 1)], patient_id=["p", None], site=["x", "x"], group_stage=["3", "4"])
    fields = tally(frame).fields
    assert fields["patient_id"].tolist() == ["p", None]
    assert fields["group_stage"].tolist() == ["3", "4"]


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40))
@pytest.mark.parametrize("rule", ["fixed", "floating"])
def test_scores_are_those_of_the_table(rule, cells):
    frame = table([(field, i, true, predicted) for i, (field, true, predicted) in enumerate(cells)])
    assert tally(frame).scores(CLASSES, rule) == score(frame, CLASSES, class_set=rule)


def test_nuclei_are_the_same_in_any_order_and_differ_by_cell_tile_and_truth():
    rows = [("a", 1, 1, 1), ("a", 2, 2, 1), ("a", 3, 1, 2)]
    (one,) = tally(table(rows)).fields["nuclei"]
    assert tally(table(rows[::-1])).fields["nuclei"].tolist() == [one]
    assert tally(table([("a", 1, 1, 2), ("a", 2, 2, 2), ("a", 3, 1, 1)])).fields["nuclei"].tolist() == [one]
    for other in ([("a", 4, 1, 1)], [("a", 1, 2, 1)]):
        assert tally(table(other + rows[1:])).fields["nuclei"].tolist() != [one]
    tiled = table(rows)
    assert tally(tiled.assign(tile=np.int32(0))).fields["nuclei"].tolist() != [one]


def test_folds_are_pooled_in_the_order_of_fields():
    both = pooled([tally(table([("b", 1, 1, 2)])), tally(table([("a", 1, 2, 2), ("c", 1, 1, 1)]))])
    assert both.fields["fov_id"].tolist() == ["a", "b", "c"]
    assert sorted(both.counts.tolist()) == [[0, 2, 2, 1], [1, 1, 2, 1], [2, 1, 1, 1]]


def test_a_field_in_two_folds_is_refused():
    with pytest.raises(InputError, match="1 fields are in the test parts of two"):
        pooled([tally(table([("a", 1, 1, 1)])), tally(table([("a", 2, 1, 1)]))])


def test_tallies_are_kept_until_the_predictions_change(home, put_run):
    folder = put_run(home, [1, 2, 2], [1, 2, 1])
    record = RunRecord.load(folder)
    first = tallies_of(record)
    facts = json.loads((folder / TALLIES).read_text())
    facts["counts"][3][0] = 77
    (folder / TALLIES).write_text(json.dumps(facts))
    assert 77 in tallies_of(record).counts[:, 3]
    facts["source"] = "of other predictions"
    (folder / TALLIES).write_text(json.dumps(facts))
    again = tallies_of(record)
    assert again.counts.tolist() == first.counts.tolist()
    pd.testing.assert_frame_equal(again.fields, first.fields)


@pytest.mark.parametrize("damage", ["{", "[]", '{"format": 1}', ""])
def test_damaged_tallies_are_made_again(home, put_run, damage):
    folder = put_run(home, [1, 2], [1, 2])
    first = tallies_of(RunRecord.load(folder))
    (folder / TALLIES).write_text(damage)
    assert tallies_of(RunRecord.load(folder)).counts.tolist() == first.counts.tolist()


def test_kept_tallies_with_torn_content_are_made_again(home, put_run):
    folder = put_run(home, [1, 2], [1, 2])
    first = tallies_of(RunRecord.load(folder))
    facts = json.loads((folder / TALLIES).read_text())
    for torn in ({**facts, "fields": 3}, {**facts, "counts": [[1]]}, {**facts, "counts": "x"}):
        (folder / TALLIES).write_text(json.dumps(torn))
        assert tallies_of(RunRecord.load(folder)).counts.tolist() == first.counts.tolist()


def test_missing_predictions_are_named(home, put_run):
    folder = put_run(home, [1], [1])
    (folder / "predictions.parquet").unlink()
    with pytest.raises(InputError, match="does not exist"):
        tallies_of(RunRecord.load(folder))
