"""Reading a split from the published form of table: `sample_name,train_test_val_split`."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from cryostat.cells.dataset import PARTS, CellDataset, Split
from cryostat.core.errors import InputError
from cryostat.core.files import require_file

HEADER = ("sample_name", "train_test_val_split")
"""The two columns."""

EXTENSIONS = frozenset({".hdf", ".hdf5", ".h5", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".npy", ".mat"})
"""File endings that a sample name may carry and a field-of-view id does not."""

log = logging.getLogger(__name__)


def read_split_csv(path: Path, name: str, dataset: CellDataset) -> Split:
    """Read a split table in the published form and match its names to a dataset's fields of view.

    `val` is read as `valid`. Fields of the dataset that the table does not name are left out of the split.

    Args:
        path: CSV with the columns `sample_name` and `train_test_val_split`.
        name: Name of the split.
        dataset: The dataset that it divides.

    Raises:
        InputError: The table is damaged, names tiles instead of fields, names unknown fields or parts, names a field
            twice, or has a part without fields.
    """
    rows = _rows(path)
    if rows and "tile" in rows[0][0].lower():
        raise InputError(
            f"divides tiles ({rows[0][0]!r}), not fields of view",
            where=path,
            remedy="Use the split of whole fields of view: neighbouring tiles share nuclei and stain, so tiles of one"
            " field must not lie in two parts",
        )
    fov_of = _match([sample for sample, _ in rows], dataset, path)
    parts: dict[str, str] = {}
    for sample, part in rows:
        fov = fov_of[sample]
        if fov in parts:
            raise InputError(f"names {fov!r} twice", where=path, remedy="Keep one row a field of view")
        parts[fov] = part
    if lacking := [part for part in PARTS if part not in parts.values()]:
        raise InputError(f"has no field in {lacking[0]!r}", where=path, remedy="A split needs train, valid and test")
    return Split(name, parts)


def _rows(path: Path) -> list[tuple[str, str]]:
    require_file(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            table = list(csv.DictReader(stream))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"is not a CSV table ({error})", where=path, remedy="Save it as UTF-8 text") from error
    if not table or any(column not in table[0] for column in HEADER):
        raise InputError(
            f"lacks rows or the columns {HEADER[0]} and {HEADER[1]}",
            where=path,
            remedy=f"Give it the header line {','.join(HEADER)}",
        )
    return list(_parts(table, path))


def _parts(table: Iterable[dict[str, str | None]], path: Path) -> Iterator[tuple[str, str]]:
    renamed = 0
    for line, row in enumerate(table, 2):
        sample, part = ((row[column] or "").strip() for column in HEADER)
        renamed += part == "val"
        part = "valid" if part == "val" else part
        if not sample or part not in PARTS:
            raise InputError(
                f"line {line} puts {sample!r} into {part!r}", where=path, remedy="Use the parts train, valid and test"
            )
        yield sample, part
    if renamed:
        log.warning("%s: read 'val' as 'valid' in %d rows", path, renamed)


def _match(samples: Iterable[str], dataset: CellDataset, path: Path) -> dict[str, str]:
    fovs = [str(fov) for fov in dataset.fovs["fov_id"]]
    known = {_stem(fov): fov for fov in fovs} | {fov: fov for fov in fovs}
    matched = {sample: known.get(sample) or known.get(_stem(sample)) for sample in samples}
    unmatched = [sample for sample, fov in matched.items() if fov is None]
    if unmatched:
        shown = ", ".join(unmatched[:8]) + (" …" if len(unmatched) > 8 else "")
        raise InputError(
            f"names {len(unmatched)} fields of view that dataset {dataset.name!r} does not have: {shown}",
            where=path,
            remedy=f"Import the complete dataset, or take the split that belongs to it (its fields are named like"
            f" {fovs[0]!r})",
        )
    return {sample: fov for sample, fov in matched.items() if fov is not None}


def _stem(sample: str) -> str:
    name = PurePosixPath(sample)
    return name.stem if name.suffix.lower() in EXTENSIONS else sample
