"""Modalities before they are read: who has them, what an encoder has yet to embed, what stands in the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from cryostat.cases.cohort import Cohort, ModalitySpec
from cryostat.cases.cohort.availability import Availability
from cryostat.cases.embeddings.encoded import MASKS, kind_of, require_pooled
from cryostat.cases.embeddings.encoding import checked_options
from cryostat.cases.embeddings.formats import Kind
from cryostat.core.errors import CryostatError
from cryostat.core.home import Home
from cryostat.core.identity import digest
from cryostat.runs.obstacles import Obstacle

FEWEST_STORED = 3
"""Stored vectors from whose dates a rate is taken."""


@dataclass(frozen=True)
class ModalityPlan:
    """One modality of a cohort.

    Attributes:
        cohort: Name of the cohort.
        name: Of the modality.
        source: Where its numbers come from.
        patients: Who have it, as far as a first look tells.
        files: Files that it names.
        unusable: Of these, or of rows of its table, those that cannot be used.
        bytes: To read.
        to_embed: Texts, slides or patients that an encoder has yet to embed; None where that is not known.
        embedded: Those that it has embedded, about: told by number.
        seconds: Of embedding the rest, at the rate at which the others were; None where none is known.
        obstacles: What keeps it from being read.
    """

    cohort: str
    name: str
    source: str
    patients: int
    files: int
    unusable: int
    bytes: int
    to_embed: int | None = 0
    embedded: int = 0
    seconds: float | None = 0.0
    obstacles: tuple[Obstacle, ...] = ()


def plan_modality(cohort: Cohort, spec: ModalitySpec, seen: Availability, home: Home) -> ModalityPlan:
    """What one modality of a cohort asks for.

    Args:
        cohort: The cohort.
        spec: The modality.
        seen: A first look at all its files.
        home: Where embeddings are kept.
    """
    place = list(cohort.modalities).index(spec.name)
    problems = [problem for problem in seen.problems if problem.modality == spec.name]
    looks = seen.looks[spec.name]
    patients = int(seen.present[:, place].sum())
    first = problems[0] if problems else None
    nobody = (
        Obstacle(
            f"cohort {cohort.name}: nobody has {spec.name}"
            + (f"; of the first, {first.where} {first.reason}" if first else ""),
            "Check its column and its files: cryostat cases check COHORT.toml",
        ),
    )
    plan = ModalityPlan(
        cohort=cohort.name,
        name=spec.name,
        source=_source(spec),
        patients=patients,
        files=len(looks),
        unusable=len(problems),
        bytes=sum(look.size for look in looks) + _size(spec.table),
        obstacles=() if patients else nobody,
    )
    by_encoder = spec.encoder is not None and spec.table is None and not spec.values
    return _embedding(plan, cohort, spec, home) if by_encoder and patients else plan


def _source(spec: ModalitySpec) -> str:
    if spec.values:
        return "values of the cohort's table"
    if spec.table is not None:
        return spec.table.name
    return f"encoder {spec.encoder}" if spec.encoder else "embeddings"


def _size(file: Path | None) -> int:
    return file.stat().st_size if file is not None and file.is_file() else 0


def _embedding(plan: ModalityPlan, cohort: Cohort, spec: ModalitySpec, home: Home) -> ModalityPlan:
    """The plan with what its encoder has embedded and has yet to embed."""
    kind = kind_of(cohort, spec) or Kind.FEATURES
    items = plan.files - plan.unusable if kind is Kind.FEATURES else plan.patients
    if kind is not Kind.TEXT and str(spec.weights).partition("@")[0] == "hub":
        return _with(plan, source=f"{plan.source}, weights from the hub", to_embed=None, seconds=None)
    try:
        require_pooled(cohort, spec, kind)
        encoder = _load(kind, cohort, spec)
    except CryostatError as error:
        return _with(plan, to_embed=items, seconds=None, obstacles=(*plan.obstacles, Obstacle.of(error)))
    if getattr(encoder, "learns_from_texts", False):
        return _with(plan, source=f"{plan.source}, learnt in each fold")
    dates = _dates(home.root / "embeddings" / digest(dict(encoder.identity())))
    embedded = min(len(dates), items)
    rest = items - embedded
    return _with(plan, to_embed=rest, embedded=embedded, seconds=_seconds(rest, dates))


def _with(plan: ModalityPlan, **facts: Any) -> ModalityPlan:
    return ModalityPlan(**{**vars(plan), **facts})


def _load(kind: Kind, cohort: Cohort, spec: ModalitySpec) -> Any:
    """Its encoder, from files that are here: nothing is downloaded."""
    load, own = _loader(kind)
    options = checked_options(load, spec.options, own, f"{cohort.path}, [modalities.{spec.name}] options")
    weights = None if spec.weights is None or spec.weights.partition("@")[0] == "hub" else spec.weights
    beside = cohort.root / weights if weights else None
    return load(str(spec.encoder), str(beside) if beside and beside.exists() else weights, "cpu", **options)


def _loader(kind: Kind) -> tuple[Callable[..., Any], Sequence[str]]:
    """What builds encoders of such files, and the options that are not for it."""
    if kind is Kind.TEXT:
        from cryostat.encoders.text import load_text_encoder

        return load_text_encoder, ()
    if kind is Kind.VOLUME:
        from cryostat.encoders.volume.registry import load_volume_encoder

        return load_volume_encoder, MASKS
    from cryostat.encoders.slide.registry import load_slide_encoder

    return load_slide_encoder, ("tile_side",)


def _dates(shelf: Path) -> list[float]:
    """When each vector on a shelf was written, in order."""
    return sorted(path.stat().st_mtime for path in shelf.glob("*.npy"))


def _seconds(rest: int, dates: Sequence[float]) -> float | None:
    """Of embedding some more, at the median pace at which the vectors that are there were written."""
    if not rest:
        return 0.0
    if len(dates) < FEWEST_STORED:
        return None
    return rest * median(later - earlier for earlier, later in pairwise(dates))


def presence(seen: Availability, cohort: Cohort, names: Sequence[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(n, M) bool: who has which of some modalities, in the order of the cohort."""
    known: Mapping[str, int] = {name: place for place, name in enumerate(cohort.modalities)}
    return seen.present[:, [known[name] for name in names]]
