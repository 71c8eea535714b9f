"""The studies that ship: the experiments of PathoCellBench as study files."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from cryostat.core.errors import SettingError

FOLDER = Path(str(files(__package__)))
"""Where they are."""


def study_names() -> list[str]:
    """Names of the studies that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def find_study(name_or_path: str | Path) -> Path:
    """The file of a study: a path that exists, else a study that ships, with or without `.toml`.

    Raises:
        SettingError: There is neither.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    name = str(name_or_path).removesuffix(".toml")
    if name not in study_names():
        raise SettingError(
            f"there is no study {str(name_or_path)!r}",
            remedy=f"Name a study file (TOML), or one that ships: {', '.join(study_names())}",
        )
    return FOLDER / f"{name}.toml"
