"""The stores of a home folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cryostat.core.errors import SettingError, StoreError
from cryostat.core.home import Home
from cryostat.core.identity import Facts
from cryostat.features.identity import store_folder
from cryostat.features.layout import FACTS
from cryostat.features.store import FeatureStore

_GRAVE = ".deleted-"


def find_store(home: Home, identity: Facts) -> FeatureStore | None:
    """The store of an identity (`feature_identity`), complete or not; None when there is none.

    Raises:
        StoreError: It is there but damaged.
    """
    folder = store_folder(home, identity)
    return FeatureStore(folder) if (folder / FACTS).exists() else None


def all_stores(home: Home) -> Mapping[Path, FeatureStore | StoreError]:
    """Every store of a home by its folder, in order of name; for one that cannot be opened, the reason."""
    return {path.parent: _opened(path.parent) for path in sorted(home.features.glob(f"[!.]*/{FACTS}"))}


def _opened(folder: Path) -> FeatureStore | StoreError:
    try:
        return FeatureStore(folder)
    except StoreError as error:
        return error


def named_store(home: Home, name: str) -> FeatureStore:
    """The store whose folder has a name, or the only one whose name contains it (for instance part of its hash).

    Raises:
        SettingError: None does, or several do; the message lists those there are.
        StoreError: It is damaged.
    """
    folders = list(all_stores(home))
    matching = [f for f in folders if f.name == name] or [f for f in folders if name in f.name]
    if len(matching) == 1:
        return FeatureStore(matching[0])
    listed = ", ".join(folder.name for folder in matching or folders) or "none yet"
    problem = f"{len(matching)} stores match {name!r}" if matching else f"no store matches {name!r}"
    raise SettingError(
        f"{problem} (there are: {listed})", where=home.features, remedy="Give enough of its name to tell"
    )


def last_written(folder: Path) -> float:
    """When a file of a store last changed, in seconds since the epoch."""
    return max((path.stat().st_mtime for path in folder.iterdir()), default=0.0)


def delete_store(folder: Path) -> None:
    """Delete a store; it is gone from sight at once, so that nobody finds half of it."""
    for grave in folder.parent.glob(f"{_GRAVE}*"):
        shutil.rmtree(grave, ignore_errors=True)
    grave = Path(tempfile.mkdtemp(dir=folder.parent, prefix=_GRAVE))
    folder.replace(grave / folder.name)
    shutil.rmtree(grave, ignore_errors=True)
