from __future__ import annotations

import json
import math

import numpy as np
import pytest
from cell_rows import row, simulated

from cryostat.core.errors import InputError
from cryostat.results.evidence import effective_number
from cryostat.results.intervals import CellIntervals, cell_intervals, design_effect, intervals_of
from cryostat.results.kept import INTERVALS
from cryostat.results.records import find_runs
from cryostat.results.uncertainty import interval

T, S = (1, 1), (2, 2)


def test_the_interval_of_accuracy_is_that_of_the_mean_of_equal_fields():
    # 40 fields of one cell each, half of them right: a resample is a binomial of 40, sd √(1/160) = 0.079.
    found = cell_intervals(row({f"f{i:02}": [T if i % 2 else (1, 2)] for i in range(40)}))
    assert found.accuracy.value == 0.5
    # Widened by √(40/39) and the t quantile 2.023.
    reach = 0.5 / math.sqrt(40) * math.sqrt(40 / 39) * 2.023
    assert found.accuracy.low == pytest.approx(0.5 - reach, abs=0.02)
    assert found.accuracy.high == pytest.approx(0.5 + reach, abs=0.02)
    assert (found.clusters, found.cells, found.draws, found.level) == (40, 40, 10_000, 0.95)


def test_cells_of_a_patient_hang_together():
    fields = {f"f{i}": [T if i % 2 else (1, 2)] * 50 for i in range(10)}
    alone = cell_intervals(row({f"{f}-{i}": [pair] for f, pairs in fields.items() for i, pair in enumerate(pairs)}))
    together = cell_intervals(row(fields))
    assert together.accuracy.value == alone.accuracy.value == 0.5
    assert together.accuracy.high - together.accuracy.low > 5 * (alone.accuracy.high - alone.accuracy.low)


def test_the_design_effect_of_equal_cells_is_their_number():
    # All cells of a field are alike, so 50 of them tell as much as one; n / (n - 1) for the 10 fields.
    same = row({f"f{i}": [T, S] * 25 if i % 2 else [(1, 2), (2, 1)] * 25 for i in range(10)})
    assert design_effect(same) == pytest.approx(50 * 10 / 9)
    found = cell_intervals(same)
    assert found.effective_cells == pytest.approx(500 / (50 * 10 / 9))


def test_the_design_effect_of_cells_drawn_one_by_one_is_one():
    rng = np.random.default_rng(0)
    cells = simulated(300, 30, rng, concentration=1e9)
    assert design_effect(row(cells)) == pytest.approx(1, abs=0.25)


def test_intervals_that_take_cells_as_independent_are_too_narrow():
    """Two studies of equal size: 95 % intervals of one hold the other's value in 5 of 6 cases (1.96 / √2)."""
    rng, held = np.random.default_rng(4), {"patients": 0, "cells": 0}
    for trial in range(40):
        halves = [row(simulated(20, 60, rng)) for _ in range(2)]
        one, two = (half.total()[0] for half in halves)
        found = cell_intervals(halves[0], draws=400, seed=trial)
        held["patients"] += found.macro_f1.low <= two <= found.macro_f1.high
        total = halves[0].by_cluster[0].sum(0).ravel()
        drawn = rng.multinomial(int(total.sum()), total / total.sum(), size=400).reshape(400, 4, 4)
        hits, both = np.diagonal(drawn, axis1=1, axis2=2), drawn.sum(1) + drawn.sum(2)
        naive = interval(np.array(one), (2 * hits / np.maximum(both, 1))[:, 1:3].mean(1), int(total.sum()))
        held["cells"] += bool(naive.low <= two <= naive.high)
    assert 0.7 < held["patients"] / 40 < 0.95
    assert held["cells"] / 40 < 0.6


def test_clusters_of_equal_size_count_fully():
    assert effective_number(np.array([5.0, 5, 5])) == pytest.approx(3)
    assert effective_number(np.array([100.0, 1, 1])) == pytest.approx(102**2 / 10_002)


def test_seeds_do_not_narrow_the_interval_and_their_spread_stands_apart():
    rng = np.random.default_rng(1)
    cells = simulated(20, 40, rng)
    one, three = cell_intervals(row(cells)), cell_intervals(row(cells, cells, cells))
    assert three.macro_f1.value == pytest.approx(one.macro_f1.value)
    assert (three.macro_f1.low, three.macro_f1.high) == pytest.approx((one.macro_f1.low, one.macro_f1.high))
    assert three.macro_f1_sd == pytest.approx(0, abs=1e-12)
    assert math.isnan(one.macro_f1_sd)


def test_one_field_has_no_interval():
    found = cell_intervals(row({"a": [T, S, (1, 2)]}))
    assert found.macro_f1.value == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert math.isnan(found.macro_f1.low)
    assert math.isnan(found.design_effect)


def test_rare_classes_are_told():
    found = cell_intervals(row({f"f{i}": [T] * 10 + [S] * 10 + [(3, 3)] * (i == 0) for i in range(4)}))
    assert [(c.name, c.support, c.clusters, c.rare) for c in found.classes] == [
        ("tumour", 40, 4, ""),
        ("stroma", 40, 4, ""),
        ("plasma", 1, 1, "1 cell"),
    ]
    assert [c.name for c in found.rare] == ["plasma"]


def test_a_class_without_a_true_cell_has_no_score():
    found = cell_intervals(row({"a": [T, S], "b": [T, (2, 3)]}))
    assert math.isnan(found.classes[2].f1.value)
    assert found.classes[2].rare == ""


def test_intervals_over_few_patients_are_told():
    few, many = (cell_intervals(row({f"f{i:02}": [T, (1, 2), S] for i in range(number)})) for number in (9, 10))
    assert (few.doubt, many.doubt) == ("fewer than 10 fields", "")
    assert [c.doubtful for c in many.classes] == [False, False, False]
    # Twelve fields, but nearly all stroma is in two: (200 + 10)² / (2 · 100² + 10) = 2.2 equal ones.
    uneven = cell_intervals(row({f"f{i:02}": [T] + ([S] * 60 + [(2, 1)] * 40 if i < 2 else [S]) for i in range(12)}))
    assert uneven.classes[1].effective == pytest.approx(210**2 / 20_010)
    assert [c.doubtful for c in uneven.classes] == [False, True, False]
    assert (uneven.doubt, uneven.classes[1].rare) == ("", "")


def test_a_class_that_one_field_holds_widens_the_mean():
    cells = {f"f{i:02}": [T] * (12 + i % 5) + [(1, 2)] * 6 + [S] * (14 - i % 3) + [(2, 1)] * 5 for i in range(20)}
    common = cell_intervals(row(cells))
    one = cell_intervals(row({**cells, "f00": [*cells["f00"], *[(3, 3)] * 30, *[(3, 1)] * 10]}))
    assert math.isnan(one.classes[2].f1.low)
    assert one.macro_f1.high - one.macro_f1.low > 5 * (common.macro_f1.high - common.macro_f1.low)
    assert one.macro_f1_common.high - one.macro_f1_common.low < 3 * (common.macro_f1.high - common.macro_f1.low)


def test_nothing_to_score_is_refused():
    with pytest.raises(InputError, match="no cell with a true class"):
        cell_intervals(row({"a": [(0, 1)]}))


def test_plain_data_and_back():
    found = cell_intervals(row({"a": [T, (1, 2)], "b": [S, S]}))
    back = CellIntervals.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
    assert repr(back) == repr(found)


def test_intervals_are_kept_beside_the_run(home, put_run):
    folder = put_run(home, [1, 2, 2], [1, 2, 1])
    records = find_runs(home).records
    first = intervals_of(records)
    path = folder / INTERVALS
    facts = json.loads(path.read_text())
    (entry,) = facts["kept"].values()
    entry["cells"] = 99
    path.write_text(json.dumps(facts))
    assert intervals_of(records).cells == 99
    path.write_text("{")
    assert repr(intervals_of(records)) == repr(first)
    path.write_text(json.dumps({"format": 0, "kept": facts["kept"]}))
    assert intervals_of(records).cells == 3


def test_results_that_may_only_be_read_have_intervals_too(home, put_run, monkeypatch):
    folder = put_run(home, [1, 2], [1, 2])

    def refuse(path):
        raise PermissionError(path)

    monkeypatch.setattr("cryostat.results.tallies.atomic_write", refuse)
    assert intervals_of(find_runs(home).records).cells == 2
    assert not (folder / INTERVALS).exists()
