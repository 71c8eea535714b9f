"""One look for all figures, and how they are written; matplotlib is imported only when a figure is saved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryostat.core.errors import SettingError
from cryostat.core.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENDINGS = (".png", ".svg", ".pdf")
"""Forms that figures are written in."""

DPI = 300
"""Of pictures made of pixels."""

INK, GREY, PALE, STRIPE = "#22262b", "#5f6873", "#d5dae0", "#f3f5f7"
"""Text and axes; lesser text; what is absent; every other row."""

STYLE: Mapping[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "Liberation Sans", "DejaVu Sans"],
    "font.size": 8,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "cryostat",
}
"""matplotlib's settings: text stays text in SVG and PDF, and one figure is always the same bytes."""


def check_ending(path: Path, example: str = "figure.pdf") -> None:
    """Raise a SettingError unless `path` ends in a form that can be drawn."""
    if path.suffix.lower() not in ENDINGS:
        raise SettingError(
            f"{path} ends in none of {', '.join(ENDINGS)}", remedy=f"Name the figure {example}, for example"
        )


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure by the ending of its path, whole or not at all; the same figure is the same bytes.

    The figure's label, where it has one, is kept in the file as its description.

    Raises:
        SettingError: The ending is another.
    """
    from matplotlib import rc_context

    check_ending(path)
    with rc_context(dict(STYLE)), atomic_write(path) as stream:
        form = path.suffix[1:].lower()
        figure.savefig(stream, format=form, dpi=DPI, metadata=_metadata(form, str(figure.get_label() or "")))


def _metadata(form: str, described: str) -> dict[str, str | None]:
    """What the file tells of itself: what is shown, and no date."""
    dates: dict[str, dict[str, str | None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    key = "Subject" if form == "pdf" else "Description"
    return dates.get(form, {}) | ({key: described} if described else {})
