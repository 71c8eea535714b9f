"""What a run is, before it has run; and a study, which is a matrix of runs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryostat.cells.dataset import CellDataset
from cryostat.cells.heads import head_card, head_settings
from cryostat.cells.protocols import load_protocol
from cryostat.cells.runs.modes import Mode, resolve_mode
from cryostat.core.errors import InputError, SettingError
from cryostat.core.files import read_toml

NO_ENCODER = "none"
"""What stands for the encoder of a head that brings its own network."""


@dataclass(frozen=True)
class RunSpec:
    """One run.

    Attributes:
        dataset: Name of an imported dataset.
        encoder: Name of an encoder.
        head: Name of a head.
        split: Name of a split of the dataset.
        fraction: Share of the training fields of view that may be used.
        seed: Seeds the head, the order of training and the choice of the fraction.
        protocol: Name of the rules.
        mpp: µm per pixel in place of the protocol's; 0 keeps each field's own.
        weights: Local weights of the encoder, or None for what its card says.
        precision: Arithmetic of the encoder, or None for its card's.
        head_settings: Settings of the head that differ from its defaults.
        mode: How it is trained (see `cells.runs.modes`), or None for what the protocol does with that head.
    """

    dataset: str
    encoder: str
    head: str
    split: str
    fraction: float = 1.0
    seed: int = 0
    protocol: str = "standard"
    mpp: float | None = None
    weights: str | None = None
    precision: str | None = None
    head_settings: Mapping[str, Any] = field(default_factory=dict)
    mode: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise SettingError(
                f"fraction {self.fraction} is not between 0 and 1", remedy="Give 1.0 for all training data"
            )
        self.resolved_mode()

    def resolved_mode(self) -> Mode:
        """How it is trained."""
        return resolve_mode(self.mode, head_card(self.head), load_protocol(self.protocol))

    def resolved_settings(self) -> Any:
        """The head's settings: its defaults, over them the protocol's for training on tiles, over them the run's."""
        head = head_card(self.head)
        on_tiles = self.resolved_mode().kind != "cached" or head.vectors is None
        published = load_protocol(self.protocol).heads.get(self.head, {}) if on_tiles else {}
        return head_settings(self.head, {**published, **self.head_settings}, on_tiles=on_tiles)

    def label(self) -> str:
        """Short text for progress and messages."""
        share = "" if self.fraction == 1 else f" {self.fraction:.0%}"
        mode = f" · {self.mode}" if self.mode else ""
        return f"{self.dataset}/{self.split}{share} · {self.encoder} · {self.head}{mode} · seed {self.seed}"


def expand_split(dataset: CellDataset, name: str) -> list[str]:
    """A stored split, or all folds of a family: `5fold` stands for `5fold-0` … `5fold-4`."""
    names = dataset.split_names()
    if name in names:
        return [name]
    folds = [n for n in names if re.fullmatch(rf"{re.escape(name)}-\d+", n)]
    if not folds:
        dataset.split(name)
    return sorted(folds, key=lambda n: int(n.rsplit("-", 1)[1]))


@dataclass(frozen=True)
class Study:
    """A matrix of runs, as a study file describes it.

    Attributes:
        name: Name of the study.
        datasets: Datasets; every other list is crossed with them.
        splits: Splits or families of folds.
        encoders: Encoders.
        heads: Heads.
        fractions: Shares of the training data.
        seeds: Seeds.
        base: What all runs share (protocol, mpp).
        encoder_options: Encoder name to `weights` and `precision`.
        head_options: Head name to settings.
        modes: Ways of training; None stands for the protocol's way with each head.
    """

    name: str
    datasets: Sequence[str]
    splits: Sequence[str]
    encoders: Sequence[str]
    heads: Sequence[str]
    fractions: Sequence[float]
    seeds: Sequence[int]
    base: Mapping[str, Any] = field(default_factory=dict)
    encoder_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    head_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    modes: Sequence[str | None] = (None,)

    def specs(self, datasets: Mapping[str, CellDataset]) -> list[RunSpec]:
        """All runs, those that share an encoder pass together; heads without an encoder run once a dataset."""
        return self.specs_with(lambda data, split: expand_split(datasets[data], split))

    def specs_with(self, expand: Callable[[str, str], Sequence[str]]) -> list[RunSpec]:
        """As `specs`, with the splits that a function makes of a dataset's name and a split or family."""
        made = []
        for data, (encoder, heads, modes) in itertools.product(self.datasets, self._on_encoders()):
            splits = [s for family in self.splits for s in expand(data, family)]
            for split, mode, fraction, seed, head in itertools.product(
                splits, modes, self.fractions, self.seeds, heads
            ):
                spec = RunSpec(data, encoder, head, split, float(fraction), int(seed), **self.base, mode=mode)
                spec = replace(spec, **self.encoder_options.get(encoder, {}))
                made.append(replace(spec, head_settings=self.head_options.get(head, {})))
        return made

    def _on_encoders(self) -> list[tuple[str, list[str], Sequence[str | None]]]:
        """Each encoder with the heads that stand on it and their modes, and last the heads that stand on none.

        Raises:
            SettingError: A head stands on an encoder, and there is none.
        """
        alone = [head for head in self.heads if head_card(head).reads == "pixels"]
        others = [head for head in self.heads if head not in alone]
        if others and not self.encoders:
            raise SettingError(f"head {others[0]!r} stands on an encoder, and none is given", remedy="Name one or more")
        stood = [(encoder, others, self.modes) for encoder in self.encoders if others]
        return stood + ([(NO_ENCODER, alone, (None,))] if alone else [])


_STUDY_KEYS = {
    "study": {"name", "about", "protocol", "seeds", "mpp", "modes"},
    "cells": {"datasets", "splits", "encoders", "heads", "fractions"},
    "encoders": None,
    "heads": None,
}


def read_study(path: Path) -> Study:
    """Read a study file.

    Raises:
        InputError: The file is not TOML, lacks a part, or has one that nothing reads.
    """
    given = read_toml(path)
    _refuse_strangers(given, path)
    try:
        study, cells = given["study"], given["cells"]
        return Study(
            name=str(study["name"]),
            datasets=_list(cells, "datasets", path),
            splits=_list(cells, "splits", path),
            encoders=_list(cells, "encoders", path) if "encoders" in cells else [],
            heads=_list(cells, "heads", path),
            fractions=_list(cells, "fractions", path, [1.0]),
            seeds=_list(study, "seeds", path, [0]),
            base={key: study[key] for key in ("protocol", "mpp") if key in study},
            encoder_options=given.get("encoders", {}),
            head_options=given.get("heads", {}),
            modes=_list(study, "modes", path, [None]),
        )
    except KeyError as error:
        raise InputError(
            f"lacks {error}",
            where=path,
            remedy="A study has [study] name and [cells] datasets, splits, encoders, heads",
        ) from error


def _refuse_strangers(given: Mapping[str, Any], path: Path) -> None:
    for section, content in given.items():
        allowed = _STUDY_KEYS.get(section, set())
        if not isinstance(content, Mapping) or allowed == set():
            raise InputError(
                f"has a section {section!r} that nothing reads", where=path, remedy=f"Use {', '.join(_STUDY_KEYS)}"
            )
        for key in content:
            if allowed is not None and key not in allowed:
                raise InputError(
                    f"has a key {section}.{key} that nothing reads",
                    where=path,
                    remedy=f"Use {', '.join(sorted(allowed))}",
                )
    for name, options in given.get("encoders", {}).items():
        if strangers := set(options) - {"weights", "precision"}:
            raise InputError(
                f"has a key encoders.{name}.{min(strangers)} that nothing reads",
                where=path,
                remedy="Use weights, precision",
            )


def _list(section: Mapping[str, Any], key: str, path: Path, default: list[Any] | None = None) -> list[Any]:
    value = section.get(key, default) if default is not None else section[key]
    if not isinstance(value, list) or not value:
        raise InputError(f"{key} is not a list with something in it", where=path, remedy=f'Write {key} = ["…"]')
    return value
