"""The paper-ready figures of a report: the same ones that `cryostat figures` draws."""

from __future__ import annotations

import tempfile
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryostat.core.errors import CryostatError
from cryostat.core.figures import save_figure
from cryostat.core.progress import track
from cryostat.report.figures.study import drawings
from cryostat.report.figures.style import alt_text
from cryostat.results.records import RunRecord

COLUMN_INCHES = 4.0
"""Figures wider than this are meant for the whole width of a page."""


@dataclass(frozen=True)
class Plate:
    """A figure: its name, its file in the report, what it shows in words, and whether it is of a page's whole width."""

    name: str
    file: str
    about: str
    wide: bool


def plates(records: Sequence[RunRecord], files: MutableMapping[str, bytes]) -> tuple[Plate, ...]:
    """Draw all figures that the runs allow, as SVG.

    Args:
        records: Finished runs.
        files: Where the files go, name to content.
    """
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figure.svg"
        for number, drawing in enumerate(track(drawings(records)[0], "figures"), start=1):
            try:
                figure = drawing.draw()
            except CryostatError:
                continue  # these results do not allow this figure
            save_figure(figure, path)
            file = f"figures/figure-{number:02}.svg"
            files[file] = path.read_bytes()
            found.append(Plate(drawing.name, file, alt_text(figure), figure.get_figwidth() > COLUMN_INCHES))
    return tuple(found)
