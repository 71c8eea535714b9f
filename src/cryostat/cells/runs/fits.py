"""Fitting one head on stored feature vectors, and what it says of the test nuclei."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from cryostat.cells.runs.bank import ManyViews
from cryostat.cells.runs.material import Features
from cryostat.cells.runs.predict import GivenNuclei, predicted, predictions_table, truth
from cryostat.cells.runs.prepared import Prepared
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
        proof: What the training says of the encoder beyond the hash before and after.
        extras: Further files of the run: name to what writes it at a path.
    """

    table: pd.DataFrame
    log: TrainingLog
    tensors: Mapping[str, Tensor | NDArray[Any]]
    proof: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Callable[[Any], None]] = field(default_factory=dict)


def fit_on_vectors(run: Prepared) -> Fit:
    """Fit a head on the training part, choose by the validation part, predict the test part."""
    return _FITS[run.spec.head](run)


def _fit_linear(run: Prepared) -> Fit:
    features, split = run.features, run.split
    tiles, device = features.tiles, features.encoder.device
    judge = Judge(features, dense=True)
    valid, test = (GivenNuclei(tiles, split.fovs(part), device) for part in ("valid", "test"))
    valid_true = truth(tiles, valid.rows)
    bank = ManyViews(tiles, features.turned_back("final", run.mode.views))
    fitted = fit_linear(
        bank,
        bank,
        bank.numbers(features.tiles_in(split.fovs("train"))),
        lambda candidate: judge.macro_f1(valid.means(candidate), valid_true),
        judge.outputs,
        run.settings,
        seed=run.spec.seed,
        device=device,
    )
    tensors = named_tensors(fitted.model.state_dict(), fitted.standardiser)
    return Fit(judge.table(test.rows, test.means(fitted)), fitted.log, tensors)


def _fit_probe(run: Prepared) -> Fit:
    features, split, device = run.features, run.split, run.features.encoder.device
    bank = features.pooled(run.settings.ring_um, run.mode.views)
    pooled = bank[0]
    judge = Judge(features, dense=False)
    where = {part: _rows_of(pooled.rows, split.fovs(part)) for part in ("train", "valid", "test")}
    rows = {part: pooled.rows.iloc[index] for part, index in where.items()}
    valid_true = truth(features.tiles, rows["valid"])
    fitted = fit_probe(
        np.concatenate([seen.features[where["train"]] for seen in bank]),
        np.tile(truth(features.tiles, rows["train"]), len(bank)),
        pooled.features[where["valid"]],
        lambda probabilities: judge.macro_f1(probabilities, valid_true),
        judge.outputs,
        run.settings,
        seed=run.spec.seed,
        device=device,
    )
    test = fitted.probabilities(pooled.features[where["test"]], device)
    tensors = named_tensors(fitted.model.state_dict(), fitted.standardiser)
    return Fit(judge.table(rows["test"], test), fitted.log, tensors)


_FITS: Mapping[str, Callable[[Prepared], Fit]] = {"linear": _fit_linear, "cell-probe": _fit_probe}


class Judge:
    """Scores and tables of a head's probabilities under the features' protocol."""

    def __init__(self, features: Features, *, dense: bool) -> None:
        self.features, self.outputs = features, features.outputs(dense=dense)

    def macro_f1(self, probabilities: NDArray[np.float32], true: NDArray[np.int64]) -> float:
        """Of nuclei with (n, K) probabilities and (n,) true classes."""
        protocol = self.features.protocol
        return macro_f1(true, predicted(probabilities, self.outputs, protocol), protocol.scoring.class_set)

    def table(self, rows: pd.DataFrame, probabilities: NDArray[np.float32]) -> pd.DataFrame:
        """The predictions table of nuclei."""
        f = self.features
        return predictions_table(rows, probabilities, truth(f.tiles, rows), self.outputs, f.dataset, f.protocol)


def _rows_of(rows: pd.DataFrame, fovs: Sequence[str]) -> NDArray[np.int64]:
    return np.flatnonzero(rows["fov_id"].isin(set(fovs)).to_numpy())


def named_tensors(weights: Mapping[str, Tensor], standardiser: Standardiser) -> dict[str, Any]:
    """What is kept of a fitted head."""
    tensors: dict[str, Any] = {f"head.{name}": tensor for name, tensor in weights.items()}
    return tensors | {"standardise.mean": standardiser.mean, "standardise.scale": standardiser.scale}
