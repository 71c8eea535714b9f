from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from cryostat.core.errors import EncoderError, InputError
from cryostat.encoders import passport
from cryostat.encoders.passport import CheckReport, Finding


def test_relative_differences() -> None:
    assert passport.relative(np.array([3.0, 4.0]), np.array([0.0, 5.0])) == pytest.approx(np.sqrt(10) / 5)
    assert passport.relative(np.zeros(2), np.zeros(2)) == 0
    assert passport.relative(np.array([np.nan]), np.ones(1)) == np.inf


def test_only_essential_failures_fail() -> None:
    doubt = Finding("contrast", False, "", essential=False)
    report = CheckReport("mine", (Finding("a", True, ""), Finding("b", None, ""), doubt))
    assert report.passed
    assert report.warnings == (doubt,)
    assert not CheckReport("mine", (Finding("a", False, ""),)).passed
    assert report.as_json()["passed"] is True


def test_what_was_found_before_an_error_is_kept() -> None:
    def tests() -> Iterator[Finding]:
        yield Finding("shapes", True, "")
        raise EncoderError("it broke", remedy="Mend it")

    report = passport.attempted("mine", "slides", tests(), lambda: (1.0, None, 0))
    assert [(f.name, f.passed) for f in report.findings] == [("shapes", True), ("encodes", False)]
    assert report.findings[1].remedy == "Mend it"
    assert not report.passed
    assert report.per_second == 0


def raises() -> None:
    raise InputError("is wrong", remedy="Right it")


def test_refusals() -> None:
    both = {"nonsense": raises, "more": raises}
    assert passport.refused("refusals", both, "").detail == "refuses nonsense, more"
    found = passport.refused("refusals", {**both, "a lie": lambda: None}, "Check it")
    assert (found.passed, found.detail, found.remedy) == (False, "lets through a lie", "Check it")


def test_parameters_and_identity() -> None:
    assert passport.counted(0, None) == []
    assert [f.passed for f in (*passport.counted(5, 5), *passport.counted(5, 6), *passport.counted(5, None))] == [
        True,
        False,
        None,
    ]
    assert "5, the card states 6" in passport.counted(5, 6)[0].detail
    assert passport.named(lambda: {"a": 1}).passed
    assert not passport.named(lambda: {"a": object()}).passed
    assert not passport.named(lambda: {"a": float("nan")}).passed
    calls = iter(range(9))
    assert passport.named(lambda: {"a": next(calls)}).detail == "changes from call to call"


def test_half_precision_is_judged_where_it_is_used() -> None:
    assert passport.drift("bf16", 0.5, in_use=False).passed is None
    assert passport.drift("bf16", 0.5, in_use=True).passed is False
    assert passport.drift("bf16", 0.01, in_use=True).passed
    assert passport.drift("bf16", 0.0, in_use=False).detail == "computes in fp32 throughout"


def test_speed_counts_inputs() -> None:
    per_second, peak = passport.speed(lambda: None, 10, "cpu", 0.0)
    assert per_second > 0
    assert peak is None
