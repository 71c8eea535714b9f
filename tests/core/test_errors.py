from __future__ import annotations

import copy
from pathlib import Path

import pytest

from cryostat.core.errors import CryostatError, InputError, MissingExtraError


def test_a_message_says_where_what_and_what_to_do() -> None:
    error = InputError("is truncated", where=Path("a/b.mat"), remedy="Download it again")
    assert str(error) == "a/b.mat: is truncated. Download it again."
    assert (error.problem, error.where, error.remedy) == ("is truncated", "a/b.mat", "Download it again")


def test_a_place_is_not_needed() -> None:
    assert str(CryostatError("there is no format 'x'", remedy="Choose another")) == (
        "there is no format 'x'. Choose another."
    )


def test_a_missing_package_names_its_extra() -> None:
    error = MissingExtraError("lmdb", extra="formats", purpose="Reading an LMDB archive")
    assert "needs the package 'lmdb'" in str(error)
    assert "pip install 'cryostat[formats]'" in error.remedy


@pytest.mark.parametrize(
    "error",
    [
        InputError("is bad", where="x", remedy="Mend it"),
        MissingExtraError("lmdb", extra="formats", purpose="Reading"),
    ],
)
def test_errors_cross_process_borders(error: CryostatError) -> None:
    back = copy.copy(error)  # by the same protocol as pickle
    assert type(back) is type(error)
    assert (str(back), back.where, back.remedy) == (str(error), error.where, error.remedy)
