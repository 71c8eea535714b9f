"""Quotients and means in which the undefined is None."""

from __future__ import annotations

from collections.abc import Iterable


def ratio(part: float, whole: float) -> float | None:
    """Part over whole; None when the whole is 0."""
    return None if whole == 0 else float(part / whole)


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the defined values; None without any."""
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None
