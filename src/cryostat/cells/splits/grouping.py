"""What a split keeps together: fields of view of one patient, site or group."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from cryostat.cells.dataset import GROUP, PARTS, Split
from cryostat.core.errors import SettingError

COLUMNS = {"fov": "fov_id", "patient": "patient_id", "site": "site"}
"""Short names of columns of the table of fields; any other name is a clinical or technical group."""
SOURCE_IMAGE = "source_image"
"""Group that names the image which patches were cut from."""


def values(fovs: pd.DataFrame, column: str) -> dict[str, str | None]:
    """What one column says of each field of view, as text; None where it is silent.

    Args:
        fovs: One row a field of view, as in `fovs.parquet`.
        column: `fov`, `patient`, `site`, or the name of a group.

    Raises:
        SettingError: The dataset has no such column.
    """
    name = COLUMNS.get(column, column)
    name = name if name in fovs.columns else f"{GROUP}{column}"
    if name not in fovs.columns:
        known = [*COLUMNS, *(c.removeprefix(GROUP) for c in fovs.columns if c.startswith(GROUP))]
        raise SettingError(f"the fields of view have no group {column!r}", remedy=f"Choose one of: {', '.join(known)}")
    return {str(fov): _text(value) for fov, value in zip(fovs["fov_id"], fovs[name], strict=True)}


def _text(value: object) -> str | None:
    if value is None or value == "" or (isinstance(value, float | np.floating) and np.isnan(value)) or value is pd.NA:
        return None
    return str(value)


def together(fovs: pd.DataFrame) -> str:
    """What must not straddle parts: `patient` where any is known, else the image that patches were cut from."""
    known = "patient_id" in fovs and fovs["patient_id"].notna().any()
    return "patient" if known or f"{GROUP}{SOURCE_IMAGE}" not in fovs else SOURCE_IMAGE


def units(fovs: pd.DataFrame, by: str | None = None) -> dict[str, list[str]]:
    """The fields of view that must stay together, by unit, units in alphabetical order.

    Args:
        fovs: One row a field of view.
        by: `patient`, `fov`, `site` or a group; by default the patient (see `together`), and a field of unknown
            patient on its own.

    Raises:
        SettingError: `by` was asked for, but is unknown for some field.
    """
    known = values(fovs, by or together(fovs))
    unknown = [fov for fov, value in known.items() if value is None]
    if by is not None and unknown:
        raise SettingError(
            f"the {by} of {len(unknown)} fields of view is unknown (first: {unknown[0]!r})",
            remedy="Group by another column, or import with a --clinical table that names it",
        )
    found: dict[str, list[str]] = {}
    for fov, value in known.items():
        found.setdefault(f"fov {fov}" if value is None else f"unit {value}", []).append(fov)
    return dict(sorted(found.items()))


def allocate(
    units: Mapping[str, Sequence[str]], shares: Mapping[str, float], rng: np.random.Generator
) -> dict[str, str]:
    """Deal whole units at random so that the fields of view come as near to the shares as units allow.

    Each unit in turn goes to the part that lacks most; every part gets at least one unit.

    Args:
        units: Unit to its fields of view.
        shares: Part to its share; the shares sum to 1.
        rng: Source of the order; the order of `units` matters, so sort it.

    Returns:
        Field of view to part.

    Raises:
        SettingError: There are fewer units than parts.
    """
    if len(units) < len(shares):
        raise SettingError(
            f"{len(units)} patients or fields cannot be dealt to {len(shares)} parts",
            remedy="Ask for fewer parts, or group by something finer",
        )
    total = sum(len(fovs) for fovs in units.values())
    lacking = {part: share * total for part, share in shares.items()}
    empty, dealt = set(shares), dict[str, str]()
    names = list(units)
    for left, index in zip(range(len(names), 0, -1), rng.permutation(len(names)), strict=True):
        open_parts = [part for part in shares if part in empty] if len(empty) == left else list(shares)
        part = max(open_parts, key=lacking.__getitem__)
        fovs = units[names[index]]
        lacking[part] -= len(fovs)
        empty.discard(part)
        dealt |= dict.fromkeys(fovs, part)
    return dealt


def in_table_order(name: str, parts: Mapping[str, str], fovs: pd.DataFrame) -> Split:
    """A split whose fields of view stand in the order of the table."""
    return Split(name, {fov: parts[fov] for fov in fovs["fov_id"].astype(str) if fov in parts})


def whole(splits: Iterable[Split]) -> list[Split]:
    """Those splits that have a field of view in each of train, valid and test."""
    return [split for split in splits if set(split.parts.values()) == set(PARTS)]


def straddling(split: Split, fovs: pd.DataFrame) -> dict[str, list[str]]:
    """Patients (or source images, see `together`) whose fields of view lie in more than one part of a split.

    Args:
        split: The split.
        fovs: One row a field of view; fields of unknown patient are passed over.

    Returns:
        Patient to the parts (in the order train, valid, test) that it straddles; empty when all is well.
    """
    parts: dict[str, set[str]] = {}
    for fov, patient in values(fovs, together(fovs)).items():
        if patient is not None and fov in split.parts:
            parts.setdefault(patient, set()).add(split.parts[fov])
    return {patient: sorted(found, key=PARTS.index) for patient, found in sorted(parts.items()) if len(found) > 1}


def slug(text: str) -> str:
    """A plain lower-case name: letters, digits, dots and hyphens."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "unnamed"
