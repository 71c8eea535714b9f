"""Run folders that appear whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryostat.results.records import RECORD


@contextmanager
def drafted(folder: Path) -> Iterator[Path]:
    """A folder that takes its place when complete; a run that another process finished meanwhile stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".run-"))
    try:
        yield draft
        draft.chmod(0o755)
        if not (folder / RECORD).exists():
            shutil.rmtree(folder, ignore_errors=True)
            draft.replace(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
