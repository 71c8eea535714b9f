"""The bench: runs specs one after another, sharing encoders, features and pooled nuclei."""

from __future__ import annotations

import datetime
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from torch import Tensor

import cryostat.cells.heads.linear
import cryostat.cells.heads.probe
import cryostat.cells.pooling
import cryostat.cells.runs.fits
import cryostat.cells.runs.predict
import cryostat.cells.training.classifier
import cryostat.cells.training.common
import cryostat.cells.training.linear
import cryostat.cells.training.probe
from cryostat.cells.dataset import Split, load_dataset
from cryostat.cells.heads import head_settings
from cryostat.cells.runs.environment import Phases, environment
from cryostat.cells.runs.fits import fit_and_predict
from cryostat.cells.runs.material import Features, encode
from cryostat.cells.runs.spec import RunSpec
from cryostat.cells.splits import subset
from cryostat.core.errors import EncoderError
from cryostat.core.files import safe_name, write_json
from cryostat.core.home import Home
from cryostat.core.identity import code_version, digest
from cryostat.encoders.registry import load_encoder
from cryostat.results.predictions import write_predictions
from cryostat.results.records import RunRecord
from cryostat.results.scores import score

CODE = (
    cryostat.cells.heads.linear,
    cryostat.cells.heads.probe,
    cryostat.cells.pooling,
    cryostat.cells.runs.fits,
    cryostat.cells.runs.predict,
    cryostat.cells.training.common,
    cryostat.cells.training.linear,
    cryostat.cells.training.classifier,
    cryostat.cells.training.probe,
)
"""The modules that determine a run beyond its features."""


@cache
def _code() -> str:
    return code_version(*CODE)


class Bench:
    """Runs specs in this process; features and pooled nuclei are made once and found again by identity.

    Args:
        home: Where datasets, features and runs live.
        device: `auto`, `cpu`, `cuda` …
        batch_size: Tiles an encoder pass.
    """

    def __init__(self, home: Home, *, device: str = "auto", batch_size: int = 32) -> None:
        self.home, self.device, self.batch_size = home, device, batch_size
        self._features = lru_cache(maxsize=1)(self._encode)

    def features(self, spec: RunSpec) -> Features:
        """The encoded dataset of a run; runs that differ only in head, split, fraction or seed share it."""
        return self._features(spec.dataset, spec.encoder, spec.protocol, spec.mpp, spec.weights, spec.precision)

    def _encode(
        self, dataset: str, name: str, protocol: str, mpp: float | None, weights: str | None, precision: str | None
    ) -> Features:
        encoder = load_encoder(name, weights=weights, device=self.device, precision=precision)
        tissue = load_dataset(dataset, self.home)
        return encode(encoder, tissue, protocol=protocol, mpp=mpp, home=self.home, batch_size=self.batch_size)

    def run(self, spec: RunSpec) -> RunRecord:
        """Execute one run, or find it finished.

        Raises:
            CryostatError: Whatever stands in the way, with the remedy.
        """
        phases = Phases()
        with phases.phase("features"):
            features = self.features(spec)
        return _run(features, spec, self.home, phases)


def fit(
    features: Features,
    *,
    head: str = "cell-probe",
    split: str = "base",
    fraction: float = 1.0,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    home: Home | None = None,
) -> RunRecord:
    """Fit a head on an encoded dataset, score it on the test part, and keep the run.

    Args:
        features: From `encode`.
        head: Name of a head.
        split: Name of a split of the dataset.
        fraction: Share of the training fields of view.
        seed: Seeds the head, its training and the choice of the fraction.
        settings: Settings of the head that differ from its defaults.
        home: Where runs live.
    """
    encoder = features.encoder
    spec = RunSpec(
        dataset=features.dataset.name,
        encoder=encoder.card.name,
        head=head,
        split=split,
        fraction=fraction,
        seed=seed,
        protocol=features.protocol.name,
        mpp=features.protocol.tiling.mpp,
        precision=encoder.precision,
        head_settings=settings or {},
    )
    return _run(features, spec, home or Home.find(), Phases())


def _run(features: Features, spec: RunSpec, home: Home, phases: Phases) -> RunRecord:
    settings = head_settings(spec.head, spec.head_settings)
    split = features.usable(subset(features.dataset.split(spec.split), spec.fraction, spec.seed))
    identity = _identity(spec, features, split, settings)
    run_id = "-".join((spec.dataset, spec.split, features.encoder.card.name, spec.head, digest(identity, 10)))
    folder = home.runs / safe_name(run_id)
    if (folder / "run.json").exists():
        return RunRecord.load(folder)
    before = features.encoder.weights_hash()
    with phases.phase("fit"):
        fitted = fit_and_predict(features, split, spec.head, settings, spec.seed)
    frozen = _prove_frozen(features, before)
    table = fitted.table.assign(run_id=run_id)
    with phases.phase("score"):
        scores = score(table, features.dataset.classes, class_set=features.protocol.scoring.class_set)
    record = RunRecord(
        run_id=run_id,
        benchmark="cells",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        identity=identity,
        settings=_settings(spec, features),
        training={**fitted.log.summary(), **frozen},
        phases=phases.entries,
        environment={**environment(), "device": str(features.encoder.device)},
        failures=[{"fov_id": fov, "reason": reason} for fov, reason in features.failures.items()],
    )
    with _draft(folder) as draft:
        write_predictions(draft / "predictions.parquet", table)
        write_json(draft / "scores.json", scores.to_dict())
        save_file({name: _plain(t) for name, t in fitted.tensors.items()}, draft / "head.safetensors")
        record.save(draft)
    return RunRecord.load(folder)


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """A folder that takes its place when complete; a run that another process finished meanwhile stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".run-"))
    try:
        yield draft
        draft.chmod(0o755)
        if not (folder / "run.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            draft.replace(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _identity(spec: RunSpec, features: Features, split: Split, settings: Any) -> dict[str, Any]:
    return {
        "benchmark": "cells",
        "dataset": features.dataset.identity,
        "split": digest(dict(split.parts)),
        "fraction": spec.fraction,
        "features": {layer: store.identity for layer, store in features.stores.items()},
        "head": {"name": spec.head, **asdict(settings)},
        "protocol": features.protocol.rules(),
        "seed": spec.seed,
        "code": _code(),
    }


def _settings(spec: RunSpec, features: Features) -> dict[str, Any]:
    settings = asdict(spec)
    # As resolved: a timm model without weights says so in its name, and a default is written out.
    settings["encoder"] = features.encoder.card.name
    settings["precision"] = features.encoder.precision
    settings["mpp"] = features.protocol.tiling.mpp
    settings["quirks"] = features.protocol.quirks()
    settings["classes"] = {str(c.id): c.name for c in features.dataset.classes}
    return settings


def _prove_frozen(features: Features, before: str) -> dict[str, Any]:
    """The evidence that the encoder was frozen.

    Raises:
        EncoderError: Its weights changed during the run.
    """
    after = features.encoder.weights_hash()
    if before != after:
        raise EncoderError(
            f"the weights of {features.encoder.card.name} changed during the run, although it was to be frozen",
            remedy="Report this; the run was not kept",
        )
    return {"mode": "cached", "encoder_weights_before": before, "encoder_weights_after": after}


def _plain(tensor: Tensor | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    array = tensor.detach().cpu().numpy() if isinstance(tensor, Tensor) else tensor
    return np.ascontiguousarray(array)
