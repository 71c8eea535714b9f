"""A run made ready: everything that determines it is known, nothing is fitted yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from cryostat.cells.dataset import Split
from cryostat.cells.heads import HeadCard, head_card
from cryostat.cells.heads.settings import TileSettings
from cryostat.cells.runs.material import Features
from cryostat.cells.runs.modes import Mode, resolve_mode
from cryostat.cells.runs.spec import RunSpec
from cryostat.cells.splits import subset
from cryostat.cells.training.tiles.precision import resolved
from cryostat.core.files import safe_name
from cryostat.core.home import Home
from cryostat.core.identity import code_version, digest

_HEADS, _RUNS, _TRAINING = "cryostat.cells.heads.", "cryostat.cells.runs.", "cryostat.cells.training."

CODE = (
    "cryostat.cells.pooling",
    f"{_RUNS}predict",
    f"{_TRAINING}common",
)
"""The modules that determine every run beyond its features."""

ON_VECTORS = (
    f"{_HEADS}linear",
    f"{_HEADS}probe",
    f"{_RUNS}fits",
    f"{_TRAINING}classifier",
    f"{_TRAINING}linear",
    f"{_TRAINING}probe",
)
"""And those fitted on feature vectors."""

ON_TILES = (
    f"{_HEADS}linear",
    f"{_HEADS}probe",
    f"{_HEADS}unetr",
    f"{_HEADS}dpt",
    f"{_HEADS}build",
    f"{_RUNS}pupils",
    f"{_RUNS}tilefits",
    f"{_RUNS}watching",
    f"{_TRAINING}nucleus_tokens",
    f"{_TRAINING}recipe.loss",
    f"{_TRAINING}recipe.sampling",
    f"{_TRAINING}recipe.schedule",
    f"{_TRAINING}tiles.cached",
    f"{_TRAINING}tiles.live",
    f"{_TRAINING}tiles.loop",
    f"{_TRAINING}tiles.learners",
    f"{_TRAINING}tiles.models",
    f"{_TRAINING}tiles.streams",
    "cryostat.cells.augmentation.batch",
    "cryostat.cells.augmentation.geometry",
    "cryostat.cells.augmentation.settings",
    "cryostat.cells.augmentation.stain",
    "cryostat.cells.augmentation.views",
    "cryostat.encoders.tile.tuning",
)
"""And those trained on tiles."""


OF_HOVERNEXT = (
    f"{_RUNS}hover",
    f"{_TRAINING}tiles.hover",
    *(f"cryostat.cells.hovernext.{name}" for name in ("head", "model", "loss", "targets", "watershed", "search")),
)
"""And HoVer-NeXt."""


@cache
def _code(modules: tuple[str, ...]) -> str:
    return code_version(*(import_module(name) for name in modules))


@dataclass(frozen=True)
class Prepared:
    """A run that can begin.

    Attributes:
        spec: What was asked for.
        head: What the head is.
        mode: How it is trained.
        settings: Of the head, all resolved.
        features: What it works on.
        split: The parts that it uses, with its share of the training fields.
        identity: All that determines its result.
        run_id: Its name.
        folder: Where it will stand.
    """

    spec: RunSpec
    head: HeadCard
    mode: Mode
    settings: Any
    features: Features
    split: Split
    identity: Mapping[str, Any]
    run_id: str
    folder: Path

    @property
    def finished(self) -> bool:
        """Whether the run stands already."""
        return (self.folder / "run.json").exists()

    @property
    def on_tiles(self) -> bool:
        """Whether the head is trained on tiles, not on feature vectors."""
        return isinstance(self.settings, TileSettings)


def prepare_run(features: Features, spec: RunSpec, home: Home) -> Prepared:
    """Resolve a run's settings, split and identity; features that it reads from the store are encoded here.

    Raises:
        CryostatError: Whatever stands in the way, with the remedy.
    """
    head, rules = head_card(spec.head), features.protocol
    mode = resolve_mode(spec.mode, head, rules)
    settings = _settings(features, spec)
    layers = features.layers_of(spec.head)
    if mode.kind == "cached":
        features.require(layers, mode.views)
    else:
        features.show_pixels()
    split = features.usable(subset(features.dataset.split(spec.split), spec.fraction, spec.seed))
    identity = {
        "benchmark": "cells",
        "dataset": features.dataset.identity,
        "split": digest(dict(split.parts)),
        "fraction": spec.fraction,
        "features": _features_identity(features, layers, mode),
        "mode": str(mode),
        "head": {"name": spec.head, **asdict(settings)},
        "protocol": rules.rules(),
        "seed": spec.seed,
        "code": _code(_modules(head, settings)),
    }
    parts = (spec.dataset, spec.split, features.encoder.card.name, spec.head)
    run_id = "-".join(
        (*parts, *([mode.kind] if mode.kind not in ("cached", "supervised") else []), digest(identity, 10))
    )
    return Prepared(spec, head, mode, settings, features, split, identity, run_id, home.runs / safe_name(run_id))


def _modules(head: HeadCard, settings: Any) -> tuple[str, ...]:
    own = OF_HOVERNEXT if head.reads == "pixels" else ()
    return CODE + (ON_TILES if isinstance(settings, TileSettings) else ON_VECTORS) + own


def _settings(features: Features, spec: RunSpec) -> Any:
    """The head's settings, with the arithmetic that this machine chooses."""
    settings = spec.resolved_settings()
    if isinstance(settings, TileSettings):
        return replace(settings, precision=resolved(features.encoder.device, settings.precision))
    return settings


def _features_identity(features: Features, layers: tuple[str, ...], mode: Mode) -> Mapping[str, Any]:
    if mode.kind == "cached":
        return {layer: store.identity for layer, store in features.stores(layers).items()}
    return {"encoder": features.encoder.identity(), "tiles": features.tiles.identity(), "layers": layers}
