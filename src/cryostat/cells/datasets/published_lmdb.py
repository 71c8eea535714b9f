"""The benchmark's own archives: LMDB environments of tiles, each record a pickled dict.

The archives are a second-hand form: tiles are cut and padded, nuclei at cuts are halved, patients are lost. Import the
original release where it can be had; this reader is for those who have only the archive, or want to repeat its tiles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.cells.dataset import GROUP, PARTS, Split
from cryostat.cells.datasets.arrays import eight_bits
from cryostat.cells.datasets.class_table import check_class_list, read_class_table
from cryostat.cells.datasets.importing import FieldSource, ImportOptions, Listing
from cryostat.cells.datasets.plain_pickle import read_plain_pickle
from cryostat.cells.datasets.settings import read_settings
from cryostat.cells.datasets.tables import read_text_table
from cryostat.cells.field import CellClass, DatasetFacts, Field, field_from_semantic
from cryostat.core.errors import InputError, MissingExtraError, SettingError
from cryostat.core.files import read_json, require_file

WAY_OUT = "Import the dataset's original release instead (lizard, pannuke, arctique or pathocell)"

FACTS = DatasetFacts(
    name="lmdb",
    title="Tiles from a published LMDB archive",
    classes=(),
    mpp=None,
    licence="That of the dataset whose tiles these are",
    citation="PathoCellBench (Kainmueller lab, 2025), and the dataset whose tiles these are",
    notes=(
        "Each field is one published tile, cut evenly and padded with zeros; a nucleus on a cut is one in each tile.",
        "A tile's field of view is the group sample; a split must keep the tiles of one sample together.",
        "Pickled records are read with nothing but arrays and plain values allowed.",
    ),
)

KEYS = ("tile_name", "sample_name", "image", "semantic_mask", "instance_mask")


def listing(source: Path, options: ImportOptions) -> Listing:
    """List the records of an LMDB folder; none is read yet, so sources are named by their keys.

    Needs `options.mpp`, as the archives do not state their scale, and names of the classes: `options.classes`, or
    `label_dict.json` in the folder or beside it.

    Raises:
        InputError: The archive is missing, in parts, truncated or empty, or the classes have no names.
        SettingError: The scale is not stated, or an option does not concern this format.
        MissingExtraError: The package `lmdb` is not installed.
    """
    read_settings("lmdb", options, {}, uses=("mpp", "classes"))
    if options.mpp is None:
        raise SettingError(
            "an LMDB archive does not state its scale",
            remedy="Say it with --mpp (Lizard 0.5, PanNuke 0.25, Arctique 0.29, PathoCell 0.377)",
        )
    folder = _folder(source)
    facts = replace(FACTS, classes=_classes(folder, options), mpp=options.mpp)
    archive = Archive(folder)
    load = partial(_load, archive, where=str(archive.path.relative_to(source)), mpp=options.mpp)
    sources = [FieldSource(key.decode("latin-1"), partial(load, key)) for key in archive]
    return Listing(facts, sources, splits=partial(_splits, folder))


def _folder(source: Path) -> Path:
    found = sorted(path.parent for path in source.rglob("data.mdb"))
    if len(found) == 1:
        return found[0]
    parts = sorted(source.rglob("data.mdb.part_*"))
    if not found and parts:
        raise InputError(
            f"the archive is in {len(parts)} parts",
            where=parts[0].parent,
            remedy="Join them first: cat data.mdb.part_* > data.mdb",
        )
    raise InputError(
        f"holds {len(found)} files called data.mdb", where=source, remedy="Name the folder of one LMDB archive"
    )


def _classes(folder: Path, options: ImportOptions) -> tuple[CellClass, ...]:
    if options.classes is not None:
        return read_class_table(options.classes)
    path = next((p / "label_dict.json" for p in (folder, folder.parent) if (p / "label_dict.json").exists()), None)
    if path is None:
        raise InputError(
            "the archive does not name its classes",
            where=folder,
            remedy="Put the release's label_dict.json beside it, or pass a table id,name with --classes",
        )
    names = read_json(path)
    if not isinstance(names, dict) or not all(str(k).isdecimal() and isinstance(v, str) for k, v in names.items()):
        raise InputError(
            "is not a map of class id to name", where=path, remedy='Write it as {"0": "background", "1": "…"}'
        )
    return check_class_list([CellClass(int(k), v.strip()) for k, v in names.items() if int(k)], path)


class Archive:
    """An LMDB environment opened for reading.

    Raises:
        InputError: The file is no LMDB environment, or shorter than it says.
        MissingExtraError: The package `lmdb` is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import lmdb
        except ImportError as error:
            raise MissingExtraError("lmdb", extra="formats", purpose="Reading an LMDB archive") from error
        self.path = folder / "data.mdb"
        self._error: type[Exception] = lmdb.Error
        require_file(self.path)
        try:
            self._env = lmdb.open(str(folder), readonly=True, lock=False, readahead=False, meminit=False)
            pages, page = self._env.info()["last_pgno"] + 1, self._env.stat()["psize"]
        except lmdb.Error as error:
            raise self._damaged(error) from error
        # LMDB maps the file; touching a page beyond its end would end the process, not raise.
        if self.path.stat().st_size < pages * page:
            raise self._damaged(f"{self.path.stat().st_size:,} bytes of {pages * page:,}")

    def _damaged(self, detail: object) -> InputError:
        return InputError(
            f"is not an LMDB archive, or is truncated ({detail})", where=self.path, remedy="Download the file again"
        )

    def __iter__(self) -> Iterator[bytes]:
        """All keys, ascending."""
        try:
            with self._env.begin() as reading:
                yield from [bytes(key) for key in reading.cursor().iternext(keys=True, values=False)]
        except self._error as error:
            raise self._damaged(error) from error

    def __getitem__(self, key: bytes) -> bytes:
        """The bytes under a key."""
        try:
            with self._env.begin() as reading:
                return bytes(reading.get(key, default=b""))
        except self._error as error:
            raise self._damaged(error) from error


def _load(archive: Archive, key: bytes, *, where: str, mpp: float) -> Field:
    where = f"{where}[{key.decode('latin-1')}]"
    record = read_plain_pickle(archive[key], where, WAY_OUT)
    if not isinstance(record, dict) or (lacking := [name for name in KEYS if name not in record]):
        has = ", ".join(map(str, record)) if isinstance(record, dict) else type(record).__name__
        lacks = f"lacks {lacking[0]!r} (it has: {has})" if isinstance(record, dict) else f"is a {has}, not a dict"
        raise InputError(f"the record {lacks}", where=where, remedy=WAY_OUT)
    image = eight_bits(_array(record, "image", where), where)
    if image.ndim != 3 or image.shape[0] != 3:
        raise InputError(f"the image has shape {image.shape}, not (3, height, width)", where=where, remedy=WAY_OUT)
    return field_from_semantic(
        _text(record, "tile_name", where),
        np.ascontiguousarray(np.moveaxis(image, 0, -1)),
        _array(record, "instance_mask", where),
        _array(record, "semantic_mask", where),
        mpp=mpp,
        source=where,
        groups={"sample": _text(record, "sample_name", where)},
    )


def _array(record: Mapping[str, Any], name: str, where: str) -> NDArray[Any]:
    value = record[name]
    if not isinstance(value, np.ndarray):
        raise InputError(f"{name!r} is a {type(value).__name__}, not an array", where=where, remedy=WAY_OUT)
    return value


def _text(record: Mapping[str, Any], name: str, where: str) -> str:
    value = record[name]
    if not isinstance(value, str | int | np.integer):
        raise InputError(f"{name!r} is a {type(value).__name__}, not a name", where=where, remedy=WAY_OUT)
    return str(value)


def _splits(folder: Path, fovs: pd.DataFrame) -> list[Split]:
    """The published split tables in the folder, in `splits`, or in `splits` beside the folder, that fit the tiles."""
    places = (folder, folder / "splits", folder.parent / "splits")
    tables = {path.stem: path for place in places for path in sorted(place.glob("*.csv"))}
    splits = [split for name, path in tables.items() if (split := _split(name, path, fovs))]
    return [split for split in splits if set(split.parts.values()) == set(PARTS)]


def _split(name: str, path: Path, fovs: pd.DataFrame) -> Split | None:
    """A table `sample_name,train_test_val_split` of samples or tiles, or None when it is another table or dataset's."""
    table = read_text_table(path)
    if not {"sample_name", "train_test_val_split"} <= set(table.columns):
        return None
    part_of = dict(zip(table["sample_name"], table["train_test_val_split"].replace("val", "valid"), strict=True))
    keys = fovs["fov_id"] if set(part_of) <= set(fovs["fov_id"]) else fovs[f"{GROUP}sample"]
    parts = {fov: part_of[key] for fov, key in zip(fovs["fov_id"], keys, strict=True) if key in part_of}
    return Split(name, parts) if set(part_of) <= set(keys) else None
