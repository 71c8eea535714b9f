"""Fitted heads taken from finished runs, and what they say of other pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import nn

from cryostat.cells.heads.linear import LinearHead
from cryostat.cells.heads.probe import CellProbe
from cryostat.cells.runs.bank import TurnedBack
from cryostat.cells.runs.fits import Judge
from cryostat.cells.runs.pooled import pooled_cells
from cryostat.cells.runs.predict import GivenNuclei, predictions_table, truth
from cryostat.cells.runs.prepared import Prepared
from cryostat.cells.tiling import CellTiles
from cryostat.cells.training.common import Standardiser, TrainingLog
from cryostat.cells.training.linear import FittedLinear
from cryostat.cells.training.probe import FittedProbe
from cryostat.core.errors import InputError, SettingError
from cryostat.core.files import require_file
from cryostat.results.records import CELLS, RunRecord

HEAD = "head.safetensors"
"""File of a run that holds its fitted head."""

REDO = "Run it again: cryostat run cells"


@dataclass(frozen=True)
class Sight:
    """Some fields as a head sees them.

    Attributes:
        tiles: Geometry.
        maps: Stored features of the final layer.
        fovs: The fields to predict.
        magnification: By how much they are larger than the scale says.
    """

    tiles: CellTiles
    maps: TurnedBack
    fovs: Sequence[str]
    magnification: float = 1.0


def check_climbable(record: RunRecord) -> None:
    """Refuse runs whose head does not stand on stored feature vectors, with the reason.

    Raises:
        SettingError: The run is of another benchmark, or has a head that is not fitted on vectors.
        InputError: It has no fitted head.
    """
    folder = record.folder_of(CELLS)
    head, mode = str(record.settings.get("head")), str(record.settings.get("mode"))
    if not (folder / HEAD).is_file():
        raise InputError("has no fitted head", where=folder, remedy=f"Ladders need one; {REDO}")
    if head not in _PREDICT or mode.partition(":")[0] != "cached":
        raise SettingError(
            f"run {record.run_id!r} has a {head} head trained as {mode!r}, which reads more than feature vectors",
            remedy=f"Ladders take the heads {' and '.join(_PREDICT)} in the mode cached",
        )


def read_head(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a fitted head.

    Raises:
        InputError: The file is missing or damaged.
    """
    require_file(path)
    try:
        tensors: dict[str, NDArray[Any]] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"is no safetensors file ({error})", where=path, remedy=REDO) from error
    if lacking := {"standardise.mean", "standardise.scale"} - set(tensors):
        raise InputError(f"lacks {min(lacking)}", where=path, remedy=REDO)
    return tensors


def predict(run: Prepared, tensors: Mapping[str, NDArray[Any]], sight: Sight) -> pd.DataFrame:
    """The predictions table of a fitted head on some fields, its `run_id` still empty.

    Args:
        run: The run that fitted it.
        tensors: The head, as from `read_head`.
        sight: The fields.

    Raises:
        InputError: The tensors are not those of such a head.
    """
    rows, probabilities = _PREDICT[run.spec.head](run, tensors, sight)
    features = run.features
    outputs = features.outputs(dense=run.head.kind == "dense")
    true = truth(sight.tiles, rows)
    return predictions_table(rows, probabilities, true, outputs, features.dataset, features.protocol)


def _linear(
    run: Prepared, tensors: Mapping[str, NDArray[Any]], sight: Sight
) -> tuple[pd.DataFrame, NDArray[np.float32]]:
    device, outputs = run.features.encoder.device, Judge(run.features, dense=True).outputs
    model = LinearHead(run.features.encoder.card.width, len(outputs))
    _fill(model, tensors, run)
    fitted = FittedLinear(
        model.to(device).eval(), sight.maps, _standardiser(tensors), sight.tiles.tile_size, device, TrainingLog()
    )
    nuclei = GivenNuclei(sight.tiles, sight.fovs, device)
    return nuclei.rows, nuclei.means(fitted)


def _probe(
    run: Prepared, tensors: Mapping[str, NDArray[Any]], sight: Sight
) -> tuple[pd.DataFrame, NDArray[np.float32]]:
    settings, encoder = run.settings, run.features.encoder
    # Who takes the scale to be another one takes the ring to be as many pixels of it.
    ring = settings.ring_um / sight.magnification
    pooled = pooled_cells(sight.tiles, sight.maps, patch=encoder.card.token_px, ring_um=ring)
    here = np.flatnonzero(pooled.rows["fov_id"].isin(set(sight.fovs)).to_numpy())
    outputs = run.features.outputs(dense=False)
    model = CellProbe(pooled.features.shape[1], len(outputs), settings.hidden, settings.dropout)
    _fill(model, tensors, run)
    fitted = FittedProbe(model.to(encoder.device).eval(), _standardiser(tensors), TrainingLog())
    return pooled.rows.iloc[here], fitted.probabilities(pooled.features[here], encoder.device)


_PREDICT = {"cell-probe": _probe, "linear": _linear}


def _standardiser(tensors: Mapping[str, NDArray[Any]]) -> Standardiser:
    return Standardiser(tensors["standardise.mean"], tensors["standardise.scale"])


def _fill(model: nn.Module, tensors: Mapping[str, NDArray[Any]], run: Prepared) -> None:
    """Put the weights of a fitted head into a model."""
    weights = {name.removeprefix("head."): torch.from_numpy(t) for name, t in tensors.items() if name[:5] == "head."}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"does not fit a {run.spec.head} head on {run.features.encoder.card.name}",
            where=run.folder / HEAD,
            remedy=REDO,
        ) from error
