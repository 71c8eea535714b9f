"""Lets the tests of training on tiles import `tile_fakes`; one thread, so that results are the same to the bit."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryostat.cells.training.common import one_thread

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def single_thread() -> Iterator[None]:
    with one_thread():
        yield
