"""HoVer-NeXt in training, and the nuclei that it finds by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryostat.cells.heads.settings import HoverNeXtSettings
from cryostat.cells.hovernext.head import HoverHead
from cryostat.cells.hovernext.search import choose_thresholds, class_stack, stacked
from cryostat.cells.hovernext.watershed import Segmented, WatershedSettings, segment
from cryostat.cells.runs.fits import Fit
from cryostat.cells.runs.predict import blended_map
from cryostat.cells.runs.pupils import DensePupil, Desk
from cryostat.cells.runs.watching import SeenTiles, parts_of
from cryostat.cells.training.tiles.hover import HoverLearner
from cryostat.cells.training.tiles.learners import DenseLearner, Task
from cryostat.cells.training.tiles.models import DenseModel
from cryostat.core.errors import SettingError
from cryostat.core.files import atomic_write, safe_name, write_json
from cryostat.results.records import SEGMENTATION
from cryostat.results.segmentation import SegmentationScores, score_segmentation

SEGMENTS = "segments"
"""Folder of the nuclei found, an `.npz` a field of view."""

MATCH_UM = 3.0
"""Longest distance of two centres that count as one nucleus in detection F1: 6 px at 0.5 µm/px."""

SIZES_MPP = 0.5
"""µm per pixel for which the watershed's sizes are meant."""

FieldMaps = tuple[NDArray[np.float32], NDArray[np.float32]]
"""(3, H, W) parts and (K, H, W) classes of a field, softmaxed."""


class HoverPupil(DensePupil):
    """A HoVer-NeXt run."""

    settings: HoverNeXtSettings

    def build_learner(self, task: Task, model: DenseModel) -> DenseLearner:
        """The learner of a model."""
        return HoverLearner(task, model)

    def fit(self, desk: Desk) -> Fit:
        """Predictions of the given nuclei, and of the model's own where it has an instance decoder."""
        fit = super().fit(desk)
        if not self.settings.instances:
            return fit
        watershed = self._thresholds(desk.split.fovs("valid"))
        test = desk.split.fovs("test")
        found = {fov: self._segment(fov, watershed) for fov in test}
        scores = self._scores(found)
        extras: dict[str, Callable[[Path], None]] = {
            SEGMENTATION: lambda path: write_json(path, scores.to_dict()),
            SEGMENTS: lambda path: _write_segments(path, found),
        }
        proof = {**fit.proof, "watershed": asdict(watershed), "watershed_chosen_on": "valid"}
        return Fit(fit.table, fit.log, fit.tensors, proof, extras)

    def _thresholds(self, fovs: Sequence[str]) -> WatershedSettings:
        """Thresholds chosen on the validation part, sizes at the fields' scale."""
        tissue = self.run.features.dataset
        truth = [_truth(tissue, fov) for fov in fovs]
        start = _sizes(min(tissue.mpp(fov) for fov in fovs))
        return choose_thresholds([self._maps(fov) for fov in fovs], truth, self.judge.outputs.ids.tolist(), start=start)

    def _segment(self, fov: str, watershed: WatershedSettings) -> Segmented:
        parts, classes = self._maps(fov)
        return segment(parts, classes, self.judge.outputs.ids.tolist(), watershed)

    def _maps(self, fov: str) -> FieldMaps:
        both = blended_map(_Everything(self.hover(), self.look_at), self.run.features.tiles, fov).cpu().numpy()
        return both[:3], both[3:]

    def hover(self) -> HoverHead:
        """The network."""
        head = self.learner.model.head
        if not isinstance(head, HoverHead):
            raise TypeError("a HoverPupil needs a HoverHead")
        return head

    def _scores(self, found: Mapping[str, Segmented]) -> SegmentationScores:
        tissue = self.run.features.dataset
        true = [class_stack(*_truth(tissue, fov)) for fov in found]
        pred = [stacked(nuclei) for nuclei in found.values()]
        mpp = [tissue.mpp(fov) for fov in found]
        return score_segmentation(true, pred, tissue.classes, match_um=MATCH_UM, mpp=mpp)


@dataclass(frozen=True)
class _Everything:
    """Parts and classes of tiles side by side, so that both are blended alike."""

    head: HoverHead
    seen: SeenTiles

    @property
    def device(self) -> torch.device:
        return self.seen.device

    @torch.no_grad()
    def probabilities(self, tiles: Sequence[int]) -> Tensor:
        """(n, 3 + K, S, S)."""
        return torch.cat([self._part(part) for part in parts_of(tiles)])

    def _part(self, tiles: Sequence[int]) -> Tensor:
        maps = self.head.everything(self.seen.images(tiles))
        if maps.parts is None:
            raise SettingError("this HoVer-NeXt has no instance decoder", remedy="Train it with --set instances=true")
        return torch.cat([maps.parts.softmax(1), maps.classes.softmax(1)], 1)


def _truth(tissue: Any, fov: str) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """(H, W) nucleus ids of a field, (n,) ids and (n,) classes of those with a class."""
    cells = tissue.cells_of(fov)
    cells = cells[cells["class_id"] > 0]
    ids = cells["cell_id"].to_numpy(np.int64)
    instances = np.asarray(tissue.instances(fov))
    return np.where(np.isin(instances, ids), instances, 0), ids, cells["class_id"].to_numpy(np.int64)


def _sizes(mpp: float) -> WatershedSettings:
    usual, factor = WatershedSettings(), (SIZES_MPP / mpp) ** 2
    sizes = {name: float(getattr(usual, name)) * factor for name in ("min_px", "max_px")}
    return WatershedSettings(hole_px=round(usual.hole_px * factor), **sizes)


def _write_segments(folder: Path, found: Mapping[str, Segmented]) -> None:
    folder.mkdir()
    for fov, nuclei in found.items():
        with atomic_write(folder / f"{safe_name(fov)}.npz") as file:
            np.savez_compressed(
                file,
                instances=nuclei.instances,
                cell_ids=np.arange(1, len(nuclei) + 1),
                class_ids=nuclei.class_ids,
                probabilities=nuclei.probabilities,
            )
