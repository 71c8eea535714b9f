"""Modalities whose files hold embeddings, and what all ways of gathering share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from cryostat.cases.cohort import Cohort, ModalitySpec
from cryostat.cases.cohort.availability import remaining
from cryostat.cases.cohort.paths import shown_path
from cryostat.cases.embeddings.arrays import READERS, Embedding, read_arrays
from cryostat.cases.embeddings.feature_tables import read_features
from cryostat.cases.embeddings.formats import KINDS, Format, Kind, file_format
from cryostat.cases.embeddings.pooling import common_columns, pooled
from cryostat.cases.evidence import Modality, Problem
from cryostat.core.errors import CryostatError, EncoderError, InputError, SettingError
from cryostat.core.identity import digest, sha256_file
from cryostat.core.progress import track

Item = TypeVar("Item")
Found = TypeVar("Found")

UNUSABLE = (InputError, EncoderError, OSError)
"""What is told of a patient, and does not end the whole."""


def content_hash(path: Path) -> str:
    """Hash of a file's bytes; read once as long as neither its size nor its date changes."""
    stat = path.stat()
    return _content_hash(path, stat.st_size, stat.st_mtime_ns)


@cache
def _content_hash(path: Path, size: int, date: int) -> str:
    return sha256_file(path)


@dataclass(frozen=True, eq=False)
class Gathered:
    """One modality of a cohort.

    Attributes:
        modality: What is known.
        problems: What could not be used.
        identity: All that determines the values, and what was left out.
    """

    modality: Modality
    problems: Sequence[Problem]
    identity: Mapping[str, Any]


def each_patient(
    cohort: Cohort, name: str, items: Sequence[Item | None], use: Callable[[Item], Found]
) -> tuple[list[Found | None], list[Problem]]:
    """What becomes of each patient's item, None where it is missing or cannot be used; and why it cannot.

    Args:
        cohort: Whose.
        name: The modality.
        items: One a patient, empty where missing.
        use: Raises an InputError, EncoderError or OSError for what cannot be used.
    """
    found: list[Found | None] = []
    problems = []
    for patient, item in track(list(zip(cohort.patients, items, strict=True)), name):
        try:
            found.append(use(item) if item else None)
        except UNUSABLE as error:
            found.append(None)
            problems.append(Problem(patient, name, *why(error, cohort)))
    return found, problems


Used = list[tuple[Path, Found]]
"""Files of a patient with what they hold."""


def each_file(
    cohort: Cohort, spec: ModalitySpec, use: Callable[[Path], Found]
) -> tuple[list[Used[Found]], list[Problem]]:
    """What becomes of each patient's files: those that can be used, as the modality has it; and why others cannot.

    Args:
        cohort: Whose.
        spec: The modality; `incomplete` says what becomes of a patient some of whose files cannot be used.
        use: Raises an InputError, EncoderError or OSError for a file that cannot be used.

    Returns:
        For each patient the files that are used, none where the modality is missing, and a problem a file.
    """
    found: list[Used[Found]] = []
    problems = []
    for patient, paths in track(list(zip(cohort.patients, cohort.files(spec.name), strict=True)), spec.name):
        used, failed = _usable(paths, use)
        used = used if remaining(len(paths), len(failed), spec.incomplete) else []
        found.append(used)
        problems += [
            Problem(patient, spec.name, *_told(error, path, cohort), len(used), len(paths)) for path, error in failed
        ]
    return found, problems


def _usable(paths: Sequence[Path], use: Callable[[Path], Found]) -> tuple[Used[Found], list[tuple[Path, Exception]]]:
    used: Used[Found] = []
    failed: list[tuple[Path, Exception]] = []
    for path in paths:
        try:
            used.append((path, use(path)))
        except UNUSABLE as error:
            failed.append((path, error))
    return used, failed


def _told(error: Exception, path: Path, cohort: Cohort) -> tuple[str, str]:
    """Where and why a file cannot be used."""
    where, reason = why(error, cohort)
    return where or shown_path(path, cohort.root), reason


def why(error: Exception, cohort: Cohort) -> tuple[str, str]:
    """Where something cannot be used, as it stands under the root, and why."""
    if isinstance(error, CryostatError):
        return (error.where or str(cohort.path)).removeprefix(f"{cohort.root}/"), error.problem
    name = getattr(error, "filename", None) or cohort.path
    return str(name).removeprefix(f"{cohort.root}/"), f"cannot be opened ({getattr(error, 'strerror', None) or error})"


def files_identity(cohort: Cohort, used: Sequence[Sequence[tuple[Path, Any]]]) -> str:
    """Hash of who has which content: of the files that are used, so that a repaired one makes a difference."""
    pairs = zip(cohort.patients, used, strict=True)
    return digest([[patient, [content_hash(path) for path, _ in files]] for patient, files in pairs], 32)


def from_files(cohort: Cohort, spec: ModalitySpec) -> Gathered:
    """Embeddings from files that hold them."""
    if spec.options:
        raise SettingError(
            "has options but no encoder that they are for",
            where=f"{cohort.path}, [modalities.{spec.name}]",
            remedy="Leave options out, or name the encoder",
        )
    found, problems = each_file(cohort, spec, read_embedding)
    tables, left_out = common_columns([[each for _, each in used] for used in found])
    identity = {"source": "files", "pool": spec.pool, "files": files_identity(cohort, found), "left_out": left_out}
    return Gathered(pooled(tables, spec.pool), problems, identity)


def read_embedding(path: Path) -> Embedding:
    """The vectors of one file, whatever its format.

    Raises:
        InputError: It cannot be read, or holds no features.
    """
    found = file_format(path)
    if KINDS[found] is not Kind.FEATURES:
        raise InputError(
            f"holds {KINDS[found]}, not features", where=path, remedy="Name the encoder for it in the manifest"
        )
    return read_arrays(path, found) if found in READERS else _read_table(path, found)


def _read_table(path: Path, found: Format) -> Embedding:
    table = read_features(path, found)
    return Embedding(table.values, str(path), tiles=len(table.values), columns=table.columns, left_out=table.left_out)
