"""Rank groups: what cannot be told apart from the best of its group shares a rank."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryostat.results.comparison import holm

ALPHA = 0.05
"""Family-wise level of the tests against the best of a group."""


@dataclass(frozen=True)
class Rank:
    """Place of one row.

    Attributes:
        rank: One more than how many rows stand in better groups.
        leader: Number of the best row of its group.
        adjusted: p-value of the test against the best row of all, after Holm's correction; NaN for that row.
    """

    rank: int
    leader: int
    adjusted: float


def rank(values: Sequence[float], p_value: Callable[[int, int], float]) -> tuple[Rank, ...]:
    """Put rows into groups.

    The best row leads the first group; with it stand all rows that a test against it does not tell apart from it,
    Holm's correction over those tests. The best of the others leads the next group, and so on. As noisy rows are hard
    to tell apart from any, a row may stand in a better group than one with a higher score.

    Args:
        values: Score of each row, the higher the better.
        p_value: Of the paired test of a leader (first) against another row (second), by their numbers; NaN where
            they cannot be told apart.

    Returns:
        A rank a row, in the order of `values`.
    """
    left = sorted(range(len(values)), key=lambda i: (math.isnan(values[i]), -values[i]))
    ranks: dict[int, Rank] = {}
    to_best: dict[int, float] = {}
    while left:
        leader, others = left[0], left[1:]
        adjusted = dict(zip(others, holm([p_value(leader, other) for other in others]), strict=True))
        to_best = to_best or adjusted
        place = len(ranks) + 1
        group = [leader, *(i for i in others if not adjusted[i] <= ALPHA)]
        ranks |= {i: Rank(place, leader, to_best.get(i, math.nan)) for i in group}
        left = [i for i in others if i not in group]
    return tuple(ranks[i] for i in range(len(values)))
