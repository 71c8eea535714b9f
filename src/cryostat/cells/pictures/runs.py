"""Pictures of a finished run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from PIL import Image

from cryostat.cells.dataset import CellDataset
from cryostat.cells.pictures.segments import FOLDER, Segments, read_segments
from cryostat.cells.pictures.sheet import choose_fields, prediction_sheet
from cryostat.cells.runs.origin import dataset_of
from cryostat.core.errors import SettingError
from cryostat.core.home import Home
from cryostat.results.records import RunRecord


def picture_run(
    record: RunRecord,
    home: Home | None = None,
    *,
    fovs: Sequence[str] | None = None,
    fields: int = 3,
    crop_um: float | None = None,
) -> Image.Image:
    """Draw what a run predicted next to the truth.

    Args:
        record: A finished run, read from its folder.
        home: Where its dataset is imported.
        fovs: Fields to show; by default some from best to worst, see `choose_fields`.
        fields: How many of these.
        crop_um: Show a square of this side in µm, where a field has most nuclei.

    Returns:
        The page, RGB.

    Raises:
        SettingError: A field is unknown or was not predicted, the dataset is not imported, or there is nothing to show.
        InputError: The run is damaged.
        IdentityError: The dataset is not the one that the run was made on.
    """
    dataset = dataset_of(record, home)
    table = record.predictions()
    chosen = _known(table, fovs) if fovs else choose_fields(table, fields)
    return prediction_sheet(
        dataset,
        table,
        chosen,
        classes=dataset.classes,
        title=_title(record),
        segments=_segments(record.folder, dataset, chosen),
        crop_um=crop_um,
        class_set=record.cell_scores().class_set,
    )


def _known(table: pd.DataFrame, fovs: Sequence[str]) -> list[str]:
    predicted = list(dict.fromkeys(table["fov_id"]))
    if strangers := [fov for fov in fovs if fov not in set(predicted)]:
        some = ", ".join(predicted[:8]) + (", …" if len(predicted) > 8 else "")
        raise SettingError(
            f"the run predicted no field of view {strangers[0]!r}",
            remedy=f"Choose of its {len(predicted)} fields: {some}",
        )
    return list(dict.fromkeys(fovs))


def _segments(folder: Path | None, dataset: CellDataset, fovs: Sequence[str]) -> dict[str, Segments]:
    if folder is None or not (folder / FOLDER).is_dir():
        return {}
    sides = dataset.fovs[["height", "width"]]
    read = {
        fov: read_segments(folder, fov, (int(sides.at[fov, "height"]), int(sides.at[fov, "width"]))) for fov in fovs
    }
    return {fov: segments for fov, segments in read.items() if segments is not None}


def _title(record: RunRecord) -> str:
    about = record.settings
    model = " · ".join(str(about[key]) for key in ("encoder", "head") if about.get(key))
    share = about.get("fraction")
    facts = [
        f"{about.get('dataset')}, split {about.get('split')}",
        f"{share:.3g} of the training data" if isinstance(share, int | float) and share < 1 else "",
        f"seed {about['seed']}" if about.get("seed") is not None else "",
        f"protocol {about['protocol']}" if about.get("protocol") else "",
    ]
    return f"{model} on {', '.join(fact for fact in facts if fact)}"
