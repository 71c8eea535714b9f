"""Short trainings on generated tissue with a tiny random transformer."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from cryostat.cells.runs.bench import Bench
from cryostat.cells.runs.spec import RunSpec
from cryostat.cells.training.tiles.checkpoints import Checkpoint
from cryostat.cells.training.tiles.learners import Learner
from cryostat.core.home import Home
from cryostat.encoders.tile.base import TileEncoder
from cryostat.results.records import RunRecord

STEPS: dict[str, Any] = {"steps": 4, "batch": 2, "warmup": 1, "validate_every": 2, "window": 2, "precision": "fp32"}
OF_HEADS: dict[str, dict[str, Any]] = {"dpt-lean": {"features": 8}, "cell-probe": {"dropout": 0.2, "ring_um": 2.0}}


def tile_spec(
    head: str, mode: str | None, *, encoder: str = "test_vit", split: str = "base", **changes: Any
) -> RunSpec:
    """A spec of a few steps on the dataset `tissue`; what is no field of a spec is a setting of the head."""
    own = {key: changes.pop(key) for key in ("seed", "fraction", "protocol", "weights", "precision") if key in changes}
    weights = "random" if encoder.startswith("test_") else None
    settings = STEPS | OF_HEADS.get(head, {}) | changes
    return RunSpec("tissue", encoder, head, split, mode=mode, head_settings=settings, **({"weights": weights} | own))


class InterruptedError(Exception):
    """Stands for the end of the process."""


def same_result(one: RunRecord, other: RunRecord) -> None:
    """Predictions to the bit and all that happened in training."""
    pd.testing.assert_frame_equal(one.predictions(), other.predictions())
    for key in ("looks", "best_at", "best_valid_macro_f1", "steps", "stopped_early", "optimised_parameters"):
        assert one.training[key] == other.training[key]
    for key in ("tuned_weights", "tuned_base_weights"):
        assert one.training.get(key) == other.training.get(key)


def set_aside(home: Home, record: RunRecord) -> RunRecord:
    """A finished run moved away, so that the same spec runs anew."""
    away = home.root / "aside" / record.run_id
    shutil.rmtree(away, ignore_errors=True)
    away.parent.mkdir(exist_ok=True)
    shutil.move(home.runs / record.run_id, away)
    return RunRecord.load(away)


def die_after(monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
    """Training ends in an error after so many looks, whosever."""
    keep, seen = Checkpoint.keep, [0]

    def kept(self: Checkpoint, learner: Learner) -> None:
        keep(self, learner)
        seen[0] += 1
        if seen[0] == looks:
            raise InterruptedError

    monkeypatch.setattr(Checkpoint, "keep", kept)


def count_images(bench: Bench, spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many images passed the encoder of a spec since."""
    encoder: TileEncoder = bench.features(spec).encoder
    seen, maps = [0], encoder._maps

    def counted(images: Any, layers: Any) -> Any:
        seen[0] += len(images)
        return maps(images, layers)

    monkeypatch.setattr(encoder, "_maps", counted)
    return lambda: seen[0]
