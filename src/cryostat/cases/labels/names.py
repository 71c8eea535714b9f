"""How labels are written: forms that mean the same, and the nearest to one that is not known."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from typing import Any

_WHOLE = re.compile(r"([+-]?\d+)\.0+")


def fold(value: Any) -> str:
    """A label in the form in which it is compared: case and blanks do not count, and `2.0` is `2`.

    None and NaN fold to "", which is no label.
    """
    if value is None or value != value:
        return ""
    text = " ".join(str(value).split()).casefold()
    whole = _WHOLE.fullmatch(text)
    return whole.group(1) if whole else text


def suggestion(unknown: str, known: Collection[str]) -> str:
    """The known names nearest to an unknown one, else all of them (twelve at most), as the end of a sentence."""
    by_fold = {fold(name): name for name in known}
    near = difflib.get_close_matches(fold(unknown), list(by_fold), 3, 0.6)
    if near:
        return "the nearest known names are " + ", ".join(repr(by_fold[name]) for name in near)
    listed = [repr(name) for name in list(known)[:12]]
    more = len(known) - len(listed)
    return "known names are " + ", ".join(listed) + (f" and {more} more" if more > 0 else "")


def in_order(values: Collection[str]) -> tuple[str, ...]:
    """Names in order: numbers by size, then the rest by alphabet."""
    return tuple(sorted(values, key=_rank))


def _rank(name: str) -> tuple[bool, float, str]:
    try:
        return False, float(name), name
    except ValueError:
        return True, 0.0, name
