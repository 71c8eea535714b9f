"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and parity fixtures beside the checkout; skips where there is none."""
    if not SHARED.exists():
        pytest.skip("no ../shared beside the checkout: real data is not here")
    return SHARED
