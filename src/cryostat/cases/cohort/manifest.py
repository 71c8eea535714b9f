"""The manifest of a cohort: which keys it has, of which kind, and what to say of any other."""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryostat.cases.cohort.paths import opening
from cryostat.core.errors import InputError
from cryostat.core.files import read_toml

POOLS: Mapping[str, str] = {
    "mean": "every file counts the same",
    "weighted": "files count by their number of vectors",
    "attention": "weights are learnt in each fold",
    "first": "the first file alone",
}
"""How several vectors become one a patient."""

DEFAULT_POOL = "mean"

MOST_MODALITIES = 8
NAME = re.compile(r"[A-Za-z0-9_-]+")
RESERVED = ("nothing", "all")
"""Names that stand for subsets of the modalities in results."""

Kinds = Mapping[str, type]

PARTS: Kinds = {"cohort": dict, "modalities": dict, "tasks": dict}
COHORT: Kinds = {
    "name": str,
    "about": str,
    "root": str,
    "table": str,
    "patient": str,
    "site": str,
    "split": str,
    "groups": list,
    "patients": int,
}
MODALITY: Kinds = {
    "column": str,
    "columns": list,
    "values": list,
    "words": list,
    "unknown": list,
    "table": str,
    "key": str,
    "pool": str,
    "incomplete": str,
    "encoder": str,
    "weights": str,
    "options": dict,
}
OF_VALUES = ("values", "words", "unknown")
"""Keys of a modality whose columns hold what is known itself, in place of paths."""

INCOMPLETE: Mapping[str, str] = {
    "use": "the files of a patient that can be used are used",
    "missing": "a patient with a file that cannot be used lacks the modality",
}
"""What becomes of a patient some of whose files cannot be used."""
KIND_NAMES: Mapping[type, str] = {
    str: "text in quotation marks",
    int: "a whole number",
    list: 'a list of texts, as ["a", "b"]',
    dict: "a table of keys",
}


@dataclass(frozen=True)
class ModalitySpec:
    """How one modality is found.

    Attributes:
        name: Of letters, digits, `_` and `-`.
        columns: Columns of the cohort's table; several are the series of a volume. Each holds a path, several parted by
            `;`, or a pattern as `wsi/A*.h5`; with `table` the one column holds the key of a row; with `values` each
            holds what is known itself.
        table: Table of features, a row a key, or None where the columns hold paths.
        key: Its column that holds the key; None without a table.
        pool: How several files or series become one vector a patient, of `POOLS`.
        encoder: Name of an encoder of ours; None where the files hold embeddings.
        weights: Its weights: a file, folder or hub id.
        options: Settings of the reader or the encoder.
        values: The columns hold what is known, as age and sex, not paths.
        words: Those of them that are read as words, whatever they look like.
        unknown: Cells of them that say nothing.
        incomplete: What becomes of a patient some of whose files cannot be used, of `INCOMPLETE`.
    """

    name: str
    columns: tuple[str, ...]
    table: Path | None = None
    key: str | None = None
    pool: str = DEFAULT_POOL
    encoder: str | None = None
    weights: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    values: bool = False
    words: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    incomplete: str = "use"

    @property
    def column(self) -> str:
        """Its column, the first of several."""
        return self.columns[0]


@dataclass(frozen=True)
class Manifest:
    """A manifest whose keys and kinds are right; the tasks are as written."""

    path: Path
    name: str
    about: str
    root: Path
    table: Path
    patient: str
    site: str | None
    split: str | None
    groups: tuple[str, ...]
    patients: int | None
    modalities: tuple[ModalitySpec, ...]
    tasks: Mapping[str, Mapping[str, Any]]


def read_manifest(path: Path) -> Manifest:
    """Read and check a manifest.

    Raises:
        InputError: It is no TOML, a key is unknown, missing or of the wrong kind, or a name cannot stand.
    """
    with opening(path):
        if path.is_file() and path.suffix.lower() != ".toml":
            raise InputError("is not a .toml manifest", where=path, remedy="Name the manifest, which names the table")
        facts = read_toml(path)
    check_keys(facts, PARTS, path)
    cohort = _part(facts, "cohort", path)
    where = f"{path}, [cohort]"
    check_keys(cohort, COHORT, where, required=("name", "table"))
    root = _root(path, cohort)
    patient = cohort.get("patient", "patient_id")
    return Manifest(
        path=path,
        name=_name(cohort["name"], where),
        about=cohort.get("about", ""),
        root=root,
        table=_under(root, cohort["table"]),
        patient=patient,
        site=cohort.get("site"),
        split=cohort.get("split"),
        groups=_texts(cohort, "groups", where),
        patients=_declared(cohort, where),
        modalities=_modalities(_part(facts, "modalities", path), root, patient, path),
        tasks=_tasks(facts.get("tasks", {}), path),
    )


def check_keys(facts: Mapping[str, Any], kinds: Kinds, where: str | Path, required: Iterable[str] = ()) -> None:
    """Raise an InputError for a key that is unknown, missing, or has a value of the wrong kind."""
    for key, value in facts.items():
        if key not in kinds:
            raise InputError(f"has the unknown key {key!r}", where=where, remedy=nearest(key, kinds))
        if not isinstance(value, kinds[key]) or isinstance(value, bool):
            raise InputError(f"has {key} = {value!r}", where=where, remedy=f"Write {key} as {KIND_NAMES[kinds[key]]}")
        if value == "":
            raise InputError(f"has an empty {key}", where=where, remedy=f"Give {key} a value or leave it out")
    if lacking := [key for key in required if key not in facts]:
        raise InputError(f"lacks the key {lacking[0]!r}", where=where, remedy=f"Add a line {lacking[0]} = …")


def nearest(name: str, choices: Iterable[str]) -> str:
    """A remedy that names the choice which was likely meant, or else the choices."""
    known = list(choices)
    close = difflib.get_close_matches(name.lower(), [choice.lower() for choice in known], 1, 0.6)
    if close:
        meant = next(choice for choice in known if choice.lower() == close[0])
        return f"Did you mean {meant!r}? Known are: {_listed(known)}"
    return f"Known are: {_listed(known)}"


def _listed(names: list[str], most: int = 24) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _part(facts: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    if not facts.get(name):
        example = "[cohort]" if name == "cohort" else f"[{name}.NAME]"
        raise InputError(f"has no part {example}", where=path, remedy="docs/cohorts.md shows a whole manifest")
    part: Mapping[str, Any] = facts[name]
    return part


def _root(path: Path, cohort: Mapping[str, Any]) -> Path:
    root = Path(os.path.normpath(_under(path.parent.absolute(), cohort.get("root", "."))))
    if not os.path.isdir(root):
        raise InputError(
            f"names the root {str(root)!r}, which is no folder",
            where=f"{path}, [cohort]",
            remedy="Write root as the folder under which the paths of the table lie",
        )
    return root


def _under(folder: Path, name: str) -> Path:
    try:
        return Path(folder, Path(name).expanduser())
    except RuntimeError as error:  # the home of somebody who has none here
        raise InputError(
            f"cannot be found ({str(error).rstrip('.')})", where=name, remedy="Write the path without ~"
        ) from error


def _name(name: str, where: str) -> str:
    if not NAME.fullmatch(name):
        raise InputError(
            f"has the name {name!r}", where=where, remedy="Use letters, digits, - and _ alone, as for a file"
        )
    return name


def _texts(facts: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    values = facts.get(key, [])
    if wrong := [value for value in values if not isinstance(value, str) or not value]:
        raise InputError(f"has {wrong[0]!r} in {key}", where=where, remedy=f"Write {key} as {KIND_NAMES[list]}")
    if len(set(values)) < len(values):
        raise InputError(f"names a column twice in {key}", where=where, remedy="Name each column once")
    return tuple(values)


def _declared(cohort: Mapping[str, Any], where: str) -> int | None:
    declared: int | None = cohort.get("patients")
    if declared is not None and declared < 1:
        raise InputError(f"has patients = {declared}", where=where, remedy="Write how many patients the table has")
    return declared


def _modalities(parts: Mapping[str, Any], root: Path, patient: str, path: Path) -> tuple[ModalitySpec, ...]:
    if len(parts) > MOST_MODALITIES:
        raise InputError(
            f"has {len(parts)} modalities; every subset of them is evaluated, so there may be {MOST_MODALITIES}",
            where=path,
            remedy="Leave out some, or describe a second cohort",
        )
    return tuple(_modality(name, facts, root, patient, path) for name, facts in parts.items())


def _modality(name: str, facts: Any, root: Path, patient: str, path: Path) -> ModalitySpec:
    where = f"{path}, [modalities.{name}]"
    _require_table_of_keys(facts, where)
    if _name(name, where) in RESERVED:
        raise InputError(f"cannot be called {name!r}", where=where, remedy="Choose another name; results use this one")
    check_keys(facts, MODALITY, where)
    if set(OF_VALUES) & set(facts):
        return _of_values(name, facts, where)
    columns = _columns(facts, where)
    for key, known in (("pool", POOLS), ("incomplete", INCOMPLETE)):
        if key in facts and facts[key] not in known:
            raise InputError(f"has the unknown {key} {facts[key]!r}", where=where, remedy=nearest(facts[key], known))
    _check_source(facts, where)
    table = _under(root, facts["table"]) if "table" in facts else None
    return ModalitySpec(
        name,
        columns,
        table,
        facts.get("key", patient) if table else None,
        facts.get("pool", DEFAULT_POOL),
        facts.get("encoder"),
        facts.get("weights"),
        _options(facts.get("options", {}), where),
        incomplete=facts.get("incomplete", "use"),
    )


def _options(options: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Options that are numbers, texts or lists of these; TOML knows dates and infinities besides."""
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(one, str | int | float) or (isinstance(one, float) and not math.isfinite(one)):
                raise InputError(
                    f"has the option {name} = {one}",
                    where=where,
                    remedy="Write it as a number, a text or a list of these",
                )
    return options


def _of_values(name: str, facts: Mapping[str, Any], where: str) -> ModalitySpec:
    """A modality whose columns hold what is known."""
    if other := next((key for key in facts if key not in OF_VALUES), None):
        raise InputError(
            f"has both {next(key for key in OF_VALUES if key in facts)} and {other}",
            where=where,
            remedy="Keep values for columns that hold numbers or words, or the other for columns of paths",
        )
    values, words, unknown = (_texts(facts, key, where) for key in OF_VALUES)
    if not values:
        raise InputError("must name its columns", where=where, remedy='Write values = ["age", "sex"]')
    if strange := [column for column in words if column not in values]:
        raise InputError(
            f"has {strange[0]!r} in words and not in values", where=where, remedy="Name it in values too, or in neither"
        )
    return ModalitySpec(name, values, values=True, words=words, unknown=unknown)


NO_COLUMN = (
    'Write column = "…" for paths, columns = ["…", "…"] for several series, or values = ["age", "sex"] for columns '
    "that hold what is known"
)


def _columns(facts: Mapping[str, Any], where: str) -> tuple[str, ...]:
    columns = _texts(facts, "columns", where) if "columns" in facts else (facts.get("column", ""),)
    if ("column" in facts) == ("columns" in facts) or not columns:
        raise InputError("must name its column", where=where, remedy=NO_COLUMN)
    return columns


def _check_source(facts: Mapping[str, Any], where: str) -> None:
    """Raise an InputError where a table of features and files are mixed up."""
    others = ("encoder", "weights", "options", "columns", "incomplete")
    if "table" in facts and (other := next((key for key in others if key in facts), None)):
        raise InputError(
            f"has both table and {other}",
            where=where,
            remedy="Keep table for rows of features, or the other for files that an encoder reads",
        )
    if "key" in facts and "table" not in facts:
        raise InputError("has a key but no table", where=where, remedy="Add the table whose column the key is")
    if "weights" in facts and "encoder" not in facts:
        raise InputError("has weights but no encoder", where=where, remedy="Add the encoder whose weights they are")


def _require_table_of_keys(facts: Any, where: str) -> None:
    if not isinstance(facts, dict):
        raise InputError(f"is {facts!r}", where=where, remedy="Write it as a part of its own, its name in brackets")


def _tasks(parts: Mapping[str, Any], path: Path) -> Mapping[str, Mapping[str, Any]]:
    for name, facts in parts.items():
        where = f"{path}, [tasks.{name}]"
        _require_table_of_keys(facts, where)
        _name(name, where)
    return parts
