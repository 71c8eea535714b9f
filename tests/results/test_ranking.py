from __future__ import annotations

import math

from cryostat.results.ranking import rank

TABLE = {
    (0, 1): 0.5,
    (0, 2): 0.001,
    (0, 3): 0.2,
    (0, 4): 0.001,
    (2, 4): 0.01,
}


def test_what_cannot_be_told_apart_from_the_leader_shares_its_rank():
    found = rank([0.9, 0.8, 0.7, 0.6, 0.5], lambda a, b: TABLE[a, b])
    # Row 3 is noisy: it stays with the best though row 2, which scores higher, does not.
    assert [place.rank for place in found] == [1, 1, 4, 1, 5]
    assert [place.leader for place in found] == [0, 0, 2, 0, 4]
    # Holm over 0.001, 0.001, 0.2, 0.5.
    assert [round(place.adjusted, 6) for place in found[1:]] == [0.5, 0.004, 0.4, 0.004]
    assert math.isnan(found[0].adjusted)


def test_the_order_of_rows_does_not_matter():
    found = rank([0.5, 0.9], lambda a, b: {(1, 0): 0.01}[a, b])
    assert [place.rank for place in found] == [2, 1]


def test_correction_counts_all_tests_against_the_leader():
    # 0.02 alone is significant; of three tests it is not.
    assert [p.rank for p in rank([3, 2, 1, 0], lambda a, b: 0.02)] == [1, 1, 1, 1]
    assert [p.rank for p in rank([3, 2], lambda a, b: 0.02)] == [1, 2]


def test_undefined_tests_tell_nothing_apart():
    assert [p.rank for p in rank([2, 1, math.nan], lambda a, b: math.nan)] == [1, 1, 1]


def test_nothing_to_rank():
    assert rank([], lambda a, b: 0) == ()
    assert rank([0.3], lambda a, b: 0)[0].rank == 1
