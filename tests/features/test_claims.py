"""Locks of shards."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryostat.core.errors import StoreError
from cryostat.features.claims import alone, is_held, release, try_lock


def test_one_holds_a_lock_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "shard-00000.lock"
    first = try_lock(path)
    assert first is not None
    assert try_lock(path) is None
    assert is_held(path)
    release(first, delete=False)
    assert path.exists()
    assert not is_held(path)
    second = try_lock(path)
    assert second is not None
    release(second, delete=True)
    assert not path.exists()


def test_a_lock_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be locked"):
        try_lock(tmp_path / "file" / "lock")
    with pytest.raises(StoreError, match="cannot be locked"), alone(tmp_path / "file" / "lock"):
        pass


def test_alone_waits_only_so_long_and_deletes_its_lock_once_the_thing_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "store.lock"
    with alone(path):
        assert path.exists()
        with pytest.raises(StoreError, match="end the process that holds it"), alone(path, seconds=0.01):
            pass
    assert not path.exists()
    with pytest.raises(ValueError, match="no"), alone(path):
        raise ValueError("no")
    assert path.exists()
