"""The common path of all importers."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, cast

import pandas as pd

from cryostat.cells.dataset import CellDataset, Split
from cryostat.cells.field import DatasetFacts, Field
from cryostat.cells.writer import DatasetWriter
from cryostat.core.errors import InputError, SettingError
from cryostat.core.files import require_folder
from cryostat.core.home import Home
from cryostat.core.progress import track

FORMATS: Mapping[str, str] = {
    name: f"cryostat.cells.datasets.{module}"
    for name, module in {
        "lizard": "lizard",
        "pannuke": "pannuke",
        "arctique": "arctique",
        "pathocell": "pathocell",
        "consep": "consep",
        "conic": "conic",
        "generic": "generic",
        "qupath": "qupath",
        "lmdb": "published_lmdb",
    }.items()
}
"""Format name to the module that reads it."""


@dataclass(frozen=True)
class ImportOptions:
    """What a user may say about a source; a format uses what concerns it and refuses what it cannot honour.

    Attributes:
        mpp: µm per pixel, for formats that do not state it.
        clinical: Table with a row a patient or field of view (`patient_id` or `fov_id` column); further columns
            become groups.
        classes: Class table (`id,name[,color]`), for formats that do not know their classes.
        limit: Read at most this many fields of view.
        settings: Format-specific settings, name to text (`--set name=value`).
    """

    mpp: float | None = None
    clinical: Path | None = None
    classes: Path | None = None
    limit: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FieldSource:
    """A field of view that is listed but not read yet."""

    fov_id: str
    load: Callable[[], Field]


@dataclass(frozen=True)
class Listing:
    """What a format found in a source folder.

    Attributes:
        facts: The dataset's facts, completed from options and files.
        sources: The fields of view, in a fixed order.
        splits: Makes the dataset's published and customary splits from the table of imported fields of view
            (columns as in `fovs.parquet`); a split whose fields are not all there is left out.
        checksums: Source files worth recording, relative path to SHA-256.
        remarks: Asked once the fields are read: what a user should know of what was met in them, for the notes.
    """

    facts: DatasetFacts
    sources: Sequence[FieldSource]
    splits: Callable[[pd.DataFrame], Iterable[Split]] = lambda fovs: ()
    checksums: Mapping[str, str] = field(default_factory=dict)
    remarks: Callable[[], Iterable[str]] = tuple


class Format(Protocol):
    """A module that reads one release format."""

    FACTS: DatasetFacts

    def listing(self, source: Path, options: ImportOptions) -> Listing:
        """List a source folder without reading pixels; raise InputError when it is not this format."""
        ...


def load_format(name: str) -> Format:
    """The module that reads a format.

    Raises:
        SettingError: There is no such format.
    """
    if name not in FORMATS:
        raise SettingError(f"there is no format {name!r}", remedy=f"Choose one of: {', '.join(FORMATS)}")
    return cast(Format, importlib.import_module(FORMATS[name]))


def import_dataset(
    format_name: str,
    source: Path,
    home: Home,
    *,
    name: str | None = None,
    options: ImportOptions | None = None,
    overwrite: bool = False,
    skip_bad: bool = False,
) -> CellDataset:
    """Read a released dataset into the home folder.

    Args:
        format_name: One of `FORMATS`.
        source: Folder of the release.
        home: Where datasets live.
        name: Name to import under; the format's own by default.
        options: What the user said about the source.
        overwrite: Replace a dataset of that name.
        skip_bad: Leave out fields of view that cannot be read, noting the reason in `excluded.parquet`.

    Raises:
        InputError: The source is damaged or not of this format; nothing is left half-written.
        SettingError: The name is taken or the format unknown.
    """
    options = options or ImportOptions()
    if options.limit is not None and options.limit < 1:
        raise SettingError(f"a limit of {options.limit} fields leaves none", remedy="Pass --limit 1 or more")
    reader = load_format(format_name)
    require_folder(source)
    listing = reader.listing(source, options)
    facts = replace(listing.facts, name=name or listing.facts.name)
    folder = home.datasets / facts.name
    with DatasetWriter(folder, facts, overwrite=overwrite) as writer:
        for item in track(listing.sources[: options.limit], f"Importing {facts.name}"):
            try:
                writer.add(item.load())
            except InputError as error:
                if not skip_bad:
                    raise
                writer.exclude(item.fov_id, str(error))
        writer.add_splits(listing.splits(writer.fov_table()))
        writer.note_source(listing.checksums)
        writer.add_notes(listing.remarks())
    return CellDataset(folder)
