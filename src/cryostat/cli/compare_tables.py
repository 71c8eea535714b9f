"""Comparisons of rows as tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from cryostat.results.comparison import CellComparison, PairedScore
    from cryostat.results.leaderboard import Row
    from cryostat.results.pairing import Pair
    from cryostat.results.uncertainty import Estimate

MEANS = {"macro_f1": "macro F1", "macro_f1_common": "macro F1 without rare", "accuracy": "accuracy"}
"""Means as a reader writes them."""


def print_comparison(console: Console, first: str, second: str, found: CellComparison) -> None:
    """Two rows: means and classes, each with its difference."""
    from rich.text import Text

    table = figures_table(Text.assemble(("A ", "bold"), first, "\n", ("B ", "bold"), second), ("", "A", "B"))
    for name in ("A − B [95 %]", "p", "p, Holm", "finds"):
        table.add_column(name, justify="right")
    table.add_column("")
    rare = any(score.rare for score in found.classes)
    for score in found.means:
        if rare or score.name != "macro_f1_common":
            table.add_row(*_score_row(MEANS[score.name], score))
    table.add_section()
    for score in found.classes:
        table.add_row(*_score_row(score.name, score), style="dim" if score.rare else "")
    console.print(table)
    for line in (_basis(found), _seeds(found)):
        console.print(line, style="dim", markup=False, highlight=False)


def print_pairs(console: Console, block: Sequence[Row], pairs: Sequence[Pair]) -> None:
    """Rows of one block: the macro F1 of each pair."""
    from rich.text import Text

    facts = block[0].facts
    title = Text.assemble((str(facts["dataset"]), "bold"), f" · {facts['split']} · {facts['protocol']} · macro F1")
    table = figures_table(title, ("A", "B"))
    for name in ("F1 of A", "of B", "A − B [95 %]", "p", "p, Holm", "finds"):
        table.add_column(name, justify="right")
    table.add_column("")
    for pair in pairs:
        score = pair.comparison.macro_f1
        told_apart = pair.adjusted <= 0.05
        table.add_row(
            Text(label(pair.first, block)),
            Text(label(pair.second, block)),
            share(score.first),
            share(score.second),
            estimate(score.difference),
            p_text(score.p_value),
            p_text(pair.adjusted),
            share(score.detectable),
            "" if told_apart else "not told apart",
        )
    console.print(table)
    console.print(_basis(pairs[0].comparison), style="dim", markup=False, highlight=False)
    console.print()


def label(row: Row, block: Sequence[Row]) -> str:
    """What sets a row apart in its block."""
    varying = [name for name in ("mode", "variant") if len({str(other.facts[name]) for other in block}) > 1]
    parts = [row.facts[name] for name in ("encoder", "head", *varying)]
    return " · ".join(str(part) for part in parts if part)


def row_facts(row: Row) -> dict[str, Any]:
    """What a row is, for JSON."""
    names = ("dataset", "split", "encoder", "head", "mode", "protocol", "fraction", "variant", "runs")
    return {name: None if row.facts[name] != row.facts[name] else row.facts[name] for name in names}


def pair_facts(pair: Pair) -> dict[str, Any]:
    """A comparison of two rows, for JSON."""
    adjusted = None if math.isnan(pair.adjusted) else pair.adjusted
    found = pair.comparison.to_dict()
    return {"first": row_facts(pair.first), "second": row_facts(pair.second), "adjusted": adjusted, **found}


def figures_table(title: Text | str, columns: Sequence[str]) -> Table:
    """A table whose first column names its rows; the others are figures unless they are named `A` and `B`."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="default", box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(columns):
        table.add_column(name, overflow="fold", justify="right" if i and columns[0] == "" else "left")
    return table


def estimate(found: Estimate) -> str:
    """`+0.021 [-0.004, +0.046]`."""
    if math.isnan(found.value):
        return "–"
    ends = "" if math.isnan(found.low) else f" [{found.low:+.3f}, {found.high:+.3f}]"
    return f"{found.value:+.3f}{ends}"


def share(value: float) -> str:
    """Three digits; a dash for what is undefined."""
    return "–" if math.isnan(value) else f"{value:.3f}"


def p_text(value: float) -> str:
    """A p-value as it is reported."""
    return "–" if math.isnan(value) else "<0.001" if value < 0.001 else f"{value:.3f}"


def _score_row(name: str, score: PairedScore) -> list[Any]:
    from rich.text import Text

    mean = score.name in MEANS
    figures = [share(score.first), share(score.second), estimate(score.difference), p_text(score.p_value)]
    corrected = "" if mean else p_text(score.adjusted)
    mark = f"rare: {score.rare}" if score.rare else ""
    return [Text(name), *figures, corrected, share(score.detectable), mark]


def _basis(found: CellComparison) -> str:
    from cryostat.cli.interval_texts import PLURALS

    where = f"{found.cells:,} cells of {found.clusters} {PLURALS[found.kind]}"
    if math.isnan(found.macro_f1.detectable):
        return f"{where}: too few for a test (no p-value below {found.least_p:.3g} is possible)."
    return f"{where}. finds: the smallest true difference that such a test finds in four of five studies."


def _seeds(found: CellComparison) -> str:
    spread = [f"{n} (± {sd:.3f})" if n > 1 else "one" for n, sd in zip(found.seeds, found.seed_sd, strict=True)]
    text = f"Seeds of A: {spread[0]}, of B: {spread[1]}."
    if 1 in found.seeds:
        text += " The test is about these trained heads; how much others would differ is unknown with one seed."
    return text
