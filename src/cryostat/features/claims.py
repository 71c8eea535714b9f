"""Who works on which shard: locks that a killed process lets go of.

A lock file is deleted only once its shard is stored, and whoever gets a lock looks again whether the shard is. So it
does no harm that, for a moment, two processes may hold locks on two files of the same name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from cryostat.core.errors import StoreError


def try_lock(path: Path) -> FileLock | None:
    """Take a lock at once, or None when another process holds it.

    Raises:
        StoreError: The folder cannot be written.
    """
    # Not bound to a thread: a shard is claimed in one thread and let go in another.
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    except OSError as error:
        raise StoreError(
            f"cannot be locked ({error.strerror})", where=path, remedy="Make its folder writable, or use another --home"
        ) from error
    return lock


def release(lock: FileLock, *, delete: bool) -> None:
    """Let go of a lock; `delete` its file only if the shard that it guards is stored."""
    lock.release()
    if delete:
        # Windows refuses while another process looks at the file; that one deletes it then.
        with suppress(PermissionError):
            Path(lock.lock_file).unlink(missing_ok=True)


def is_held(path: Path) -> bool:
    """Whether any process holds the lock file `path` right now."""
    lock = try_lock(path)
    if lock is not None:
        release(lock, delete=False)
    return lock is None


@contextmanager
def alone(path: Path, seconds: float = 60) -> Iterator[None]:
    """Wait for a lock in which to make what others then find made.

    Raises:
        StoreError: Another process held it for longer than `seconds`, or the folder cannot be written.
    """
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=seconds)
    except (Timeout, OSError) as error:
        raise StoreError(
            f"cannot be locked ({error})",
            where=path,
            remedy="Make its folder writable, or end the process that holds it",
        ) from error
    made = False
    try:
        yield
        made = True
    finally:
        release(lock, delete=made)
