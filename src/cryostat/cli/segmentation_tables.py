"""Tables of segmentation scores, for the commands that print them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from cryostat.results.segmentation import SegmentationScores


def print_segmentation(console: Console, scores: SegmentationScores) -> None:
    """Print each metric with what it is, and a row a class."""
    console.print(_metrics(scores))
    console.print(_classes(scores))
    rule = f"centres within {scores.settings.about} · IoU above {scores.settings.iou_threshold:g}"
    console.print(f"{scores.fields:,} fields · {rule}", highlight=False)


def _metrics(scores: SegmentationScores) -> Table:
    from rich import box
    from rich.table import Table

    from cryostat.results.segmentation import METRICS

    table = Table(title="Segmentation", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("metric", style="bold")
    table.add_column("value", justify="right")
    table.add_column("", style="dim", overflow="fold")
    values = scores.metrics()
    for metric in METRICS:
        table.add_row(metric.label, share(values[metric.name]), metric.about)
    return table


def _classes(scores: SegmentationScores) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    longest = max((len(row.name) for row in scores.per_class), default=0)
    table.add_column("class", overflow="fold", min_width=min(longest, 12))
    for name in ("true", "predicted", "PQ", "DQ", "SQ", "R²", "det. P", "det. R", "det. F1", "Dice"):
        table.add_column(name, justify="right")
    for row in scores.per_class:
        figures: list[Any] = [row.pq, row.dq, row.sq, row.r2, row.precision, row.recall, row.f1, row.dice]
        cells = [f"{row.true:,}", f"{row.pred:,}", *map(share, figures)]
        table.add_row(Text(row.name), *cells, style="" if row.true or row.pred else "dim")
    return table


def share(value: float | None) -> str:
    """`0.641`, or a dash for what is undefined."""
    return "–" if value is None else f"{value:.3f}"
