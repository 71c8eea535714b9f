"""Pictures of predictions next to the truth."""

from cryostat.cells.pictures.nuclei import field_nuclei
from cryostat.cells.pictures.runs import picture_run
from cryostat.cells.pictures.saving import save_picture
from cryostat.cells.pictures.segments import Segments, read_segments
from cryostat.cells.pictures.sheet import choose_fields, prediction_sheet

__all__ = [
    "Segments",
    "choose_fields",
    "field_nuclei",
    "picture_run",
    "prediction_sheet",
    "read_segments",
    "save_picture",
]
