"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Before torch is loaded: several processes of several threads each wait for each other's threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes is the machine's affair; speed is measured in benchmarks.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and parity fixtures beside the checkout; skips where there is none."""
    if not SHARED.exists():
        pytest.skip("no ../shared beside the checkout: real data is not here")
    return SHARED
