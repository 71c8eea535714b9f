"""Tables that several commands print."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from cryostat.cells.runs.study import Outcome
    from cryostat.core.home import Home


def wide_console() -> Console:
    """A console that does not squeeze tables into 80 columns when its output goes to a file or another program."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=200)


def print_outcomes(outcomes: Sequence[Outcome], home: Home) -> None:
    """One row a run: macro F1 and seconds, or the reason why it failed."""
    from rich import box
    from rich.table import Table

    table = Table(title="Runs", title_justify="left", title_style="bold", header_style="bold", box=box.SIMPLE_HEAD)
    for name in ("dataset", "split", "encoder", "head", "mode"):
        table.add_column(name)
    for name in ("fraction", "seed", "macro F1", "accuracy", "seconds"):
        table.add_column(name, justify="right")
    table.add_column("run", overflow="fold")
    for outcome in outcomes:
        spec = outcome.spec
        about = (spec.dataset, spec.split, spec.encoder, spec.head, _mode(outcome))
        table.add_row(*about, f"{spec.fraction:g}", str(spec.seed), *_figures(outcome))
    console = wide_console()
    console.print(table)
    failed = [outcome for outcome in outcomes if outcome.record is None]
    for outcome in failed:
        console.print(f"[red]failed[/] {outcome.spec.label()}: ", end="")
        console.print(outcome.reason, markup=False)
    console.print(f"{len(outcomes) - len(failed)} of {len(outcomes)} runs are in [cyan]{home.runs}[/]")


def _mode(outcome: Outcome) -> str:
    return str(outcome.record.settings.get("mode", "")) if outcome.record else outcome.spec.mode or ""


def _figures(outcome: Outcome) -> tuple[str, str, str, str]:
    """Macro F1, accuracy, seconds, and the end of the run's name, which is enough to name it."""
    if outcome.record is None:
        return "[red]failed[/]", "", "", ""
    scores = outcome.record.cell_scores()
    seconds = sum((p["seconds"] or 0) / (p.get("shared_by") or 1) for p in outcome.record.phases.values())
    return _share(scores.macro_f1), _share(scores.accuracy), f"{seconds:.1f}", outcome.record.run_id.rpartition("-")[2]


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
