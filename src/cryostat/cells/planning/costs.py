"""What runs cost, at most (no training stops early): passes through the encoder, work of encoder and heads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cryostat.cells.dataset import Split
from cryostat.cells.heads import HeadCard, head_card
from cryostat.cells.heads.settings import TileSettings
from cryostat.cells.planning.flops import TRAINING, TUNING, head_flops, linear_flops
from cryostat.cells.planning.machines import Work
from cryostat.cells.protocols import load_protocol
from cryostat.cells.runs.modes import Mode
from cryostat.cells.runs.spec import RunSpec
from cryostat.cells.splits import subset
from cryostat.cells.tiling import CellTiles
from cryostat.encoders.card import EncoderCard


@dataclass(frozen=True)
class Job:
    """A run with all that its cost depends on.

    Attributes:
        spec: What was asked for.
        mode: How it is trained.
        settings: Of the head, resolved.
        train: Tiles it is trained on.
        valid: Tiles of each look at the validation part.
        test: Tiles of the test part.
    """

    spec: RunSpec
    mode: Mode
    settings: Any
    train: int
    valid: int
    test: int

    @property
    def head(self) -> HeadCard:
        """What its head is."""
        return head_card(self.spec.head)

    @property
    def on_tiles(self) -> bool:
        """Whether the head is trained on tiles, not on feature vectors."""
        return isinstance(self.settings, TileSettings)

    @property
    def looks(self) -> int:
        """Looks at the validation part, at least one."""
        return max(1, int(self.settings.steps) // max(1, int(self.settings.validate_every)))

    @property
    def judged(self) -> int:
        """Tiles judged in all looks and at the end."""
        return self.looks * self.valid + self.test

    @property
    def drawn(self) -> int:
        """Tiles or vectors in all training steps."""
        return int(self.settings.steps * self.settings.batch)


def job(spec: RunSpec, split: Split, tiles: CellTiles) -> Job:
    """A run with the sizes of its parts.

    Args:
        spec: The run.
        split: The full split.
        tiles: The tiles of its dataset.

    Raises:
        SettingError: The head has no such setting.
    """
    used = subset(split, spec.fraction, spec.seed)
    counts = [sum(len(tiles.tiles_of(fov)) for fov in used.fovs(part)) for part in ("train", "valid", "test")]
    return Job(spec, spec.resolved_mode(), spec.resolved_settings(), *counts)


# Passes through the encoder.


@dataclass(frozen=True)
class Passes:
    """Tiles that pass the encoder.

    Attributes:
        learning: With gradients.
        looking: Without.
    """

    learning: int = 0
    looking: int = 0

    def __add__(self, other: Passes) -> Passes:
        return Passes(self.learning + other.learning, self.looking + other.looking)

    @property
    def total(self) -> int:
        """All of them."""
        return self.learning + self.looking


def training_passes(jobs: Sequence[Job]) -> Passes:
    """Passes of runs on one dataset, encoder and mode; none for features that are read from the store."""
    kind = jobs[0].mode.kind if jobs else "cached"
    if kind == "live":
        by_split: dict[str, list[Job]] = {}
        for one in jobs:
            by_split.setdefault(one.spec.split, []).append(one)
        return sum((_live(alike) for alike in by_split.values()), Passes())
    if kind in ("finetune", "lora"):
        return sum((Passes(one.drawn, one.judged) for one in jobs), Passes())
    return Passes()


def _live(jobs: Sequence[Job]) -> Passes:
    """Runs on one split share their draws: a tile passes once a window, and those to be judged once in all."""
    drawn = {_draws(one): _windows(one) * min(one.settings.window * one.settings.batch, one.train) for one in jobs}
    most = max(_windows(one) for one in jobs) * max(one.train for one in jobs)
    return Passes(looking=min(sum(drawn.values()), most) + max(one.valid for one in jobs) + jobs[0].test)


def _windows(one: Job) -> int:
    return math.ceil(int(one.settings.steps) / max(1, int(one.settings.window)))


def _draws(one: Job) -> tuple[object, ...]:
    """What decides which tiles a run draws."""
    chosen = None if one.spec.fraction == 1 else one.spec.seed
    return one.settings.batch, one.settings.window, one.settings.balanced, one.spec.fraction, chosen


def encoder_work(passes: Passes, once: Work, mode: Mode) -> Work:
    """Work of some passes, `once` that of a tile without gradients."""
    return once * (passes.looking + passes.learning * (TUNING if mode.kind == "lora" else TRAINING))


# Work of the heads.


def heads_work(jobs: Iterable[Job], card: EncoderCard, side: int, logits: int) -> Work:
    """Work of training, judging and testing the heads of some runs.

    Args:
        jobs: The runs.
        card: Of their encoder.
        side: Of a tile, px.
        logits: Outputs of the heads.

    Raises:
        ModuleNotFoundError: A head is built from an optional package that is not installed.
    """
    return sum((_head_work(one, card, side, logits) for one in jobs), Work())


def _head_work(one: Job, card: EncoderCard, side: int, logits: int) -> Work:
    grid = card.tokens_across(side)
    tile = head_flops(one.head, one.settings, width=card.width, grid=grid, side=side, logits=logits)
    if one.on_tiles:
        return Work(pixels=TRAINING * one.drawn * tile + one.judged * tile)
    vector = linear_flops(card.width * (2 if getattr(one.settings, "ring_um", 0) else 1), logits)
    return Work(tokens=TRAINING * one.drawn * vector + one.judged * tile)


# Layers in the store.


def stored_layers(jobs: Iterable[Job], card: EncoderCard) -> tuple[str, ...]:
    """The layers that runs read from the store, each once."""
    cached = [one for one in jobs if one.mode.kind == "cached"]
    chosen = [one.head.layers(card, load_protocol(one.spec.protocol).training.layers) for one in cached]
    return tuple(dict.fromkeys(layer for layers in chosen for layer in layers))


def map_bytes(card: EncoderCard, side: int) -> int:
    """Bytes of one tile's features in one layer: h × w × C × 2."""
    return card.tokens_across(side) ** 2 * card.width * 2
