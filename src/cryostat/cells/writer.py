"""Writing a dataset: every field checked, the folder appears whole or not at all."""

from __future__ import annotations

import glob
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
import tomli_w

from cryostat.cells.dataset import FORMAT, GROUP, PARTS, Split
from cryostat.cells.field import (
    MAX_CLASS,
    DatasetFacts,
    Field,
    cell_geometry,
    check_cells,
    check_classes,
    check_image,
    check_labels,
)
from cryostat.core.errors import InputError, SettingError
from cryostat.core.files import atomic_write, safe_name, write_parquet
from cryostat.core.identity import digest, sha256_array

MAX_NAME = 200
"""Longest file name made of a field's id; file systems allow 255 bytes, and drafts add to it."""


ABANDONED = 86_400
"""Seconds after which a draft that nobody wrote to is taken for that of a killed import."""


class DatasetWriter:
    """Context manager that collects fields of view and, on a clean exit, puts the dataset in place.

    Args:
        folder: Where the dataset is to stand; its parent is made.
        facts: What is known of the dataset.
        overwrite: Replace a dataset that is there already (only once the new one is complete).

    Raises:
        SettingError: The folder exists and may not be replaced, or the name is not usable.
        InputError: From `add`, when a field contradicts itself or another.
    """

    def __init__(self, folder: Path, facts: DatasetFacts, *, overwrite: bool = False) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", facts.name):
            raise SettingError(
                f"{facts.name!r} is no dataset name", remedy="Use lower-case letters, digits and hyphens"
            )
        if folder.exists() and not overwrite:
            raise SettingError(
                f"{folder} exists already", remedy="Pass --overwrite to replace it, or choose another --name"
            )
        _check_class_table(facts)
        self.folder, self.facts, self._overwrite = folder, facts, overwrite
        self._fovs: list[dict[str, Any]] = []
        self._cells: list[pd.DataFrame] = []
        self._hashes: dict[str, list[str]] = {}
        self._excluded: list[dict[str, str]] = []
        self._splits: list[Split] = []
        self._checksums: dict[str, str] = {}
        self._notes = list(facts.notes)

    def __enter__(self) -> Self:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{self.folder.name}.importing-"
        _sweep(self.folder.parent, prefix)
        self._draft = Path(tempfile.mkdtemp(dir=self.folder.parent, prefix=prefix))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            shutil.rmtree(self._draft, ignore_errors=True)

    def add(self, field: Field) -> None:
        """Check one field of view and write its arrays."""
        where = field.source or field.fov_id
        if len(safe_name(field.fov_id)) > MAX_NAME:
            raise InputError(
                f"the field-of-view id {field.fov_id[:40]!r}… is too long for a file name",
                where=where,
                remedy=f"Give the field a name of at most {MAX_NAME} letters",
            )
        if not field.fov_id or field.fov_id in self._hashes:
            raise InputError(
                f"the field-of-view id {field.fov_id!r} occurs twice or is empty",
                where=where,
                remedy="Give each field its own name",
            )
        check_image(field.image, where)
        check_labels(field.instances, field.image.shape[:2], where, "instance map")
        check_cells(field)
        if field.semantic is not None:
            check_labels(field.semantic, field.image.shape[:2], where, "class map")
        check_classes(field, self.facts.classes)
        if not 0.01 <= field.mpp <= 20:
            raise InputError(
                f"{field.mpp} µm per pixel is not a microscope's",
                where=where,
                remedy="State the scale with --mpp",
            )
        instances = field.instances.astype(
            np.uint16 if field.instances.max(initial=0) < 2**16 else np.int32, copy=False
        )
        hashes = [
            self._array("images", field.fov_id, field.image),
            self._array("instances", field.fov_id, instances),
        ]
        if field.semantic is not None:
            hashes.append(self._array("semantic", field.fov_id, field.semantic.astype(np.uint16, copy=False)))
        self._hashes[field.fov_id] = hashes
        self._fovs.append(_fov_row(field))
        self._cells.append(_cell_rows(field))

    def fov_table(self) -> pd.DataFrame:
        """The fields of view added so far, as `fovs.parquet` will hold them."""
        return pd.DataFrame(self._fovs)

    def exclude(self, fov_id: str, reason: str) -> None:
        """Note a field of view that could not be read, with the reason."""
        self._excluded.append({"fov_id": fov_id, "reason": reason})

    def add_splits(self, splits: Iterable[Split]) -> None:
        """Store splits beside the data."""
        self._splits.extend(splits)

    def note_source(self, checksums: Mapping[str, str]) -> None:
        """Record checksums of source files, path relative to the source folder to SHA-256."""
        self._checksums.update(checksums)

    def add_notes(self, notes: Iterable[str]) -> None:
        """Record what a user should know beside the facts' own notes, one sentence each."""
        self._notes.extend(notes)

    def _array(self, kind: str, fov_id: str, array: Any) -> str:
        folder = self._draft / kind
        folder.mkdir(exist_ok=True)
        np.save(folder / f"{safe_name(fov_id)}.npy", np.ascontiguousarray(array), allow_pickle=False)
        return sha256_array(array)

    def _finish(self) -> None:
        if not self._fovs:
            raise InputError(
                "no field of view could be read",
                where=self.facts.name,
                remedy="Check that the source folder is the released layout",
            )
        fovs, cells = pd.DataFrame(self._fovs), pd.concat(self._cells, ignore_index=True)
        write_parquet(self._draft / "fovs.parquet", fovs)
        write_parquet(self._draft / "cells.parquet", cells)
        if self._excluded:
            write_parquet(self._draft / "excluded.parquet", pd.DataFrame(self._excluded))
        known = set(fovs["fov_id"])
        for split in self._splits:
            write_split(self._draft, split, known)
        with atomic_write(self._draft / "dataset.toml") as stream:
            tomli_w.dump(self._toml(fovs, cells), stream)
        self._put_in_place()

    def _put_in_place(self) -> None:
        _flush(self._draft)
        self._draft.chmod(0o755)
        if not self.folder.exists():
            self._draft.replace(self.folder)
            return
        if not self._overwrite:
            raise SettingError(
                f"{self.folder} was made by another import meanwhile", remedy="Import again under another --name"
            )
        aside = Path(tempfile.mkdtemp(dir=self.folder.parent, prefix=f".{self.folder.name}.replaced-"))
        self.folder.replace(aside / "old")
        try:
            self._draft.replace(self.folder)
        except OSError:
            (aside / "old").replace(self.folder)
            raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _toml(self, fovs: pd.DataFrame, cells: pd.DataFrame) -> dict[str, Any]:
        facts = self.facts
        classes = [{"id": c.id, "name": c.name, "color": c.color} for c in facts.classes]
        about = fovs.drop(columns=["source"]).sort_values("fov_id").astype(object).where(lambda t: t.notna(), None)
        content = {
            "classes": [(c.id, c.name) for c in facts.classes],
            "arrays": self._hashes,
            "fovs": about.to_dict("records"),
            "cells": cells.sort_values(["fov_id", "cell_id"])[["cell_id", "class_id"]].to_numpy().tolist(),
        }
        return {
            "format": FORMAT,
            "name": facts.name,
            "title": facts.title,
            "identity": digest(content),
            "importer": facts.importer,
            **({"mpp": facts.mpp} if facts.mpp is not None else {}),
            "licence": facts.licence,
            "citation": facts.citation,
            "url": facts.url,
            "notes": self._notes,
            "fields": len(fovs),
            "cells": len(cells),
            "classes": classes,
            "source_sha256": dict(sorted(self._checksums.items())),
        }


def _flush(folder: Path) -> None:
    """Bring all files of a draft to the disk, together: one by one, waiting for the disk takes longer than writing."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(_flush_file, [path for path in folder.rglob("*.npy") if path.is_file()]))


def _flush_file(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_split(folder: Path, split: Split, known: Iterable[str] | None = None) -> None:
    """Store a split beside a dataset.

    Raises:
        InputError: A field of view is unknown, a part has another name than train, valid, test, or one is empty.
    """
    strangers = sorted(set(split.parts) - set(known)) if known is not None else []
    if strangers:
        raise InputError(
            f"split {split.name!r} names {len(strangers)} fields that the dataset lacks (first: {strangers[0]!r})",
            remedy="Import the complete dataset, or the split that belongs to it",
        )
    if wrong := sorted(set(split.parts.values()) - set(PARTS)):
        raise InputError(f"split {split.name!r} has a part {wrong[0]!r}", remedy="Use train, valid and test")
    if lacking := [part for part in PARTS if part not in set(split.parts.values())]:
        raise InputError(
            f"split {split.name!r} has no field in {lacking[0]!r}",
            remedy="Every split needs train, valid and test",
        )
    table = pd.DataFrame({"fov_id": list(split.parts), "part": list(split.parts.values())})
    write_parquet(folder / "splits" / f"{safe_name(split.name)}.parquet", table)


def _check_class_table(facts: DatasetFacts) -> None:
    ids = [c.id for c in facts.classes]
    if not ids or ids != sorted(set(ids)) or min(ids) < 1 or max(ids) > MAX_CLASS:
        raise InputError(
            f"class ids {ids} are not ascending, unique and between 1 and {MAX_CLASS}",
            where=facts.name,
            remedy="Number the classes from 1",
        )
    names = [c.name for c in facts.classes]
    if len(set(names)) < len(names) or not all(names):
        raise InputError(
            "two classes share a name, or one has none",
            where=facts.name,
            remedy="Give each class its own name",
        )


def _fov_row(field: Field) -> dict[str, Any]:
    height, width = field.image.shape[:2]
    row: dict[str, Any] = {
        "fov_id": field.fov_id,
        "patient_id": field.patient_id,
        "site": field.site,
        "height": height,
        "width": width,
        "mpp": float(field.mpp),
        "source": field.source,
    }
    return row | {f"{GROUP}{name}": value for name, value in field.groups.items()}


def _cell_rows(field: Field) -> pd.DataFrame:
    rows = pd.DataFrame(
        {
            "fov_id": field.fov_id,
            "cell_id": field.cell_ids.astype(np.int32),
            "class_id": field.class_ids.astype(np.int16),
            **cell_geometry(field.instances, field.cell_ids),
            "purity": field.purity.astype(np.float32),
        }
    )
    return rows.astype({"fov_id": "str"})


def _sweep(folder: Path, prefix: str) -> None:
    """Delete what killed imports left behind."""
    for draft in folder.glob(f"{glob.escape(prefix)}*"):
        if time.time() - max(path.stat().st_mtime for path in (draft, *draft.iterdir())) > ABANDONED:
            shutil.rmtree(draft, ignore_errors=True)
