"""What a run of the cases benchmark is, before it has run; and a study, which is a matrix of runs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryostat.cases.protocols import SPLIT_KINDS, CaseProtocol, load_case_protocol
from cryostat.core.errors import InputError, SettingError
from cryostat.core.files import read_toml


@dataclass(frozen=True)
class CaseSpec:
    """One run: one method on one task of one cohort, trained and tested on all its splits.

    Attributes:
        cohort: The cohort's manifest.
        task: Name of a task of the cohort.
        method: Name of a method.
        modalities: Names of the modalities used; empty: all of the cohort.
        protocol: Name of the rules.
        split: A kind of split in place of the protocol's.
        repeats: Repeats in place of the protocol's.
        folds: Folds in place of the protocol's.
        ablations: What withholding a modality means, in place of the protocol's.
        seeds: Seeds of the method; the splits do not depend on them.
        settings: Settings of the method that differ from its defaults.
        shuffled: The labels are shuffled among the patients first: a check that must come out at chance.
    """

    cohort: Path
    task: str
    method: str
    modalities: tuple[str, ...] = ()
    protocol: str = "standard"
    split: str | None = None
    repeats: int | None = None
    folds: int | None = None
    ablations: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    settings: Mapping[str, Any] = field(default_factory=dict)
    shuffled: bool = False

    def __post_init__(self) -> None:
        if self.split is not None and self.split not in SPLIT_KINDS:
            raise SettingError(f"there is no split {self.split!r}", remedy=f"Choose one of: {', '.join(SPLIT_KINDS)}")
        for name, value, least in (("repeats", self.repeats, 1), ("folds", self.folds, 2)):
            if value is not None and value < least:
                raise SettingError(f"{name} {value} is too few", remedy=f"Give {least} or more")
        if not self.seeds:
            raise SettingError("there is no seed", remedy="Give one or more")

    def rules(self) -> CaseProtocol:
        """The protocol with what this run replaces of it."""
        protocol = load_case_protocol(self.protocol)
        splits = replace(
            protocol.splits,
            kind=self.split or protocol.splits.kind,
            repeats=self.repeats or protocol.splits.repeats,
            folds=self.folds or protocol.splits.folds,
        )
        ablations = self.ablations or protocol.evaluation.ablations
        return replace(protocol, splits=splits, evaluation=replace(protocol.evaluation, ablations=ablations))

    def label(self) -> str:
        """Short text for progress and messages."""
        of = f" of {'+'.join(self.modalities)}" if self.modalities else ""
        return f"{self.cohort.stem}/{self.task} · {self.method}{of}"


@dataclass(frozen=True)
class CaseStudy:
    """A matrix of runs, as a study file describes it.

    Attributes:
        name: Name of the study.
        cohorts: Manifests; every other list is crossed with them.
        tasks: Names of tasks.
        methods: Names of methods.
        modalities: Sets of modalities; an empty one stands for all.
        base: What all runs share (protocol, split, repeats, folds, ablations, seeds).
        method_options: Method name to settings.
    """

    name: str
    cohorts: Sequence[Path]
    tasks: Sequence[str]
    methods: Sequence[str]
    modalities: Sequence[tuple[str, ...]] = ((),)
    base: Mapping[str, Any] = field(default_factory=dict)
    method_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def specs(self) -> list[CaseSpec]:
        """All runs, those that share a cohort's evidence together."""
        return [
            CaseSpec(cohort, task, method, modalities, **self.base, settings=self.method_options.get(method, {}))
            for cohort, modalities, task, method in itertools.product(
                self.cohorts, self.modalities, self.tasks, self.methods
            )
        ]


_KEYS = {
    "study": {"name", "about", "protocol", "seeds"},
    "cases": {"cohorts", "tasks", "methods", "modalities", "split", "repeats", "folds", "ablations"},
    "methods": None,
}
_REMEDY = "A study of cases has [study] name and [cases] cohorts, tasks, methods"


def read_case_study(path: Path) -> CaseStudy:
    """Read a study file; cohorts are looked for beside it.

    Raises:
        InputError: The file is not TOML, lacks a part, or has one that nothing reads.
    """
    given = read_toml(path)
    _refuse_strangers(given, path)
    try:
        study, cases = given["study"], given["cases"]
        cohorts, tasks, methods = (_names(cases[key], key, path) for key in ("cohorts", "tasks", "methods"))
        name = str(study["name"])
    except KeyError as error:
        raise InputError(f"lacks {error}", where=path, remedy=_REMEDY) from error
    base = {key: cases[key] for key in ("split", "repeats", "folds") if key in cases}
    base |= {"protocol": study["protocol"]} if "protocol" in study else {}
    base |= {"ablations": _names(cases["ablations"], "ablations", path)} if "ablations" in cases else {}
    base |= {"seeds": _seeds(study["seeds"], path)} if "seeds" in study else {}
    return CaseStudy(
        name,
        [(path.parent / cohort).resolve() for cohort in cohorts],
        tasks,
        methods,
        [_names(some, "modalities", path) for some in cases.get("modalities", [])] or ((),),
        base,
        given.get("methods", {}),
    )


def _refuse_strangers(given: Mapping[str, Any], path: Path) -> None:
    for section, content in given.items():
        if section not in _KEYS or not isinstance(content, Mapping):
            raise InputError(f"has a section {section!r} that nothing reads", where=path, remedy=_REMEDY)
        allowed = _KEYS[section]
        strangers = sorted(set(content) - allowed) if allowed is not None else []
        if strangers:
            raise InputError(
                f"has a key {section}.{strangers[0]} that nothing reads",
                where=path,
                remedy=f"Use {', '.join(sorted(allowed or ()))}",
            )


def _names(value: Any, key: str, path: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise InputError(f"{key} is not a list of names", where=path, remedy=f'Write {key} = ["…"]')
    return tuple(value)


def _seeds(value: Any, path: Path) -> tuple[int, ...]:
    if not isinstance(value, list) or not value or not all(type(item) is int for item in value):
        raise InputError("seeds is not a list of whole numbers", where=path, remedy="Write seeds = [0, 1, 2]")
    return tuple(value)
