"""Where Cryostat keeps datasets, features and runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """The folder that holds everything computed; `CRYOSTAT_HOME` or `--home` names it."""

    root: Path

    @classmethod
    def find(cls, root: Path | str | None = None) -> Home:
        """The folder asked for, else `$CRYOSTAT_HOME`, else `~/.cryostat`."""
        chosen = root or os.environ.get("CRYOSTAT_HOME") or Path.home() / ".cryostat"
        return cls(Path(chosen).expanduser().resolve())

    @property
    def datasets(self) -> Path:
        """Imported datasets, one folder a name."""
        return self.root / "datasets"

    @property
    def features(self) -> Path:
        """Feature stores, one folder an identity."""
        return self.root / "features"

    @property
    def runs(self) -> Path:
        """Runs, one folder an identity."""
        return self.root / "runs"
