"""Paths as a cohort's table has them: several in a cell, patterns, and always under the root."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from cryostat.core.errors import InputError

SEPARATOR = ";"
LONGEST = 1024
"""Characters of the longest path; beyond, it is a text that was written into the table."""
PATTERN = re.compile(r"[*?\[]")


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """Turn what the disk says of a file that cannot be opened into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot be opened ({error.strerror or error})", where=path, remedy="Check its name and who may read it"
        ) from error


def written_paths(cell: str | None) -> list[str]:
    """The paths of a cell, parted by semicolons."""
    return [part for part in map(str.strip, (cell or "").split(SEPARATOR)) if part]


def require_inside(written: str, root: Path, where: str) -> None:
    """Raise an InputError where a path leads out of the root, or is a text; links inside the root may point anywhere.

    A cohort then moves as one folder, and a manifest from elsewhere cannot have any other file read.
    """
    if len(written) > LONGEST or not written.isprintable():
        raise InputError(
            f"holds a text of {len(written)} characters where a path is expected",
            where=where,
            remedy="Write each text to a file of its own, and the file's path into the table",
        )
    base = os.path.normpath(root)
    if not Path(os.path.normpath(Path(base, written))).is_relative_to(base):
        raise InputError(
            f"has the path {written!r}, which lies outside the cohort's root {base}",
            where=where,
            remedy="Write root in [cohort] as a folder that holds all files, or link the file into the root",
        )


def resolved_paths(cell: str | None, root: Path) -> tuple[Path, ...]:
    """The files that a cell names, each once, a pattern's in the order of their names.

    A pattern that matches nothing stays as it is written, so that it is reported as a missing file.
    """
    found = (path for written in written_paths(cell) for path in _matches(written, root))
    return tuple(dict.fromkeys(found))


def shown_path(path: Path, root: Path) -> str:
    """A path as it stands under the root, or whole where it lies elsewhere."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _matches(written: str, root: Path) -> Iterator[Path]:
    path = Path(os.path.normpath(root / written))
    if not PATTERN.search(written) or os.path.exists(path):
        yield path
        return
    # Under the root alone, whose own name may have brackets.
    base = Path(os.path.normpath(root))
    names = sorted(glob.glob(os.path.relpath(path, base), root_dir=base, recursive=True), key=_natural)
    yield from (base / name for name in names) if names else (path,)


@cache
def _natural(name: str) -> tuple[tuple[bool, int, str], ...]:
    """Numbers in names by size: slide2 before slide10."""
    parts = re.split(r"(\d+)", name)
    return tuple((part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts)
