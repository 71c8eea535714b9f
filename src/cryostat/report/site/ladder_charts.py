"""Curves of scores against the strength of a perturbation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from cryostat.report.site.charts import Chart, domain, series_class, told
from cryostat.report.site.ladder_data import LadderBoard, LadderKind
from cryostat.results.uncertainty import Estimate

SPREAD = 0.44
"""Room, in steps, over which the models of one step stand beside each other."""

SHOWN = 6
"""Models whose curves are drawn at first, where there are more."""


def ladder_chart(board: LadderBoard, kind: LadderKind) -> Markup:
    """Macro F1 at each step of a perturbation: a curve a model, in a group by itself."""
    last = len(kind.amounts) - 1
    ends = domain([s.macro_f1 for k in board.kinds for _, curve in k.curves for s in curve.steps])
    chart = Chart((-0.3, last + 0.3), ends, _about(board, kind))
    chart.axes(kind.measure, "macro F1", list(enumerate(kind.amounts)))
    for number, curve in kind.curves:
        move = _move(number, len(board.models))
        look = series_class(number)
        chart.parts.append(Markup('<g data-series="{}">').format(number))
        chart.line([(step.step + move, step.macro_f1.value) for step in curve.steps], f"series {look}")
        for step, amount in zip(curve.steps, kind.amounts, strict=True):
            tip = f"{board.models[number]}, {kind.name} {amount}: {told(step.macro_f1)}"
            chart.dot(step.step + move, step.macro_f1, f"mark {look}", tip=tip)
        chart.parts.append(Markup("</g>"))
    return chart.svg()


def _move(number: int, of: int) -> float:
    """How far the marks of a model stand beside their step; models beyond those first shown begin again."""
    beside = min(of, SHOWN)
    return 0.0 if beside == 1 else SPREAD * ((number % beside) / (beside - 1) - 0.5)


def _about(board: LadderBoard, kind: LadderKind) -> str:
    parts = [
        f"{board.models[number]}: untouched {curve.steps[0].macro_f1.value:.2f}, "
        f"at {kind.amounts[-1]} {told(curve.steps[-1].macro_f1, 2)}"
        for number, curve in kind.curves
    ]
    return f"Macro F1 under {kind.name} of growing strength. {'; '.join(parts)}."


def open_domain(values: Iterable[Estimate], step: float = 0.2, hold: Sequence[float] = (1.0,)) -> tuple[float, float]:
    """The round domain from 0 or above that holds all values, intervals and what is asked; it may end beyond 1."""
    ends = [*hold, *(end for e in values for end in (e.value, e.low, e.high) if not math.isnan(end))]
    low, high = max(0.0, math.floor(min(ends) / step) * step), math.ceil(max(ends) / step) * step
    return round(low, 6), round(max(high, low + step), 6)
