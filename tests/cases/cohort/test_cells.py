from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryostat.cases.cohort.cells import BOUND, CODE, COMMA, PLAIN, is_date, says_nothing, written_number


@pytest.mark.parametrize(
    ("cell", "value", "unit", "ways"),
    [
        ("65", 65, "", (PLAIN,)),
        ("-3", -3, "", (PLAIN,)),
        ("−3.5", -3.5, "", (PLAIN,)),
        ("1e-3", 0.001, "", (PLAIN,)),
        (".5", 0.5, "", (PLAIN,)),
        ("65,5", 65.5, "", (COMMA,)),
        ("06", 6, "", (CODE,)),
        ("65 years 344 days", 65 + 344 / 365.25, "years", ("years and days",)),
        ("59 years", 59, "years", ("years",)),
        ("59years", 59, "years", ("years",)),
        ("1 year, 6 months and 2 days", 1.5 + 2 / 365.25, "years", ("years and months and days",)),
        ("34y", 34, "years", ("years",)),
        ("34,5 yrs", 34.5, "years", ("years", COMMA)),
        ("720 months", 60, "years", ("months",)),
        ("23000 days", 23000 / 365.25, "years", ("days",)),
        ("10 weeks", 70 / 365.25, "years", ("weeks",)),
        ("065Y", 65, "years", ("years",)),
        ("018M", 1.5, "years", ("months",)),
        ("45 %", 45, "percent", ("percent",)),
        (">89", 89, "", (PLAIN, BOUND)),
        ("≥ 90", 90, "", (PLAIN, BOUND)),
        ("< 18", 18, "", (PLAIN, BOUND)),
        ("90+", 90, "", (PLAIN, BOUND)),
        ("over 89", 89, "", (PLAIN, BOUND)),
        ("90 or older", 90, "", (PLAIN, BOUND)),
        ("> 89 years", 89, "years", ("years", BOUND)),
        ("90+ years", 90, "years", ("years", BOUND)),
        ("90 years+", 90, "years", ("years", BOUND)),
    ],
)
def test_numbers_as_people_write_them(cell: str, value: float, unit: str, ways: tuple[str, ...]) -> None:
    number = written_number(cell)
    assert number is not None
    assert number.value == pytest.approx(value)
    assert (number.unit, number.ways) == (unit, ways)


@pytest.mark.parametrize(
    "cell", ["", "Male", "12 kg", "1.234,5", "1,234.5", "5y5y", "5 % 3 days", "65 years old", "1 2", "5-7", "nan"]
)
def test_what_is_no_number(cell: str) -> None:
    assert written_number(cell) is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_a_program_writes_is_read_as_it_was(value: float) -> None:
    number = written_number(repr(value))
    assert number is not None
    assert number.value == value


@given(st.integers(1, 120), st.integers(0, 364))
def test_years_and_days(years: int, days: int) -> None:
    number = written_number(f"{years} years {days} days")
    assert number is not None
    assert number.value == pytest.approx(years + days / 365.25)


@given(st.text(max_size=80))
def test_any_cell_can_be_asked(cell: str) -> None:
    written_number(cell)
    is_date(cell)
    says_nothing(cell)


def test_a_long_cell_takes_no_time() -> None:
    for cell in ("1y," * 21 + "!", "1y " * 20 + "!", "9" * 63 + "!", "1y,5" * 15):
        assert written_number(cell) is None


def test_words_that_say_nothing() -> None:
    for cell in ("--", "'--", "Unknown", "[Not Available]", "#N/A", "?", "inf", " not  reported "):
        assert says_nothing(cell), cell
    for cell in ("no", "none", "0", "other", "+", "negative"):
        assert not says_nothing(cell), cell


def test_dates() -> None:
    for cell in ("2021-03-04", "04.03.2021", "3/4/21", "12 Mar 2020", "2021-03-04 12:00:00", "2021/3/4T08:15"):
        assert is_date(cell), cell
    for cell in ("3.4", "12-04", "2021", "65 years 3 days", "1.2.3.4", "T2-3-4"):
        assert not is_date(cell), cell
