"""What a report tells of datasets, models and runs besides their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class DatasetFacts:
    """What is known of a dataset; counts are 0 where it is not imported here."""

    name: str
    title: str = ""
    licence: str = ""
    citation: str = ""
    url: str = ""
    fields: int = 0
    cells: int = 0
    patients: int = 0
    mpp: str = ""
    classes: tuple[tuple[str, str, int], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelFacts:
    """An encoder as its card tells of it, or a method as its runs do.

    Attributes:
        name: Its name.
        kind: `encoder` or `method`.
        facts: Facts by name.
        citation: What to cite.
        notes: What a reader must know.
        settings: Of a method: name, value in the first run, usual value, and what it does.
    """

    name: str
    kind: str
    facts: Mapping[str, str] = field(default_factory=dict)
    citation: str = ""
    notes: tuple[str, ...] = ()
    settings: tuple[tuple[str, str, str, str], ...] = ()


@dataclass(frozen=True)
class RunFacts:
    """One run, for the methods page and the downloads."""

    run_id: str
    benchmark: str
    created: str
    about: Mapping[str, Any]
    quirks: tuple[str, ...]
    seconds: Mapping[str, float]
    device: str
    packages: Mapping[str, str]
    python: str
    platform: str
    frozen: str
    failures: Mapping[str, int]
    predictions: str
