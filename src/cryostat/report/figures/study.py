"""Every figure that finished runs allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from cryostat.core.figures import save_figure
from cryostat.report.figures.style import alt_text
from cryostat.results.export import write_text
from cryostat.results.records import BrokenRun, RunRecord


@dataclass(frozen=True)
class Drawing:
    """A figure that can be drawn.

    Attributes:
        name: Of the file, without its ending.
        draw: Draws it; a CryostatError where its results do not allow it.
    """

    name: str
    draw: Callable[[], Figure]


def drawings(records: Iterable[RunRecord], *, maps: bool = False) -> tuple[list[Drawing], tuple[BrokenRun, ...]]:
    """The figures that finished runs of both benchmarks allow, in the order in which one would show them.

    Args:
        records: The runs.
        maps: Maps of the nuclei too, which take up to a minute each and need the home folder of the runs.

    Returns:
        The figures, and the runs that could not be read.
    """
    from cryostat.report.figures.of_cases import case_drawings
    from cryostat.report.figures.of_cells import cell_drawings

    known = list(records)
    cells, broken = cell_drawings(known, maps=maps)
    cases, unreadable = case_drawings(known)
    return [*cells, *cases], (*broken, *unreadable)


def write_drawing(drawing: Drawing, folder: Path, form: str = "svg") -> Path:
    """Draw a figure into a folder, and beside it a `.txt` that describes it in words.

    Args:
        drawing: The figure.
        folder: Where the file goes.
        form: Its ending: `svg`, `pdf` or `png`.

    Raises:
        CryostatError: The results do not allow it, or there is no such form.
    """
    path = folder / f"{drawing.name}.{form}"
    figure = drawing.draw()
    save_figure(figure, path)
    write_text(path.with_suffix(".txt"), alt_text(figure) + "\n")
    return path
