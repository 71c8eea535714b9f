from __future__ import annotations

import json
import math

import numpy as np
import pytest
from cell_rows import row, simulated
from hypothesis import given
from hypothesis import strategies as st

from cryostat.core.errors import InputError
from cryostat.results.comparison import CellComparison, compare, compare_runs, detectable, holm, least_p
from cryostat.results.records import find_runs

T, S = (1, 1), (2, 2)


def mirrored(fields: int, right: int) -> dict[str, list[tuple[int, int]]]:
    """Fields of which the first `right` are all right, the others all wrong."""
    return {f"f{i}": [T, S] if i < right else [(1, 2), (2, 1)] for i in range(fields)}


def test_a_difference_in_every_field_has_the_least_p():
    found = compare(row(mirrored(8, 8)), row(mirrored(8, 0)))
    assert (found.macro_f1.first, found.macro_f1.second) == (1, 0)
    assert found.macro_f1.difference.value == found.macro_f1.difference.low == 1
    # Of 2⁸ exchanges none and all make it as large.
    assert found.macro_f1.p_value == pytest.approx(2 / 256) == found.least_p
    assert (found.clusters, found.kind, found.cells) == (8, "field", 16)


def test_the_p_value_counts_exchanges_by_hand():
    # Accuracy: 3 of 4 fields against 1 of 4. Fields 1 and 2 differ (+1 each); 0 and 3 are alike.
    first, second = mirrored(4, 3), mirrored(4, 1)
    found = compare(row(first), row(second))
    accuracy = found.means[2]
    assert accuracy.difference.value == pytest.approx(0.5)
    # Both exchanged or neither: half of the ways.
    assert accuracy.p_value == 0.5


def test_what_is_the_same_is_not_told_apart():
    one = row(simulated(10, 20, np.random.default_rng(0)))
    found = compare(one, one)
    assert found.macro_f1.p_value == 1
    assert found.macro_f1.difference == type(found.macro_f1.difference)(0, 0, 0)


def test_exchanged_rows_give_the_opposite():
    rng = np.random.default_rng(2)
    truth = rng.integers(1, 3, (12, 30))
    one, two = (row(simulated(12, 30, rng, recall=r, truth=truth)) for r in (0.8, 0.6))
    there, back = compare(one, two), compare(two, one)
    assert there.macro_f1.difference.value == pytest.approx(-back.macro_f1.difference.value)
    assert there.macro_f1.difference.low == pytest.approx(-back.macro_f1.difference.high)
    assert there.macro_f1.p_value == pytest.approx(back.macro_f1.p_value, abs=0.02)


def test_pairing_takes_out_what_fields_have_in_common():
    rng = np.random.default_rng(3)
    truth = rng.integers(1, 3, (20, 50))
    hard = {f"f{i:03}": rng.random() for i in range(20)}
    cells = {f: [(t, t if rng.random() < hard[f] else t % 2 + 1) for t in truth[i]] for i, f in enumerate(hard)}
    better = {f: [(t, t) if j % 10 == 0 else (t, p) for j, (t, p) in enumerate(pairs)] for f, pairs in cells.items()}
    found = compare(row(better), row(cells))
    score = found.means[2]
    assert 0.02 < score.difference.value < 0.1
    assert score.difference.low > 0
    assert score.p_value < 0.01
    assert score.detectable < 0.05


def test_unlike_numbers_of_seeds_are_compared():
    rng = np.random.default_rng(5)
    truth = rng.integers(1, 3, (9, 20))
    seeds = [simulated(9, 20, rng, recall=0.9, truth=truth) for _ in range(3)]
    other = simulated(9, 20, rng, recall=0.3, truth=truth)
    found = compare(row(*seeds), row(other))
    assert found.seeds == (3, 1)
    assert found.macro_f1.first == pytest.approx(np.mean([row(s).total()[0] for s in seeds]))
    assert found.seed_sd[0] == pytest.approx(np.std([row(s).total()[0] for s in seeds], ddof=1))
    assert math.isnan(found.seed_sd[1])
    assert found.macro_f1.p_value == pytest.approx(2 / 2**9)


def test_classes_are_corrected_together_and_rare_ones_marked():
    first = {f"f{i}": [T] * 10 + [S] * 10 + [(3, 3)] for i in range(6)}
    second = {f"f{i}": [(1, 2)] * 10 + [S] * 10 + [(3, 1)] for i in range(6)}
    found = compare(row(first), row(second))
    assert [c.name for c in found.classes] == ["tumour", "stroma", "plasma"]
    assert [c.rare for c in found.classes] == ["", "", "6 cells"]
    assert all(c.adjusted == pytest.approx(3 * 2 / 64) for c in found.classes)


def test_too_few_fields_find_nothing():
    found = compare(row(mirrored(4, 4)), row(mirrored(4, 0)))
    assert found.least_p == 1 / 8
    assert math.isnan(found.macro_f1.detectable)


def test_other_nuclei_are_refused():
    with pytest.raises(InputError, match="different fields: 1 are in one alone"):
        compare(row({"a": [T]}), row({"a": [T], "b": [S]}))
    with pytest.raises(InputError, match="other true classes"):
        compare(row({"a": [T]}), row({"a": [(2, 1)]}))


def test_classes_that_one_alone_predicted_are_compared():
    first = {f"f{i}": [(1, 9), S] for i in range(6)}
    found = compare(row(first, rule="floating"), row(mirrored(6, 6), rule="floating"))
    # tumour 0, stroma 1, class 9 counts as 0; plasma is nowhere.
    assert found.macro_f1.first == pytest.approx(1 / 3)
    assert found.macro_f1.second == 1


def test_the_test_holds_its_level():
    rng, hits = np.random.default_rng(6), 0
    for trial in range(40):
        truth = rng.integers(1, 3, (12, 15))
        one, two = (row(simulated(12, 15, rng, truth=truth)) for _ in range(2))
        hits += compare(one, two, draws=300, seed=trial).macro_f1.p_value <= 0.05
    assert hits <= 6


def test_the_detectable_difference_is_about_three_standard_errors():
    # For many clusters: 1.96 + 0.84 standard errors.
    assert detectable(np.array([0.01]), np.array([1e4]))[0] == pytest.approx(0.028, abs=2e-4)
    assert np.isnan(detectable(np.array([0.01]), np.array([1.0]))[0])
    assert least_p(3, 10_000) == 0.25
    assert least_p(100, 9_999) == 1e-4


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, math.nan, 0.9]) == pytest.approx([1, math.nan, 1], nan_ok=True)
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_only_raises_and_keeps_the_order(p):
    adjusted = holm(p)
    assert all(a >= b - 1e-12 for a, b in zip(adjusted, p, strict=True))
    assert all(adjusted[i] <= adjusted[j] for i in range(len(p)) for j in range(len(p)) if p[i] < p[j])


def test_plain_data_and_back():
    found = compare(row(mirrored(3, 2)), row(mirrored(3, 1)))
    back = CellComparison.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
    assert repr(back) == repr(found)


def test_runs_are_compared(home, put_run):
    put_run(home, [1, 2, 1, 2], [1, 2, 1, 2], encoder="a")
    put_run(home, [1, 2, 1, 2], [1, 2, 2, 2], encoder="b")
    one, two = find_runs(home).records
    assert compare_runs([one], [two]).means[2].difference.value == pytest.approx(0.25)
