"""The bench: runs specs, sharing encoders, features and passes, and keeps what comes of them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from torch import Tensor

from cryostat.cells.dataset import load_dataset
from cryostat.cells.runs.fits import Fit, fit_on_vectors
from cryostat.cells.runs.material import Features, prepare
from cryostat.cells.runs.modes import Mode
from cryostat.cells.runs.prepared import Prepared, prepare_run
from cryostat.cells.runs.spec import RunSpec
from cryostat.cells.runs.tilefits import fit_on_tiles
from cryostat.cells.training.tiles.live import feels_train_mode
from cryostat.core.errors import CryostatError, EncoderError
from cryostat.core.files import write_json
from cryostat.core.home import Home
from cryostat.encoders.registry import load_encoder
from cryostat.results.predictions import write_predictions
from cryostat.results.records import RunRecord
from cryostat.results.scores import score
from cryostat.runs.environment import Phases, environment
from cryostat.runs.folders import drafted


class Bench:
    """Runs specs in this process; features and pooled nuclei are made once and found again by identity.

    Args:
        home: Where datasets, features and runs live.
        device: `auto`, `cpu`, `cuda` …
        batch_size: Tiles an encoder pass.
        planned: Runs to come: the layers that they read of one encoder are stored in one pass.
    """

    def __init__(
        self, home: Home, *, device: str = "auto", batch_size: int = 32, planned: Sequence[RunSpec] = ()
    ) -> None:
        self.home, self.device, self.batch_size, self.planned = home, device, batch_size, planned
        self._features = lru_cache(maxsize=1)(self._prepare)

    def features(self, spec: RunSpec) -> Features:
        """The dataset of a run as its encoder sees it; runs that differ only in what is trained share it."""
        return self._features(*sight(spec))

    def _prepare(
        self, dataset: str, name: str, protocol: str, mpp: float | None, weights: str | None, precision: str | None
    ) -> Features:
        encoder = load_encoder(name, weights=weights, device=self.device, precision=precision)
        tissue = load_dataset(dataset, self.home)
        return prepare(encoder, tissue, protocol=protocol, mpp=mpp, home=self.home, batch_size=self.batch_size)

    def run(self, spec: RunSpec) -> RunRecord:
        """Execute one run, or find it finished.

        Raises:
            CryostatError: Whatever stands in the way, with the remedy.
        """
        return _only(_finish([self._ready(spec, Phases())], self.home))

    def run_together(self, specs: Sequence[RunSpec]) -> list[RunRecord | CryostatError]:
        """Execute runs that can share encoder passes together; a record each, or what stood in its way."""
        found: dict[int, RunRecord | CryostatError] = {}
        ready: dict[int, tuple[Prepared, Phases]] = {}
        for number, spec in enumerate(specs):
            try:
                ready[number] = self._ready(spec, Phases())
            except CryostatError as error:
                found[number] = error
        for group in _sharing({number: run for number, (run, _) in ready.items()}):
            found.update(zip(group, self._attempt([ready[number] for number in group]), strict=True))
        return [found[number] for number in range(len(specs))]

    def _attempt(self, ready: Sequence[tuple[Prepared, Phases]]) -> list[RunRecord | CryostatError]:
        """Runs beside each other; where that fails one by one, each from its last look on, so that only one is lost."""
        try:
            return _finish(ready, self.home)
        except CryostatError as error:
            return [error] if len(ready) == 1 else [found for one in ready for found in self._attempt([one])]

    def _ready(self, spec: RunSpec, phases: Phases) -> tuple[Prepared, Phases]:
        with phases.phase("features"):
            features = self.features(spec)
            self._store(features, spec)
            return prepare_run(features, spec, self.home), phases

    def _store(self, features: Features, spec: RunSpec) -> None:
        """Store what this run and those planned beside it read, in one pass."""
        views = spec.resolved_mode().views
        alike = [s for s in (spec, *self.planned) if sight(s) == sight(spec)]
        heads = {s.head for s in alike if s.resolved_mode() == Mode("cached", views)}
        if spec.head in heads:
            features.require([layer for head in sorted(heads) for layer in features.layers_of(head)], views)


def sight(spec: RunSpec) -> tuple[Any, ...]:
    """What decides how an encoder sees a dataset."""
    return spec.dataset, spec.encoder, spec.protocol, spec.mpp, spec.weights, spec.precision


def fit(
    features: Features,
    *,
    head: str = "cell-probe",
    split: str = "base",
    fraction: float = 1.0,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    mode: str | None = None,
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
        mode: `cached`, `cached:8`, `live`, `finetune`, `lora:16`; the protocol's by default.
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
        mode=mode,
    )
    target = home or Home.find()
    return _only(_finish([(prepare_run(features, spec, target), Phases())], target))


def _sharing(runs: Mapping[int, Prepared]) -> list[list[int]]:
    """Groups of runs that can be trained beside each other: live on one encoder, one split, one window, one ring."""
    groups: list[tuple[Any, float, list[int]]] = []
    for number, run in runs.items():
        if run.mode.kind != "live":
            groups.append((None, 0.0, [number]))
            continue
        key = (id(run.features), run.spec.split, run.settings.window, run.settings.augment, _alone(number, run))
        ring = float(getattr(run.settings, "ring_um", 0.0))
        for i, (known, width, members) in enumerate(groups):
            if known == key and (ring == 0 or width in (0, ring)):
                groups[i] = (key, max(width, ring), [*members, number])
                break
        else:
            groups.append((key, ring, [number]))
    return [members for _, _, members in groups]


def _alone(number: int, run: Prepared) -> int | None:
    """What keeps a run apart from all others: batch norms and drop-outs would let it notice them."""
    rules = run.features.protocol.training
    return number if rules.train_mode_encoder and feels_train_mode(run.features.encoder.module) else None


def _only(found: Sequence[RunRecord | CryostatError]) -> RunRecord:
    """The record of a single run, or the error that it ended in."""
    (one,) = found
    if isinstance(one, CryostatError):
        raise one
    return one


def _finish(ready: Sequence[tuple[Prepared, Phases]], home: Home) -> list[RunRecord | CryostatError]:
    """Fit, score and keep runs that belong together; finished ones are found."""
    failed: dict[str, CryostatError] = {}
    missing = [(run, phases) for run, phases in ready if not run.finished]
    if missing:
        runs = [run for run, _ in missing]
        shared, features = Phases(), runs[0].features
        before = features.encoder.weights_hash()
        with shared.phase("fit"):
            fits: Sequence[Fit | CryostatError] = (
                fit_on_tiles(runs, home) if runs[0].on_tiles else [fit_on_vectors(run) for run in runs]
            )
        after = _prove_frozen(features, before)
        for (run, phases), fitted in zip(missing, fits, strict=True):
            phases.entries.update(shared.entries)
            phases.entries["fit"]["shared_by"] = len(runs)
            if isinstance(fitted, CryostatError):
                failed[run.run_id] = fitted
                continue
            _keep(run, phases, fitted, {"encoder_weights_before": before, "encoder_weights_after": after})
    return [failed.get(run.run_id) or RunRecord.load(run.folder) for run, _ in ready]


def _keep(run: Prepared, phases: Phases, fitted: Fit, frozen: Mapping[str, Any]) -> None:
    features = run.features
    table = fitted.table.assign(run_id=run.run_id)
    with phases.phase("score"):
        scores = score(table, features.dataset.classes, class_set=features.protocol.scoring.class_set)
    record = RunRecord(
        run_id=run.run_id,
        benchmark="cells",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        identity=run.identity,
        settings=_settings(run),
        training={**fitted.log.summary(), "mode": str(run.mode), **frozen, **_prove_learnt(run, fitted, frozen)},
        phases=phases.entries,
        environment={**environment(), "device": str(features.encoder.device)},
        failures=[{"fov_id": fov, "reason": reason} for fov, reason in features.failures.items()],
    )
    with drafted(run.folder) as draft:
        write_predictions(draft / "predictions.parquet", table)
        write_json(draft / "scores.json", scores.to_dict())
        save_file({name: _plain(t) for name, t in fitted.tensors.items()}, draft / "head.safetensors")
        for name, write in fitted.extras.items():
            write(draft / name)
        record.save(draft)


def _settings(run: Prepared) -> dict[str, Any]:
    features = run.features
    settings = asdict(run.spec)
    # As resolved: a timm model without weights says so in its name, and a default is written out.
    settings["encoder"] = features.encoder.card.name
    settings["precision"] = features.encoder.precision
    settings["mpp"] = features.protocol.tiling.mpp
    settings["mode"] = str(run.mode)
    settings["head_settings"] = asdict(run.settings)
    settings["layers"] = features.layers_of(run.spec.head)
    settings["quirks"] = features.protocol.quirks()
    settings["classes"] = {str(c.id): c.name for c in features.dataset.classes}
    return settings


def _prove_frozen(features: Features, before: str) -> str:
    """The hash of the shared encoder's weights after training, which is that before it.

    Raises:
        EncoderError: Its weights changed during the run.
    """
    after = features.encoder.weights_hash()
    if before != after:
        raise EncoderError(
            f"the weights of {features.encoder.card.name} changed during the run, although it was to be frozen",
            remedy="Report this; the run was not kept",
        )
    return after


def _prove_learnt(run: Prepared, fitted: Fit, frozen: Mapping[str, Any]) -> Mapping[str, Any]:
    """What became of an encoder that learnt; under LoRA its own weights must be those from before.

    Raises:
        EncoderError: What was to be frozen changed.
    """
    before = frozen["encoder_weights_before"]
    proof = fitted.proof
    base = proof.get("tuned_base_weights", before)
    learnt_encoder = any(name.startswith("encoder.") for name in fitted.log.optimised)
    if base != before or learnt_encoder != run.mode.tunes:
        raise EncoderError(
            f"the training of {run.run_id} does not prove its mode {run.mode}",
            remedy="Report this; the run was not kept",
        )
    return proof


def _plain(tensor: Tensor | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    array = tensor.detach().cpu().numpy() if isinstance(tensor, Tensor) else tensor
    return np.ascontiguousarray(array)
