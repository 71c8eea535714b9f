"""The ladder of a run: two further files of its folder, filled step by step.

`ladder.parquet` counts the nuclei of the test part by field, true and predicted class at each step; `ladder.json` says
which steps are complete and what they were. Step 0 is the run itself and stands in neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock

from cryostat.core.errors import InputError
from cryostat.core.files import read_json, read_table, write_json, write_parquet
from cryostat.core.identity import digest
from cryostat.results.records import CELLS, RunRecord
from cryostat.results.tallies import Tallies, tallies_of

LADDER, COUNTS = "ladder.json", "ladder.parquet"

FORMAT = 1
"""Version of the files."""

REDO = "Delete ladder.json and ladder.parquet beside it, and run again: cryostat run ladder"


@dataclass(frozen=True)
class Rung:
    """One step of one perturbation, complete.

    Attributes:
        perturbation: Its name.
        step: 1 or more.
        amount: How strong it is there.
        identity: Hash of the head, of what was done to the pixels, and of the predictions without it.
        rows: Rows of the step in `ladder.parquet`.
        macro_f1: Of the step; None where undefined.
        seconds: What it took, encoding included where the features were not stored.
        about: What the perturbation is: `about`, `unit`, `neutral`.
        features: Hash of the identity of the features that were read.
    """

    perturbation: str
    step: int
    amount: float
    identity: str
    rows: int
    macro_f1: float | None
    seconds: float
    about: Mapping[str, Any]
    features: str = ""

    @property
    def key(self) -> tuple[str, int]:
        """Perturbation and step."""
        return self.perturbation, self.step


@dataclass(frozen=True)
class LadderFacts:
    """What `ladder.json` says.

    Attributes:
        predictions: Hash of the run's predictions that the ladder belongs to.
        untouched: How the untouched fields, predicted again, agree with these.
        rungs: Complete steps by perturbation and step.
    """

    predictions: str = ""
    untouched: Mapping[str, Any] = field(default_factory=dict)
    rungs: Mapping[tuple[str, int], Rung] = field(default_factory=dict)

    def of(self, perturbation: str) -> list[Rung]:
        """Steps of a perturbation, ascending."""
        return sorted((r for r in self.rungs.values() if r.perturbation == perturbation), key=lambda r: r.step)


def has_ladder(record: RunRecord) -> bool:
    """Whether a run of cells has a ladder beside it."""
    return record.benchmark == CELLS and record.folder is not None and (record.folder / LADDER).is_file()


def read_ladder(folder: Path) -> LadderFacts:
    """The complete steps of a run's ladder; none where it has no ladder.

    Raises:
        InputError: The file is damaged.
    """
    path = folder / LADDER
    if not path.exists():
        return LadderFacts()
    facts = read_json(path)
    try:
        if facts["format"] != FORMAT:
            raise InputError(f"has layout {facts['format']}, this version reads {FORMAT}", where=path, remedy=REDO)
        rungs = [Rung(**row) for row in facts["rungs"]]
        return LadderFacts(str(facts["predictions"]), dict(facts["untouched"]), {rung.key: rung for rung in rungs})
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("is no ladder", where=path, remedy=REDO) from error


def add_rung(folder: Path, known: LadderFacts, rung: Rung, tallies: Tallies) -> None:
    """Keep a step beside a run; a process that dies in between loses this step alone.

    Args:
        folder: Of the run.
        known: Its `predictions` and `untouched`; steps of other predictions are dropped.
        rung: The step.
        tallies: Its counts.
    """
    with FileLock(folder / ".ladder.lock"):
        there = read_ladder(folder)
        kept = there.rungs if there.predictions == known.predictions else {}
        rungs = {**kept, rung.key: rung}
        others = _counts(folder, kept, without=rung.key)
        # The table first: until the step is named in ladder.json, its rows count for nothing.
        write_parquet(folder / COUNTS, pd.concat([*others, _rows(rung, tallies)], ignore_index=True))
        ordered = [asdict(rungs[key]) for key in sorted(rungs)]
        facts = {"format": FORMAT, "predictions": known.predictions, "untouched": dict(known.untouched)}
        write_json(folder / LADDER, {**facts, "rungs": ordered})


def _counts(folder: Path, rungs: Mapping[tuple[str, int], Rung], without: tuple[str, int]) -> list[pd.DataFrame]:
    """What is kept of the table: rows of complete steps but one."""
    if not (set(rungs) - {without}):
        return []
    frame = read_counts(folder)
    keys = pd.Series(list(zip(frame["perturbation"], frame["step"], strict=True)), frame.index)
    return [frame[keys.isin(set(rungs) - {without})]]


def _rows(rung: Rung, tallies: Tallies) -> pd.DataFrame:
    number, true, predicted, cells = tallies.counts.T
    return pd.DataFrame(
        {
            "perturbation": rung.perturbation,
            "step": np.full(len(number), rung.step, np.int16),
            "fov_id": tallies.fields["fov_id"].to_numpy(str)[number].astype(object),
            "y_true": true.astype(np.int16),
            "y_pred": predicted.astype(np.int16),
            "cells": cells,
        }
    )


def rows_of(tallies: Tallies) -> int:
    """How many rows a step of these counts takes."""
    return len(tallies.counts)


def read_counts(folder: Path) -> pd.DataFrame:
    """The table of a ladder.

    Raises:
        InputError: It is missing or damaged.
    """
    frame: pd.DataFrame = read_table(folder / COUNTS)
    wanted = ("perturbation", "step", "fov_id", "y_true", "y_pred", "cells")
    numbers = [name for name in wanted if name not in ("perturbation", "fov_id")]
    if lacking := [name for name in wanted if name not in frame.columns]:
        raise InputError(f"lacks the column {lacking[0]!r}", where=folder / COUNTS, remedy=REDO)
    if any(frame[name].dtype.kind not in "iu" for name in numbers) or (frame["cells"] < 0).any():
        raise InputError("holds counts that are none", where=folder / COUNTS, remedy=REDO)
    return frame


def ladder_tallies(record: RunRecord) -> tuple[LadderFacts, dict[tuple[str, int], Tallies]]:
    """The complete steps of a run's ladder and what each comes to; step 0 of every perturbation is the run's own.

    Raises:
        InputError: The files are damaged, contradict each other, or belong to other predictions.
    """
    folder = record.folder_of(CELLS)
    facts, own = read_ladder(folder), tallies_of(record)
    if facts.rungs and facts.predictions != own.source:
        raise InputError("belongs to other predictions than those beside it", where=folder / LADDER, remedy=REDO)
    found = {(name, 0): own for name in dict.fromkeys(rung.perturbation for rung in facts.rungs.values())}
    if facts.rungs:
        steps = dict(tuple(read_counts(folder).groupby(["perturbation", "step"], sort=False)))
        for key, rung in facts.rungs.items():
            found[key] = _tallies(steps.get(key), rung, own, folder)
    return facts, found


def _tallies(rows: pd.DataFrame | None, rung: Rung, own: Tallies, folder: Path) -> Tallies:
    """The counts of a step, of the fields and nuclei of the run."""
    number = {fov: at for at, fov in enumerate(own.fields["fov_id"])}
    known = rows is not None and len(rows) == rung.rows and rows["fov_id"].isin(number).all()
    if rows is None or not known or int(rows["cells"].sum()) != own.cells:
        raise InputError(
            f"does not hold all nuclei of step {rung.step} of {rung.perturbation}", where=folder / COUNTS, remedy=REDO
        )
    counts = np.column_stack([rows["fov_id"].map(number), rows["y_true"], rows["y_pred"], rows["cells"]])
    return Tallies(digest([own.source, rung.identity]), own.fields, counts.astype(np.int64))


def perturbations_in(ladders: Sequence[LadderFacts]) -> list[str]:
    """Names of the perturbations that occur, in the order in which they first do."""
    return list(dict.fromkeys(rung.perturbation for ladder in ladders for rung in ladder.rungs.values()))
