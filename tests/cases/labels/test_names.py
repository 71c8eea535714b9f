from __future__ import annotations

import numpy as np
import pytest

from cryostat.cases.labels.names import fold, in_order, suggestion


@pytest.mark.parametrize(
    ("value", "folded"),
    [
        ("  Glio  BLASTOMA ", "glio blastoma"),
        (2.0, "2"),
        ("3.0", "3"),
        (4, "4"),
        (None, ""),
        (np.nan, ""),
        ("2.5", "2.5"),
    ],
)
def test_folding(value: object, folded: str) -> None:
    assert fold(value) == folded


def test_numbers_come_by_size() -> None:
    assert in_order({"10", "9", "b", "a"}) == ("9", "10", "a", "b")


def test_suggestions() -> None:
    assert suggestion("gliblastoma", ["glioblastoma", "astrocytoma"]) == "the nearest known names are 'glioblastoma'"
    assert suggestion("x", ["a1", "b1"]) == "known names are 'a1', 'b1'"
    assert suggestion("x", [f"label{i}" for i in range(20)]).endswith("and 8 more")
