"""Single cells of a clinical column: numbers in the ways in which people write them, and words that say nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cryostat.cases.cohort.tables import ERROR_WORDS

YEARS: Mapping[str, float] = {"years": 1, "months": 1 / 12, "weeks": 7 / 365.25, "days": 1 / 365.25}
"""Units of time in years."""

PERCENT = "percent"
PLAIN = "number"
COMMA = "decimal comma"
BOUND = "bound, taken as the number itself"
CODE = "number with leading zeros"

UNITS: Mapping[str, str] = {
    **dict.fromkeys(("year", "years", "yr", "yrs", "y", "yo", "y/o", "y.o."), "years"),
    **dict.fromkeys(("month", "months", "mo", "mos", "mth", "mths"), "months"),
    **dict.fromkeys(("week", "weeks", "wk", "wks", "w"), "weeks"),
    **dict.fromkeys(("day", "days", "d"), "days"),
    **dict.fromkeys(("%", "percent"), PERCENT),
}
DICOM: Mapping[str, str] = {"Y": "years", "M": "months", "W": "weeks", "D": "days"}
"""Letters of ages in DICOM headers, as 065Y."""

SAYS_NOTHING = frozenset(
    {
        *("", "-", "--", "–", "—", "?", ".", "unknown", "unk", "not known", "not reported", "not available", "n.a."),
        *("missing", "null", "no data", "not recorded", "inf", "+inf", "-inf", "infinity", "-infinity"),
        *(word.lower() for word in ERROR_WORDS),
    }
)
"""What stands for a value that is not known, beside an empty cell, in lower case and without brackets."""

LONGEST_NUMBER = 64
"""Characters of a cell beyond which it is no number."""

_AMOUNT = r"(?:\d+(?:[.,]\d+)?|[.,]\d+)(?:e[+-]?\d+)?"
_UNIT = "|".join(re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True))
_LOWER = r"(?P<bound>[<>≤≥]\s*=?|over\s|under\s)?\s*"
_OLDER = r"\s*(?P<open>\+|(?:or|and)\s+(?:older|over|above|more))?"
_BARE = re.compile(rf"{_LOWER}(?P<amount>[+\-−]?{_AMOUNT}){_OLDER}", re.IGNORECASE)
# An amount that begins with its comma could be read in two ways after a comma between parts.
_PARTIAL = r"\d+(?:[.,]\d+)?"
_PART = rf"{_PARTIAL}\s*(?:{_UNIT})"
_MEASURED = re.compile(
    rf"{_LOWER}(?P<sign>[\-−]?)(?P<parts>{_PART}(?:(?:\s*,\s*|\s+and\s+|\s*){_PART})*){_OLDER}", re.IGNORECASE
)
_OPEN_UNIT = re.compile(rf"({_PARTIAL})\s*\+\s*({_UNIT})", re.IGNORECASE)
_EACH = re.compile(rf"({_PARTIAL})\s*({_UNIT})", re.IGNORECASE)
_AGE_STRING = re.compile(r"(\d{3})([DWMY])")
_LEADING_ZERO = re.compile(r"0\d+")

_DATE = re.compile(
    r"(?:\d{4}([-/.])\d{1,2}\1\d{1,2}|\d{1,2}([-/.])\d{1,2}\2(?:\d{4}|\d{2})|\d{1,2}[- ][a-z]{3,9}[- ]\d{2,4})"
    r"(?:[ t]\d{1,2}:.*)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Written:
    """A number as a cell has it.

    Attributes:
        value: The number; times in years.
        unit: `years` for times, `percent`, or empty.
        ways: How it was written, as words that a report counts; the first says the units.
    """

    value: float
    unit: str
    ways: tuple[str, ...]


def says_nothing(text: str) -> bool:
    """Whether a cell stands for a value that is not known, as `--`, `[Not Available]` or `#N/A`."""
    return " ".join(text.strip("[]()'\" ").lower().split()) in SAYS_NOTHING


def is_date(text: str) -> bool:
    """Whether a cell looks like a date, with or without a time."""
    return _DATE.fullmatch(text) is not None


def written_number(text: str) -> Written | None:
    """The number of a cell, or None where it is none.

    `65`, `65,5`, `1e-3`; times as `65 years 344 days`, `34y`, `720 months`, `065Y`, all in years; `45 %`; bounds as
    `>89`, `≥ 90 years` or `90+`, taken as the number itself.
    """
    text = " ".join(text.split())
    if len(text) > LONGEST_NUMBER:
        return None
    if age := _AGE_STRING.fullmatch(text):
        unit = DICOM[age[2]]
        return Written(int(age[1]) * YEARS[unit], "years", (unit,))
    if found := _BARE.fullmatch(text):
        return _bare(found)
    # "90+ years" is "90 years+"
    found = _MEASURED.fullmatch(_OPEN_UNIT.sub(r"\1 \2+", text))
    return _measured(found) if found else None


def _bare(found: re.Match[str]) -> Written:
    amount = found["amount"]
    ways = [COMMA if "," in amount else CODE if _LEADING_ZERO.fullmatch(amount) else PLAIN, *_bound(found)]
    return Written(_number(amount), "", tuple(ways))


def _measured(found: re.Match[str]) -> Written | None:
    parts = [(amount, UNITS[unit.lower()]) for amount, unit in _EACH.findall(found["parts"])]
    units = [unit for _, unit in parts]
    if len(set(units)) < len(units) or (PERCENT in units and len(units) > 1):
        return None
    value = sum(_number(amount) * YEARS.get(unit, 1) for amount, unit in parts)
    comma = [COMMA] if any("," in amount for amount, _ in parts) else []
    unit = PERCENT if PERCENT in units else "years"
    return Written(-value if found["sign"] else value, unit, (" and ".join(units), *comma, *_bound(found)))


def _bound(found: re.Match[str]) -> list[str]:
    return [BOUND] if found["bound"] or found["open"] else []


def _number(amount: str) -> float:
    return float(amount.replace(",", ".").replace("−", "-"))
