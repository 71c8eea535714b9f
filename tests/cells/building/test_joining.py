from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryostat.cells.building.joining import centres, join, nuclei_under
from cryostat.cells.building.phenotypes import Phenotypes
from cryostat.core.errors import InputError

# Nucleus 4: 3×3 px around x = 2, y = 1; nucleus 9: 1×5 px, y = 6, x = 4 … 8.
INSTANCES = np.zeros((8, 12), np.uint16)
INSTANCES[0:3, 1:4], INSTANCES[6, 4:9] = 4, 9


def by_position(*rows: tuple[float, float, str]) -> Phenotypes:
    return Phenotypes(Path("t.csv"), [row[2] for row in rows], None, np.array([row[:2] for row in rows], float))


def test_a_position_means_the_nucleus_under_it() -> None:
    found = join(by_position((3, 0, "T"), (4, 6, "B"), (0, 0, "x"), (99, 1, "y"), (-1, 0, "z")), INSTANCES)
    assert found.phenotype_of == {4: "T", 9: "B"}
    assert (found.rows, found.missed, found.shared, found.contested, found.bare) == (5, 3, 0, 0, 0)


def test_the_row_nearest_to_the_centre_wins() -> None:
    found = join(by_position((1, 0, "far"), (2, 1, "near"), (3, 2, "far"), (8, 6, "same"), (7, 6, "same")), INSTANCES)
    assert found.phenotype_of == {4: "near", 9: "same"}
    assert (found.missed, found.shared, found.contested, found.unmatched) == (0, 3, 1, 3)


def test_of_equal_positions_the_first_row_wins() -> None:
    found = join(by_position((2, 1, "first"), (2, 1, "second")), INSTANCES)
    assert found.phenotype_of == {4: "first"}
    assert (found.shared, found.contested, found.bare) == (1, 1, 1)


def test_ids() -> None:
    found = join(Phenotypes(Path("t.csv"), ["B", "x", "y"], np.array([9, 5, 0]), None), INSTANCES)
    assert found.phenotype_of == {9: "B"}
    assert (found.rows, found.missed, found.bare) == (3, 2, 1)


def test_an_empty_mask_takes_no_row() -> None:
    found = join(by_position((1, 1, "T")), np.zeros((4, 4), int))
    assert found.phenotype_of == {}
    assert (found.missed, found.bare) == (1, 0)


def test_exchanged_coordinates_are_noticed() -> None:
    rows = [(6.0, float(x), "T") for x in (4, 5, 6, 7, 8)] * 5
    with pytest.raises(InputError, match=r"5 of 25 positions lie on a nucleus, but 25 do with x and y exchanged"):
        join(by_position(*rows), INSTANCES)


def test_a_table_that_meets_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="none of the 20 rows meets a nucleus"):
        join(by_position(*[(11.0, 0.0, "T")] * 20), INSTANCES)
    with pytest.raises(InputError, match="none of the 20 rows"):
        join(Phenotypes(Path("t.csv"), ["T"] * 20, np.arange(100, 120), None), INSTANCES)


def test_positions_round_to_the_nearest_pixel_and_never_overflow() -> None:
    positions = np.array([[3.4, 1.0], [3.6, 1.0], [1e300, 0.0], [-1e300, 0.0], [0.0, 1e18]])
    assert nuclei_under(positions, INSTANCES).tolist() == [4, 0, 0, 0, 0]
    assert centres(INSTANCES, np.array([4, 9])).tolist() == [[2, 1], [6, 6]]


@given(st.lists(st.tuples(st.integers(-2, 13), st.integers(-2, 9), st.sampled_from("AB")), max_size=15))
def test_every_row_is_matched_missed_or_shared(rows: list[tuple[int, int, str]]) -> None:
    found = join(by_position(*rows), INSTANCES) if rows else None
    if found:
        assert len(found.phenotype_of) + found.missed + found.shared == found.rows == len(rows)
        assert len(found.phenotype_of) + found.bare == 2
        under = [int(INSTANCES[y, x]) for x, y, _ in rows if 0 <= x < 12 and 0 <= y < 8]
        assert set(found.phenotype_of) == set(under) - {0}
