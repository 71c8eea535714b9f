"""Runs in training on tiles: each builds its learner, is judged on the validation part, and predicts the test part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cryostat.cells.heads.build import build_head
from cryostat.cells.heads.probe import CellProbe
from cryostat.cells.heads.settings import ProbeTileSettings, TileSettings
from cryostat.cells.pooling import PooledCells, pool_features
from cryostat.cells.runs.fits import Fit, Judge
from cryostat.cells.runs.pooled import joined
from cryostat.cells.runs.predict import GivenNuclei, truth
from cryostat.cells.runs.prepared import Prepared
from cryostat.cells.runs.watching import SeenTiles, Watched, parts_of
from cryostat.cells.training.common import Standardiser, TrainingLog, seeded
from cryostat.cells.training.recipe.sampling import pixel_counts, tile_weights
from cryostat.cells.training.tiles.learners import DenseLearner, Learner, ProbeLearner, Task
from cryostat.cells.training.tiles.models import Centred, DenseModel, tokens_gathered
from cryostat.cells.training.tiles.streams import Stream
from cryostat.core.errors import InputError
from cryostat.encoders.tile.base import TileEncoder
from cryostat.encoders.tile.tuning import base_hash, tuned

SAMPLED_TILES = 256
"""Training tiles over which features are centred and scaled."""


class Desk:
    """What runs that share features, split and mode look at together: tiles as they are, and nuclei to judge by.

    Args:
        runs: At least one.
    """

    def __init__(self, runs: Sequence[Prepared]) -> None:
        run = runs[0]
        self.features, self.split, self.mode = run.features, run.split, run.mode
        self.device = run.features.encoder.device
        self.layers = tuple(dict.fromkeys(layer for r in runs for layer in run.features.layers_of(r.spec.head)))

    @cached_property
    def seen(self) -> SeenTiles:
        """Unaugmented tiles as the frozen encoder sees them: encoded once for all runs."""
        features = self.features
        if self.mode.kind == "cached":
            return SeenTiles(features.tiles, self.layers, self.device, stores=features.stores(self.layers))
        return SeenTiles(features.tiles, self.layers, self.device, encoder=features.encoder, keep=True)

    @cached_property
    def valid(self) -> GivenNuclei:
        """The validation part's nuclei."""
        return self.nuclei("valid")

    def nuclei(self, part: str) -> GivenNuclei:
        """The nuclei of a part."""
        return GivenNuclei(self.features.tiles, self.split.fovs(part), self.device)

    @cached_property
    def valid_true(self) -> NDArray[np.int64]:
        """(n,) true classes of the validation part."""
        return truth(self.features.tiles, self.valid.rows)

    def validate(self, pupils: Sequence[Pupil]) -> list[float]:
        """Macro F1 of each on the validation part, heads on one encoder field by field."""
        dense = [pupil for pupil in pupils if isinstance(pupil, DensePupil)]
        means = self.valid.means_of([pupil.watched() for pupil in dense]) if dense else []
        scores = {
            id(pupil): pupil.judge.macro_f1(found, self.valid_true) for pupil, found in zip(dense, means, strict=True)
        }
        for pupil in pupils:
            if isinstance(pupil, ProbePupil):
                scores[id(pupil)] = pupil.validate()
        return [scores[id(pupil)] for pupil in pupils]


class Pupil:
    """A run in training.

    Args:
        run: The run.
        desk: What it shares with the runs beside it.
    """

    learner: Learner

    def __init__(self, run: Prepared, desk: Desk) -> None:
        self.run, self.desk = run, desk
        self.settings: TileSettings = run.settings
        self.encoder: TileEncoder | None = None
        if run.mode.tunes:
            self.encoder = tuned(run.features.encoder, lora=run.mode.number, seed=run.spec.seed)

    def task(self, dense: bool) -> Task:
        """What the learner is to learn."""
        run = self.run
        outputs = run.features.outputs(dense=dense)
        return Task(outputs, self.settings, run.features.protocol.training, _stream(run), run.spec.seed, self.encoder)

    def seen(self, layers: Sequence[str]) -> SeenTiles:
        """Unaugmented tiles, as the frozen encoder or the run's own sees them."""
        if self.encoder is None:
            return self.desk.seen
        return SeenTiles(self.run.features.tiles, layers, self.desk.device, encoder=self.encoder)

    def log(self) -> TrainingLog:
        """What happened in training, with the names of all that the optimiser holds now."""
        names = self.learner.optimised_names(self.run.features.encoder.module)
        return replace(self.learner.log, optimised=names)

    def proof(self) -> Mapping[str, Any]:
        """What the training says of an encoder of its own."""
        found: dict[str, Any] = {"precision": self.settings.precision}
        if self.encoder is None:
            return found
        found["tuned_weights"] = self.encoder.weights_hash()
        if self.run.mode.kind == "lora":
            found["tuned_base_weights"] = base_hash(self.encoder)
        return found


class DensePupil(Pupil):
    """A run of a dense head."""

    def __init__(self, run: Prepared, desk: Desk) -> None:
        super().__init__(run, desk)
        features, layers = run.features, run.features.layers_of(run.spec.head)
        self.judge = Judge(features, dense=True)
        self.look_at = self.seen(layers)
        scales = _standardisers(run, self.look_at, layers)
        card = features.encoder.card
        gathered = tokens_gathered(card.token_px, features.tiles.tile_size) if run.head.reads == "blocks" else 1
        with seeded(run.spec.seed):
            head = build_head(run.spec.head, card.width * gathered**2, len(self.judge.outputs), self.settings)
        model = DenseModel(head, layers, card, scales, gathered).to(desk.device).to(memory_format=torch.channels_last)
        self.learner: DenseLearner = self.build_learner(self.task(dense=True), model)

    def build_learner(self, task: Task, model: DenseModel) -> DenseLearner:
        """The learner of a model."""
        return DenseLearner(task, model)

    def watched(self, precision: str | None = None) -> Watched:
        """The model on unaugmented tiles, in the precision of its training or another."""
        return Watched(self.learner.model, self.look_at, precision or self.settings.precision)

    def fit(self, desk: Desk) -> Fit:
        """What the trained head says of the test part."""
        test = desk.nuclei("test")
        table = self.judge.table(test.rows, test.means(self.watched("fp32")))
        return Fit(table, self.log(), self.learner.kept(), self.proof())


class ProbePupil(Pupil):
    """A run of the cell probe."""

    settings: ProbeTileSettings

    def __init__(self, run: Prepared, desk: Desk) -> None:
        super().__init__(run, desk)
        self.judge = Judge(run.features, dense=False)
        self.look_at = self.seen(("final",))
        self._frozen: dict[str, PooledCells] = {}
        self._field: dict[int, NDArray[Any]] = {}
        width = run.features.encoder.card.width * (2 if self.settings.ring_um else 1)
        standardiser = (
            Standardiser.fit([self._pooled("train").features])
            if run.features.protocol.training.standardise
            else Standardiser.none(width)
        )
        with seeded(run.spec.seed):
            probe = CellProbe(width, len(self.judge.outputs), self.settings.hidden, self.settings.dropout)
        model = nn.Sequential(Centred(standardiser), probe).to(desk.device)
        self.learner: ProbeLearner = ProbeLearner(self.task(dense=False), model, self.settings.ring_um)

    def validate(self) -> float:
        """Macro F1 on the validation part."""
        pooled = self._pooled("valid")
        return self.judge.macro_f1(self._probabilities(pooled), truth(self.run.features.tiles, pooled.rows))

    def fit(self, desk: Desk) -> Fit:
        """What the trained head says of the test part."""
        pooled = self._pooled("test")
        table = self.judge.table(pooled.rows, self._probabilities(pooled))
        return Fit(table, self.log(), self.learner.kept(), self.proof())

    @torch.no_grad()
    def _probabilities(self, pooled: PooledCells) -> NDArray[np.float32]:
        self.learner.model.eval()
        vectors = torch.from_numpy(pooled.features).to(self.desk.device)
        found: NDArray[np.float32] = (
            torch.cat([self.learner.model(v) for v in vectors.split(65_536)]).softmax(1).cpu().numpy()
        )
        return found

    def _pooled(self, part: str) -> PooledCells:
        """Pooled nuclei of a part; kept while the encoder is frozen. Of the training part, a sample of fields."""
        if part not in self._frozen:
            fovs = self.run.split.fovs(part)
            if part == "train":
                fovs = [fovs[i] for i in np.linspace(0, len(fovs) - 1, min(len(fovs), 16)).astype(int)]
            tiles, patch = self.run.features.tiles, self.run.features.encoder.card.token_px
            self._field = {}
            parts = pool_features(tiles, self._read, fovs, patch=patch, ring_um=self.settings.ring_um)
            pooled = joined(list(parts))
            if not self.run.mode.frozen:
                return pooled
            self._frozen[part] = pooled
        return self._frozen[part]

    def _read(self, tiles: Sequence[int]) -> NDArray[Any]:
        """Features of some tiles of one field, whose tiles are encoded together."""
        if not set(tiles) <= set(self._field):
            fov = self.run.features.tiles.index()["fov_id"].iloc[tiles[0]]
            numbers = self.run.features.tiles.tiles_of(str(fov)).tolist()
            tokens = torch.cat([self.look_at.maps(part)["final"] for part in parts_of(numbers)])
            self._field = dict(zip(numbers, tokens.cpu().numpy(), strict=True))
        return np.stack([self._field[tile] for tile in tiles])


def _stream(run: Prepared) -> Stream:
    """The tiles of each step: drawn alike for all runs that share them in live mode, else by the run's seed."""
    features, settings = run.features, run.settings
    tiles = np.array(features.tiles_in(run.split.fovs("train")), np.int64)
    highest = max(c.id for c in features.dataset.classes)
    counts = pixel_counts((features.tiles.labels([tile])[0] for tile in tiles.tolist()), highest + 1)
    if not counts[:, 1:].any():
        raise InputError("no training pixel has a class", remedy="Choose a larger fraction or another split")
    rules = features.protocol.training
    weights = tile_weights(counts, background=rules.sampled_background) if settings.balanced else np.ones(len(tiles))
    if run.mode.kind == "live":
        return Stream(tiles, weights, settings.batch, settings.window, run.spec.seed)
    return Stream(tiles, weights, settings.batch, 1, run.spec.seed, draws=run.spec.seed)


def _standardisers(run: Prepared, seen: SeenTiles, layers: Sequence[str]) -> Mapping[str, Standardiser]:
    """Centre and scale of each layer over a sample of the training tiles."""
    features, width = run.features, run.features.encoder.card.width
    if not features.protocol.training.standardise:
        return {layer: Standardiser.none(width) for layer in layers}
    train = features.tiles_in(run.split.fovs("train"))
    sample = [train[i] for i in np.linspace(0, len(train) - 1, min(len(train), SAMPLED_TILES)).astype(int)]
    blocks: dict[str, list[NDArray[Any]]] = {layer: [] for layer in layers}
    for start in range(0, len(sample), 16):
        found = seen.maps(sample[start : start + 16])
        for layer, rows in blocks.items():
            rows.append(found[layer].reshape(-1, width).cpu().numpy())
    return {layer: Standardiser.fit(rows) for layer, rows in blocks.items()}
