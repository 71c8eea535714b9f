"""Names of fields of view and classes as others write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import PurePosixPath

from cryostat.cells.datasets.class_table import class_lookup
from cryostat.cells.datasets.folders import IMAGES, LABELS
from cryostat.cells.field import CellClass
from cryostat.core.errors import InputError
from cryostat.core.files import safe_name

ENDINGS = IMAGES | LABELS | {".hdf", ".hdf5", ".h5"}
"""File endings that a name may carry and a field-of-view id does not, or the other way round."""

_WHOLE = re.compile(r"(\d+)\.0+")


class FieldNames:
    """Finds the field of view that a name stands for: its id, with or without the ending of its image file.

    Args:
        fovs: Ids of all fields of view of a dataset.
    """

    def __init__(self, fovs: Iterable[str]) -> None:
        self._ids = set(fovs)
        self._stems: dict[str, list[str]] = {}
        for fov in self._ids:
            for form in {_stem(fov), safe_name(fov), _stem(safe_name(fov))}:
                self._stems.setdefault(form, []).append(fov)

    def find(self, name: str) -> str | None:
        """The id of the field, or None when no field, or more than one, goes by that name."""
        if name in self._ids:
            return name
        found = {fov for form in (name, _stem(name)) for fov in self._stems.get(form, ())}
        return found.pop() if len(found) == 1 else None


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return path.name.removesuffix(path.suffix) if path.suffix.lower() in ENDINGS else name


class ClassNames:
    """Finds the class that a text stands for: its name in any case, its id, or `background`.

    Args:
        classes: The cell types of a dataset.
    """

    def __init__(self, classes: Sequence[CellClass]) -> None:
        self.classes = classes
        exact = class_lookup(classes)
        self._ids = {"background": 0} | {name.casefold(): key for name, key in exact.items() if name} | exact

    def find(self, text: str) -> int | None:
        """The class id, 0 for background, or None when the text is no class."""
        text = text.strip()
        if whole := _WHOLE.fullmatch(text):  # Tables with gaps turn whole numbers into 3.0.
            text = whole.group(1)
        return self._ids.get(text, self._ids.get(text.casefold()))

    def require(self, texts: Iterable[str], where: str | PathLike[str]) -> Mapping[str, int]:
        """The class id of each text.

        Raises:
            InputError: One is no class.
        """
        found = {text: self.find(text) for text in texts}
        if strangers := sorted(text for text, key in found.items() if key is None):
            known = ", ".join(f"{c.id} ({c.name})" for c in self.classes)
            raise InputError(f"predicts {strangers[0]!r}, which is no class", where=where, remedy=f"Use {known}")
        return {text: key for text, key in found.items() if key is not None}
