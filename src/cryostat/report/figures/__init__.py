"""Figures for papers and talks: functions that take results and return a matplotlib figure, ready to be saved.

They need the extra `figures`. Tables may lack `low` and `high`: intervals are drawn where they are known.
"""

from __future__ import annotations

from cryostat.core.figures import save_figure as save
from cryostat.report.figures.calibration import calibration_figure
from cryostat.report.figures.classes import classes_figure, confusion_figure
from cryostat.report.figures.contribution import contributions_figure
from cryostat.report.figures.curves import abstention_figure, missing_rate_figure, waiting_figure
from cryostat.report.figures.embedding import Colouring, embedding_map
from cryostat.report.figures.heads import heads_figure
from cryostat.report.figures.ladders import ladder_figure, ladder_frame
from cryostat.report.figures.lattice import lattice_figure, methods_figure
from cryostat.report.figures.ranking import differences_figure, ranking_figure
from cryostat.report.figures.scaling import efficiency_figure, scaling_figure
from cryostat.report.figures.shift import shift_figure
from cryostat.report.figures.study import Drawing, drawings, write_drawing
from cryostat.report.figures.style import COLUMN, DOUBLE, alt_text

__all__ = [
    "COLUMN",
    "DOUBLE",
    "Colouring",
    "Drawing",
    "abstention_figure",
    "alt_text",
    "calibration_figure",
    "classes_figure",
    "confusion_figure",
    "contributions_figure",
    "differences_figure",
    "drawings",
    "efficiency_figure",
    "embedding_map",
    "heads_figure",
    "ladder_figure",
    "ladder_frame",
    "lattice_figure",
    "methods_figure",
    "missing_rate_figure",
    "ranking_figure",
    "save",
    "scaling_figure",
    "shift_figure",
    "waiting_figure",
    "write_drawing",
]
