from __future__ import annotations

import json
import math

import numpy as np
import pytest
from cell_rows import row

from cryostat.core.errors import InputError
from cryostat.results.shift import group_scores, shift

T, S, W = (1, 1), (2, 2), (1, 2)


def fields(prefix: str, number: int, cells: list[tuple[int, int]]) -> dict[str, list[tuple[int, int]]]:
    return {f"{prefix}{i}": cells for i in range(number)}


def test_no_shift_is_no_change():
    cells = [T, T, W, S, S]
    found = shift(row(fields("a", 6, cells)), row(fields("b", 6, cells)))
    for score in (*found.means, *found.classes):
        assert score.change.value == score.matched_change.value == 0
        assert (score.change.low, score.change.high) == (0, 0)
    assert (found.clusters, found.shared) == ((6, 6), 0)


def test_a_drop_that_is_mere_prevalence_goes_with_the_class_mix():
    # Per true class the model is the same: 80 % of tumour, 90 % of stroma are found. Only the mix differs.
    base = [T] * 8 + [W] * 2 + [S] * 9 + [(2, 1)]
    shifted = [T] * 8 + [W] * 2 + ([S] * 9 + [(2, 1)]) * 10
    found = shift(row(fields("a", 5, base)), row(fields("b", 5, shifted)))
    tumour = found.classes[0]
    # Base: 2 · 8 / (10 + 9); shifted: 2 · 8 / (10 + 18).
    assert tumour.base == pytest.approx(16 / 19)
    assert tumour.shifted == pytest.approx(16 / 28)
    assert tumour.matched == pytest.approx(16 / 19)
    assert tumour.change.value == pytest.approx(16 / 28 - 16 / 19)
    assert tumour.matched_change.value == pytest.approx(0)
    assert found.means[1].matched_change.value == pytest.approx(0)
    assert tumour.supports == (50, 50)


def test_a_true_loss_stays_under_the_same_class_mix():
    base, shifted = [T] * 10 + [S] * 10, ([T] * 5 + [W] * 5) * 2 + [S] * 5
    found = shift(row(fields("a", 8, base)), row(fields("b", 8, shifted)))
    assert found.macro_f1.base == 1
    # Half of tumour is called stroma; at equal numbers: tumour 2/3, stroma 2 · 10 / (10 + 15).
    assert found.classes[0].matched == pytest.approx(2 / 3)
    assert found.classes[1].matched == pytest.approx(20 / 25)
    assert found.macro_f1.matched_change.value == pytest.approx((2 / 3 + 0.8) / 2 - 1)
    assert found.macro_f1.matched_change.high < 0


def test_patients_in_both_parts_are_drawn_for_both():
    rng = np.random.default_rng(0)
    both = {f"f{i}": [T if rng.random() < i / 12 else W for _ in range(30)] + [S] * 30 for i in range(12)}
    same = shift(row(both), row(both))
    assert same.shared == 12
    # The same patients on both sides: the difference does not vary at all.
    assert (same.macro_f1.change.low, same.macro_f1.change.high) == (0, 0)
    apart = shift(row(both), row({f"g{name}": cells for name, cells in both.items()}))
    assert apart.macro_f1.change.low < -0.02 < 0.02 < apart.macro_f1.change.high


def test_seeds_are_averaged():
    base, worse = fields("a", 4, [T, S]), fields("b", 4, [W, S])
    found = shift(row(base, base), row(worse, fields("b", 4, [T, S])))
    # Seed one of the shifted part: 0 and 2/3; seed two: 1 and 1.
    assert found.macro_f1.shifted == pytest.approx((1 / 3 + 1) / 2)


def test_classes_of_one_part_alone_are_left_out():
    found = shift(row(fields("a", 3, [T, S, (3, 1)])), row(fields("b", 3, [T, S])))
    assert found.left_out == ("plasma",)
    assert [c.name for c in found.classes] == ["tumour", "stroma"]
    # The cell of plasma that was called tumour is left out as well.
    assert found.classes[0].base == 1


def test_rare_classes_are_marked():
    found = shift(row(fields("a", 30, [T, S])), row(fields("b", 4, [T] * 10 + [S])))
    assert [c.rare for c in found.classes] == ["", "4 cells"]


def test_nothing_in_common_is_refused():
    with pytest.raises(InputError, match="no class in common"):
        shift(row({"a": [T]}), row({"b": [S]}))


def test_groups_are_scored_over_the_classes_that_all_have():
    cells = {f"a{i}": [T, S, (3, 3)] for i in range(3)} | {f"b{i}": [T, (2, 1)] for i in range(3)} | {"c": [T]}
    sites = {name: {"a": "north", "b": "south", "c": "east"}[name[0]] for name in cells}
    low, high = group_scores(row(cells, site=sites), "site")
    assert (low.group, high.group) == ("south", "north")
    # South: tumour 2 · 3 / (3 + 6), stroma 0; plasma is in the north alone, the east has too few fields.
    assert low.macro_f1.value == pytest.approx((2 / 3) / 2)
    assert high.macro_f1.value == 1
    assert (low.classes, low.cells, low.clusters) == (2, 6, 3)


def test_the_worst_group_of_each_column():
    base = row(fields("a", 3, [T, S]))
    cells = fields("n", 3, [T, S]) | fields("s", 3, [W, S])
    sites = {name: name[0] for name in cells}
    stages = dict.fromkeys(cells, "3")
    found = shift(base, row(cells, site=sites, group_stage=stages))
    assert [(g.column, g.group) for g in found.worst] == [("site", "s")]


def test_plain_data():
    facts = shift(row(fields("a", 2, [T, S])), row({"b": [T, S]})).to_dict()
    assert json.loads(json.dumps(facts, allow_nan=False))["means"][0]["change"]["low"] is None
    assert math.isnan(shift(row(fields("a", 2, [T, S])), row({"b": [T, S]})).macro_f1.change.low)
