"""What a report tells of ladders: curves by kind of perturbation, losses, and what is left on average."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryostat.report.figures.ladders import in_order, series_name
from cryostat.results.ladder_blocks import ladder_blocks
from cryostat.results.ladders import LadderRow, Robustness, ladder_table
from cryostat.results.records import BrokenRun, RunRecord


@dataclass(frozen=True)
class LadderKind:
    """One kind of perturbation.

    Attributes:
        name: Its name.
        about: What it does, in a line.
        measure: What its amounts are, with their unit.
        amounts: The amount of each step as text, the first untouched.
        curves: Number of the model among those of the board, and what was found.
    """

    name: str
    about: str
    measure: str
    amounts: tuple[str, ...]
    curves: tuple[tuple[int, Robustness], ...]

    def of(self, model: int) -> Robustness | None:
        """The curve of a model; None where it has not climbed this ladder."""
        return next((curve for number, curve in self.curves if number == model), None)


@dataclass(frozen=True)
class LadderBoard:
    """The ladders of one dataset, split, protocol and share of the training fields.

    Attributes:
        dataset: Name of the dataset.
        split: Split, or family of folds.
        protocol: Name of the protocol.
        fraction: Share of the training fields.
        folds: `1 of 5` where the ladders are of some folds alone; else empty.
        models: Names of the models, the best untouched first.
        kinds: The kinds of perturbation.
        lacking: What is left out, and why.
        rows: What it is made of.
    """

    dataset: str
    split: str
    protocol: str
    fraction: float
    folds: str
    models: tuple[str, ...]
    kinds: tuple[LadderKind, ...]
    lacking: tuple[str, ...]
    rows: tuple[LadderRow, ...]

    @property
    def first(self) -> Robustness:
        """Some curve, for what all have in common."""
        return self.kinds[0].curves[0][1]


def ladder_boards(records: Iterable[RunRecord]) -> tuple[tuple[LadderBoard, ...], tuple[BrokenRun, ...]]:
    """All ladders that stand beside each other; and what could not be read."""
    blocks, broken = ladder_blocks(records)
    return tuple(map(_board, blocks)), broken


def _board(block: list[LadderRow]) -> LadderBoard:
    rows = sorted((row for row in block if row.curves), key=lambda row: -float(row.facts["macro_f1"]))
    facts, names = rows[0].facts, [series_name(row, rows) for row in rows]
    told = [(series_name(row, block), row.lacking) for row in block]
    return LadderBoard(
        str(facts["dataset"]),
        str(facts["split"]),
        str(facts["protocol"]),
        float(facts["fraction"] or 1.0),
        "" if facts["complete"] else str(facts["folds"]).replace("/", " of "),
        tuple(names),
        tuple(_kind(name, rows) for name in in_order(name for row in rows for name in row.curves)),
        tuple(f"{model}, {kind}: {reason}" for model, lacking in told for kind, reason in lacking.items()),
        tuple(rows),
    )


def _kind(name: str, rows: list[LadderRow]) -> LadderKind:
    curves = tuple((number, row.curves[name]) for number, row in enumerate(rows) if name in row.curves)
    first = curves[0][1]
    measure, unit = first.about.rpartition(": ")[2], first.unit.strip()
    return LadderKind(
        name, first.about, f"{measure}, {unit}" if unit else measure, tuple(f"{a:g}" for a in first.amounts), curves
    )


def ladder_rows_of(boards: Iterable[LadderBoard]) -> list[dict[str, Any]]:
    """A row a model, perturbation and step, for the downloads."""
    found: list[dict[str, Any]] = []
    for board in boards:
        table = ladder_table(board.rows)
        table.insert(2, "folds", board.folds)
        found += [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
    return found
