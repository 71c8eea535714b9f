"""What each modality adds: the way from nothing to everything in Shapley values."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cryostat.core.figures import GREY, INK
from cryostat.report.figures.marks import columns_beside, few_ticks, limits, rows, width_beside
from cryostat.report.figures.style import (
    BETTER,
    COLUMN,
    WORSE,
    canvas,
    grid,
    number,
    share_axis,
    signed,
    styled,
    widest,
)
from cryostat.results.cases.contribution import Contribution, Contributions

ROW = 5.2
"""Height of a row, mm."""


@styled
def contributions_figure(
    found: Contributions,
    *,
    metric: str = "",
    higher_is_better: bool = True,
    title: str = "",
    note: str = "",
    width: float = COLUMN,
) -> Figure:
    """A waterfall from nothing to everything; a step a modality, with the interval of its length.

    Args:
        found: What `contributions` found.
        metric: What the axis is called; by default its name.
        higher_is_better: The metric rises as it gets better.
        title: Above the figure.
        note: Below it.
        width: mm.
    """
    name = metric or found.metric.replace("_", " ")
    labels = ["nothing", *(f"+ {m.modality}" for m in found.modalities), "everything"]
    figure = canvas(width, 9 + ROW * len(labels), title=title, note=note, alt=_alt(found, name))
    axes = figure.subplots()
    rows(axes, labels)
    sign = 1 if higher_is_better else -1
    starts = [found.nothing]
    for m in found.modalities:
        starts.append(starts[-1] + sign * m.value)
    for at, (m, start) in enumerate(zip(found.modalities, starts, strict=False), start=1):
        _step(axes, at, m, start, sign)
    for at, value in ((0, found.nothing), (len(labels) - 1, found.everything)):
        axes.plot([value], [at], marker="o", markersize=4.6, color=INK, linestyle="none", zorder=4)
    told = _told(found)
    columns_beside(axes, told)
    reach = [start + sign * e for m, start in zip(found.modalities, starts, strict=False) for e in (m.low, m.high)]
    axes.set_xlim(*limits([starts, reach, [found.everything]], margin=0.08))
    few_ticks(axes, width - widest(labels) - width_beside(told) - 8)
    share_axis(axes)
    grid(axes, "x")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(name)
    return figure


def _step(axes: Axes, at: int, m: Contribution, start: float, sign: int) -> None:
    end = start + sign * m.value
    axes.barh([at], [end - start], 0.5, left=start, color=BETTER if m.value >= 0 else WORSE, linewidth=0, zorder=3)
    axes.plot([start + sign * m.low, start + sign * m.high], [at, at], color=INK, linewidth=0.9, zorder=4)
    for edge, side in ((start, at - 0.62), (end, at + 0.62)):
        axes.plot([edge, edge], [min(at, side), max(at, side)], color=GREY, linewidth=0.5, zorder=2)


def _told(found: Contributions) -> dict[str, list[str]]:
    """Columns beside the rows: what each modality adds, with its interval, as the first of all and as the last."""
    gains = [f"{signed(m.value)} [{number(m.low)}, {number(m.high)}]" for m in found.modalities]
    return {
        "gain [95 %]": [number(found.nothing), *gains, number(found.everything)],
        "first": ["", *(signed(m.first) for m in found.modalities), ""],
        "last": ["", *(signed(m.last) for m in found.modalities), ""],
    }


def _alt(found: Contributions, metric: str) -> str:
    steps = "; ".join(
        f"{m.modality} {signed(m.value, 3)} ({signed(m.low)} to {signed(m.high)})" for m in found.modalities
    )
    return (
        f"Way of {metric} from {found.nothing:.3f} with nothing to {found.everything:.3f} with everything, on "
        f"{found.n} patients. Shapley values: {steps}."
    )
