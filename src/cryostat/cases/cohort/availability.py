"""Who has which modality, as far as a first look at the files and at the keys of tables tells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryostat.cases.cohort.cohort import Cohort, table_keys
from cryostat.cases.cohort.inspection import Look, look_at
from cryostat.cases.cohort.manifest import ModalitySpec
from cryostat.cases.cohort.paths import shown_path
from cryostat.cases.cohort.values import ValueColumn, any_known, value_columns
from cryostat.cases.evidence import Problem
from cryostat.core.progress import track


@dataclass(frozen=True, eq=False)
class Availability:
    """Who has what.

    Attributes:
        present: (n, M) bool; a patient of whose files none can be used lacks the modality.
        problems: Files and rows that cannot be used.
        looks: For each modality all files named, once each.
        values: For each modality its columns of values; none where it has paths or a table.
    """

    present: NDArray[np.bool_]
    problems: tuple[Problem, ...]
    looks: dict[str, tuple[Look, ...]]
    values: dict[str, tuple[ValueColumn, ...]]


def availability(cohort: Cohort) -> Availability:
    """Look at every file that the cohort names, for every key whether its table has it, and read columns of values.

    Raises:
        InputError: A table of features cannot be read, or a column of values.
    """
    columns, problems, looks, values = [], [], {}, {}
    for spec in cohort.modalities.values():
        values[spec.name] = value_columns(cohort, spec) if spec.values else ()
        present, found, looked = _look(cohort, spec, values[spec.name])
        columns.append(present)
        problems += found
        looks[spec.name] = looked
    return Availability(np.stack(columns, 1), tuple(problems), looks, values)


Found = tuple[list[bool], list[Problem], tuple[Look, ...]]


def _look(cohort: Cohort, spec: ModalitySpec, values: Sequence[ValueColumn]) -> Found:
    if values:
        return any_known(values).tolist(), [], ()
    return _of_table(cohort, spec) if spec.table else _of_files(cohort, spec)


def _of_files(cohort: Cohort, spec: ModalitySpec) -> Found:
    files = cohort.files(spec.name)
    every = dict.fromkeys(path for paths in files for path in paths)
    looks = {path: look_at(path) for path in track(every, f"Looking at {spec.name}")}
    bad = [[path for path in paths if looks[path].problem] for paths in files]
    remain = [remaining(len(paths), len(wrong), spec.incomplete) for paths, wrong in zip(files, bad, strict=True)]
    problems = [
        Problem(patient, spec.name, shown_path(path, cohort.root), looks[path].problem, left, len(paths))
        for patient, paths, wrong, left in zip(cohort.patients, files, bad, remain, strict=True)
        for path in wrong
    ]
    present = [left > 0 for left in remain]
    return present, problems, tuple(looks.values())


def remaining(files: int, bad: int, incomplete: str) -> int:
    """How many files of a patient are used, when some cannot be."""
    return 0 if bad and incomplete == "missing" else files - bad


def _of_table(cohort: Cohort, spec: ModalitySpec) -> Found:
    rows = Counter(table_keys(spec))
    where = shown_path(spec.table, cohort.root) if spec.table else ""
    keys = cohort.keys(spec.name)
    problems = [
        Problem(patient, spec.name, where, f"no row has {spec.key} {key!r}")
        for patient, key in zip(cohort.patients, keys, strict=True)
        if key is not None and not rows[key]
    ]
    return [key is not None and rows[key] > 0 for key in keys], problems, ()


def used_twice(cohort: Cohort) -> list[tuple[str, str, tuple[str, ...]]]:
    """What two patients, or two columns of one, name both: modality, file or key, and who names it."""
    found = []
    for spec in cohort.modalities.values():
        users: dict[str, list[str]] = {}
        for thing, who in _uses(cohort, spec):
            users.setdefault(thing, []).append(who)
        found += [(spec.name, thing, tuple(who)) for thing, who in users.items() if len(who) > 1]
    return found


def _uses(cohort: Cohort, spec: ModalitySpec) -> list[tuple[str, str]]:
    """Each file or key, and the patient who names it (with the column, where there are several)."""
    if spec.table:
        return [(key, who) for key, who in zip(cohort.keys(spec.name), cohort.patients, strict=True) if key]
    series = zip(cohort.patients, cohort.series(spec.name), strict=True)
    several = len(spec.columns) > 1
    return [
        (shown_path(path, cohort.root), f"{patient} ({column})" if several else patient)
        for patient, row in series
        for column, files in row.items()
        for path in files
    ]


def look_alike(patients: Sequence[str]) -> list[tuple[str, ...]]:
    """Ids that differ only in case, in signs, or in zeros before a number: `P-07`, `p7`."""
    found: dict[tuple[str, ...], list[str]] = {}
    for patient in patients:
        found.setdefault(_bare(patient), []).append(patient)
    return [tuple(group) for group in found.values() if len(group) > 1]


def _bare(identifier: str) -> tuple[str, ...]:
    runs = re.findall(r"\d+|[^\W\d_]+", identifier.casefold())
    return tuple(run.lstrip("0") or "0" for run in runs) or (identifier,)
