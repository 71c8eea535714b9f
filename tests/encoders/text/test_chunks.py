from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryostat.core.errors import SettingError
from cryostat.encoders.text.chunks import windows


def test_windows_by_hand() -> None:
    assert windows(10, 4, 1) == [range(0, 4), range(3, 7), range(6, 10)]
    assert windows(11, 4, 1) == [range(0, 4), range(3, 7), range(6, 10), range(9, 11)]
    assert windows(4, 4, 1) == [range(0, 4)]
    assert windows(0, 4, 1) == [range(0, 0)]


@given(st.integers(0, 300), st.integers(1, 40), st.data())
def test_windows_cover_all_and_share_what_they_should(length: int, size: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, size - 1))
    found = windows(length, size, overlap)
    assert sorted({i for window in found for i in window}) == list(range(length))
    assert all(len(window) <= size for window in found)
    assert all(len(window) == size for window in found[:-1])
    assert all(a.stop - b.start == overlap for a, b in itertools.pairwise(found))
    # No window lies wholly within the one before.
    assert all(b.stop > a.stop for a, b in itertools.pairwise(found))


@pytest.mark.parametrize("overlap", [-1, 4, 9])
def test_windows_that_would_stand_still(overlap: int) -> None:
    with pytest.raises(SettingError, match="windows of 4 tokens cannot overlap"):
        windows(10, 4, overlap)
