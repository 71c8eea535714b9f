"""Files that were made elsewhere, one a field of view."""

from __future__ import annotations

from pathlib import Path

from cryostat.cells.dataset import CellDataset
from cryostat.cells.datasets.folders import by_stem
from cryostat.cells.scoring.names import FieldNames
from cryostat.core.errors import InputError


def files_of(folder: Path, dataset: CellDataset, endings: frozenset[str]) -> dict[str, Path]:
    """Field of view to its file; files that bear no field's name are passed over.

    Raises:
        InputError: No file bears the name of a field, or two bear that of one.
    """
    fields, found = FieldNames(map(str, dataset.fovs.index)), dict[str, Path]()
    stems = by_stem(folder, endings)
    for stem, path in stems.items():
        fov = fields.find(stem)
        if fov is not None and found.setdefault(fov, path) != path:
            raise InputError(
                f"holds both {found[fov].name} and {path.name} for {fov!r}",
                where=folder,
                remedy="Keep one file a field",
            )
    if not found:
        raise InputError(
            f"holds no file named after a field of {dataset.name!r} (first file: {next(iter(stems.values())).name})",
            where=folder,
            remedy=f"Name the files after the fields, for example {dataset.fovs.index[0]}.npy",
        )
    return found
