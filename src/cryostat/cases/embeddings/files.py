"""Modalities whose files hold embeddings, and what all ways of gathering share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from cryostat.cases.cohort import Cohort, ModalitySpec
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
        use: Raises an InputError or EncoderError for what cannot be used.
    """
    found: list[Found | None] = []
    problems = []
    for patient, item in track(list(zip(cohort.patients, items, strict=True)), name):
        try:
            found.append(use(item) if item else None)
        except (InputError, EncoderError) as error:
            found.append(None)
            problems.append(Problem(patient, name, _where(error, cohort), error.problem))
    return found, problems


def _where(error: CryostatError, cohort: Cohort) -> str:
    where = error.where or str(cohort.path)
    return where.removeprefix(f"{cohort.root}/")


def files_identity(cohort: Cohort, used: Sequence[Sequence[Path]]) -> str:
    """Hash of who has which content."""
    pairs = zip(cohort.patients, used, strict=True)
    return digest([[patient, [content_hash(path) for path in paths]] for patient, paths in pairs], 32)


def from_files(cohort: Cohort, spec: ModalitySpec) -> Gathered:
    """Embeddings from files that hold them."""
    if spec.options:
        raise SettingError(
            "has options but no encoder that they are for",
            where=f"{cohort.path}, [modalities.{spec.name}]",
            remedy="Leave options out, or name the encoder",
        )
    files = cohort.files(spec.name)
    found, problems = each_patient(cohort, spec.name, files, lambda paths: [read_embedding(path) for path in paths])
    tables, left_out = common_columns([each or [] for each in found])
    used = [paths if each else () for paths, each in zip(files, found, strict=True)]
    identity = {"source": "files", "pool": spec.pool, "files": files_identity(cohort, used), "left_out": left_out}
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
