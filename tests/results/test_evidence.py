from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cell_rows import NAMES, row, tallied

from cryostat.core.errors import InputError
from cryostat.results.evidence import draws_for, evidence, rarity
from cryostat.results.records import find_runs
from cryostat.results.scores import score

T, S = (1, 1), (2, 2)


def test_clusters_are_patients_where_they_are_known():
    cells = {"a": [T], "b": [T], "c": [S], "d": [S]}
    found = row(cells, patients={"a": "p", "b": "p", "c": "q"})
    assert found.clusters.tolist() == [0, 0, 1, 2]
    assert (found.kind, found.size) == ("patient or field", 3)
    assert row(cells).kind == "field"
    assert row(cells, patients=dict.fromkeys("abcd", "p")).kind == "patient"


@pytest.mark.parametrize("rule", ["fixed", "floating"])
def test_totals_are_the_scores_of_the_table(rule):
    cells = {"a": [(1, 1), (1, 2), (0, 1), (2, 2)], "b": [(2, 3), (2, 2), (1, 0)]}
    found = row(cells, rule=rule)
    expected = tallied(cells).scores(NAMES, rule)
    macro, _, accuracy, *f1 = found.total()
    assert macro == pytest.approx(expected.macro_f1)
    assert accuracy == pytest.approx(expected.accuracy)
    assert f1 == pytest.approx([np.nan if c.f1 is None else c.f1 for c in expected.classes], nan_ok=True)
    assert found.cells == expected.cells


def test_seeds_are_averaged_not_pooled():
    one, two = {"a": [T, (1, 2), S, S]}, {"a": [T, T, S, S]}
    # Seed one: tumour 2/3, stroma 4/5; seed two: 1 and 1.
    found = row(one, two)
    assert found.total()[0] == pytest.approx(((2 / 3 + 4 / 5) / 2 + 1) / 2)
    assert found.total()[3] == pytest.approx((2 / 3 + 1) / 2)


def test_a_resample_without_a_class_says_nothing_of_it():
    found = row({"a": [T, (1, 2)], "b": [S, S, S, (2, 1)]})
    whole = found.total()
    only_b = found.score(np.array([0.0, 2.0]) @ found.statistics)
    assert np.isnan(only_b[3])
    # Stroma in b alone: 6 of 8 hit, none predicted wrongly as stroma: 2 · 6 / (8 + 6).
    assert only_b[4] == pytest.approx(12 / 14)
    assert only_b[0] == pytest.approx((whole[3] + 12 / 14) / 2)


def test_rare_classes_are_marked_and_left_out_of_the_common_mean():
    cells = {f: [T] * 20 + [S] * 20 for f in "abc"}
    cells["a"] = cells["a"] + [(3, 1)] * 5
    found = row(cells)
    assert found.rare == ("", "", "5 cells")
    macro, common, *_ = found.total()
    # Tumour: 60 hits, 60 true, 65 predicted.
    assert common == pytest.approx((120 / 125 + 1) / 2)
    assert macro == pytest.approx((120 / 125 + 1 + 0) / 3)


def test_what_makes_a_class_rare():
    assert rarity(19, 10, "patient") == "19 cells"
    assert rarity(1, 1, "patient") == "1 cell"
    assert rarity(500, 2, "patient") == "2 patients"
    assert rarity(500, 1, "field") == "1 field"
    assert rarity(20, 3, "field") == ""
    assert rarity(0, 0, "field") == ""


def test_part_of_the_fields():
    found = row({"a": [T, (3, 3)], "b": [(1, 2)], "c": [S]}, patients={"a": "p", "b": "q", "c": "q"})
    part = found.of_fields(np.array([False, True, True]))
    assert (part.size, part.cells) == (1, 2)
    assert part.counted.tolist() == [[True, True, False]]
    assert part.key != found.key


def test_seeds_on_other_nuclei_are_refused():
    with pytest.raises(InputError, match="different fields: 2 are in one alone"):
        row({"a": [T]}, {"b": [T]})
    with pytest.raises(InputError, match="other true classes, in field 'a'"):
        row({"a": [T]}, {"a": [S]})


def test_runs_of_a_row_are_folds_and_seeds(home, put_run):
    for seed in (0, 1):
        put_run(home, [1, 1], [1, 1 + seed], split="2fold-0", fov="a", seed=seed)
        put_run(home, [2, 1], [2, 2], split="2fold-1", fov="b", seed=seed)
    records = find_runs(home).records
    found = evidence(records)
    assert (found.seeds, found.size, found.cells) == (2, 2, 4)
    tables = [[r.predictions() for r in records if r.settings["seed"] == seed] for seed in (0, 1)]
    expected = np.mean([score(pd.concat(folds), {1: "tumour", 2: "stroma"}).macro_f1 for folds in tables])
    assert found.total()[0] == pytest.approx(expected)


def test_fewer_draws_for_thousands_of_clusters():
    assert draws_for(1) == draws_for(500) == 10_000
    assert draws_for(1_000) == 5_000
    assert draws_for(100_000) == 2_000
