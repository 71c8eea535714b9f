"""Fitting one head on encoded features, and what it says of the test nuclei."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from cryostat.cells.dataset import Split
from cryostat.cells.heads.settings import CellProbeSettings, LinearSettings
from cryostat.cells.runs.material import Features
from cryostat.cells.runs.predict import GivenNuclei, predicted, predictions_table, truth
from cryostat.cells.training.common import Standardiser, TrainingLog
from cryostat.cells.training.linear import fit_linear
from cryostat.cells.training.probe import fit_probe
from cryostat.results.scores import macro_f1


@dataclass(frozen=True)
class Fit:
    """A fitted head's word on the test part.

    Attributes:
        table: Predictions table, its `run_id` still empty.
        log: What happened during training.
        tensors: Weights and standardisation, by name.
    """

    table: pd.DataFrame
    log: TrainingLog
    tensors: Mapping[str, Tensor | NDArray[Any]]


def fit_and_predict(features: Features, split: Split, head: str, settings: Any, seed: int) -> Fit:
    """Fit a head on the training part, choose by the validation part, predict the test part."""
    return _FITS[head](features, split, settings, seed)


def _fit_linear(features: Features, split: Split, settings: LinearSettings, seed: int) -> Fit:
    outputs, tiles, device = features.outputs(dense=True), features.tiles, features.encoder.device
    judge = _Judge(features, dense=True)
    valid, test = (GivenNuclei(tiles, split.fovs(part), device) for part in ("valid", "test"))
    valid_true = truth(tiles, valid.rows)
    fitted = fit_linear(
        tiles,
        features.stores["final"],
        features.tiles_in(split.fovs("train")),
        lambda candidate: judge.macro_f1(valid.means(candidate), valid_true),
        outputs,
        settings,
        seed=seed,
        device=device,
    )
    tensors = _tensors(fitted.model.state_dict(), fitted.standardiser)
    return Fit(judge.table(test.rows, test.means(fitted)), fitted.log, tensors)


def _fit_probe(features: Features, split: Split, settings: CellProbeSettings, seed: int) -> Fit:
    outputs, device = features.outputs(dense=False), features.encoder.device
    pooled = features.pooled(settings.ring_um)
    judge = _Judge(features, dense=False)
    where = {part: _rows_of(pooled.rows, split.fovs(part)) for part in ("train", "valid", "test")}
    rows = {part: pooled.rows.iloc[index] for part, index in where.items()}
    valid_true = truth(features.tiles, rows["valid"])
    fitted = fit_probe(
        pooled.features[where["train"]],
        truth(features.tiles, rows["train"]),
        pooled.features[where["valid"]],
        lambda probabilities: judge.macro_f1(probabilities, valid_true),
        outputs,
        settings,
        seed=seed,
        device=device,
    )
    test = fitted.probabilities(pooled.features[where["test"]], device)
    tensors = _tensors(fitted.model.state_dict(), fitted.standardiser)
    return Fit(judge.table(rows["test"], test), fitted.log, tensors)


_FITS: Mapping[str, Callable[[Features, Split, Any, int], Fit]] = {"linear": _fit_linear, "cell-probe": _fit_probe}


class _Judge:
    """Scores and tables of a head's probabilities under the features' protocol."""

    def __init__(self, features: Features, *, dense: bool) -> None:
        self.features, self.outputs = features, features.outputs(dense=dense)

    def macro_f1(self, probabilities: NDArray[np.float32], true: NDArray[np.int64]) -> float:
        protocol = self.features.protocol
        return macro_f1(true, predicted(probabilities, self.outputs, protocol), protocol.scoring.class_set)

    def table(self, rows: pd.DataFrame, probabilities: NDArray[np.float32]) -> pd.DataFrame:
        f = self.features
        return predictions_table(rows, probabilities, truth(f.tiles, rows), self.outputs, f.dataset, f.protocol)


def _rows_of(rows: pd.DataFrame, fovs: Sequence[str]) -> NDArray[np.int64]:
    return np.flatnonzero(rows["fov_id"].isin(set(fovs)).to_numpy())


def _tensors(weights: Mapping[str, Tensor], standardiser: Standardiser) -> dict[str, Any]:
    tensors: dict[str, Any] = {f"head.{name}": tensor for name, tensor in weights.items()}
    return tensors | {"standardise.mean": standardiser.mean, "standardise.scale": standardiser.scale}
