"""Robustness curves on confusion matrices that can be checked by hand, and the files they come from."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cell_rows import NAMES, row, simulated

from cryostat.core.errors import InputError
from cryostat.core.files import write_json
from cryostat.core.home import Home
from cryostat.results.comparison import compare
from cryostat.results.ladder_files import COUNTS, LADDER, LadderFacts, Rung, add_rung, ladder_tallies, read_ladder
from cryostat.results.ladders import Robustness, ladder_rows, ladder_table, robustness, with_equal_steps
from cryostat.results.predictions import in_order, write_predictions
from cryostat.results.records import RunRecord
from cryostat.results.scores import score
from cryostat.results.tallies import tallies_of, tally

RIGHT = {f"f{i}": [(1, 1), (1, 1), (2, 2), (2, 2)] for i in range(8)}
ABOUT = {"about": "Out of focus: Gaussian blur", "unit": " µm", "neutral": 0.0}


def confused(share: int) -> dict[str, list[tuple[int, int]]]:
    """As `RIGHT`, in the first `share` fields with each class taken for the other."""
    swapped = [(1, 2), (1, 2), (2, 1), (2, 1)]
    return {name: swapped if i < share else cells for i, (name, cells) in enumerate(RIGHT.items())}


def test_a_curve_is_what_the_confusions_say() -> None:
    steps = [row(confused(share)) for share in (0, 2, 4)]
    found = robustness(steps, [(0, 0.0), (1, 1.0), (2, 2.0)], perturbation="blur")
    assert [step.macro_f1.value for step in found.steps] == [1.0, 0.75, 0.5]
    assert [step.drop.value for step in found.steps] == [0.0, -0.25, -0.5]
    assert found.area.value == pytest.approx((0.75 + 0.5) / 2)
    assert (found.clusters, found.kind, found.cells, found.seeds) == (8, "field", 32, 1)
    first = found.steps[0]
    assert (first.drop.low, first.drop.high) == (0, 0)
    for step in found.steps[1:]:
        assert step.drop.low < step.drop.value < step.drop.high
        assert 0 <= step.macro_f1.low < step.macro_f1.value < step.macro_f1.high <= 1
    assert found.area.low < found.area.value < found.area.high


def test_drops_are_paired_as_comparisons_are() -> None:
    rng = np.random.default_rng(0)
    base, worse = (simulated(20, 60, rng, recall=recall) for recall in (0.8, 0.6))
    truth = {name: [true for true, _ in cells] for name, cells in base.items()}
    worse = {name: list(zip(truth[name], [p for _, p in cells], strict=True)) for name, cells in worse.items()}
    steps = [row(base), row(worse)]
    drop = robustness(steps, [(0, 0.0), (1, 1.0)]).steps[1].drop
    difference = compare(*steps[::-1]).macro_f1.difference
    assert drop == difference


def test_seeds_are_averaged() -> None:
    found = robustness([row(RIGHT, RIGHT), row(confused(2), confused(4))], [(0, 0.0), (1, 1.0)])
    assert found.seeds == 2
    assert found.steps[1].macro_f1.value == pytest.approx((0.75 + 0.5) / 2)


def test_nothing_to_lose_leaves_the_area_undefined() -> None:
    wrong = confused(8)
    found = robustness([row(wrong), row(wrong)], [(0, 0.0), (1, 1.0)])
    assert math.isnan(found.area.value)
    assert Robustness.from_dict(json.loads(json.dumps(found.to_dict()))).to_dict() == found.to_dict()


def predictions(cells: dict[str, list[tuple[int, int]]]) -> pd.DataFrame:
    rows = [(field, -1, i, *pair) for field, pairs in cells.items() for i, pair in enumerate(pairs)]
    return pd.DataFrame(rows, columns=["fov_id", "tile", "cell_id", "y_true", "y_pred"]).assign(run_id="r")


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., RunRecord]:
    """Writes a run whose predictions are `RIGHT`, or those of the given fields."""

    def written(name: str, cells: dict[str, list[tuple[int, int]]] = RIGHT, **settings: object) -> RunRecord:
        folder = Home(tmp_path).runs / name
        table = predictions(cells)
        write_predictions(folder / "predictions.parquet", table)
        write_json(folder / "scores.json", score(table, NAMES).to_dict())
        labels = {"dataset": "colon", "split": "base", "encoder": "uni", "head": "linear", "protocol": "standard"}
        full = labels | {"mode": "cached", "fraction": 1.0, "seed": 0} | settings
        record = RunRecord(name, "cells", "2026-01-01T00:00:00+00:00", {"code": "c"}, full, folder=folder)
        record.save(folder)
        return record

    return written


def climb(record: RunRecord, step: int, cells: dict[str, list[tuple[int, int]]], name: str = "blur") -> None:
    counts = tally(in_order(predictions(cells)))
    rung = Rung(name, step, float(step), f"{name}{step}", len(counts.counts), 0.5, 1.0, ABOUT)
    add_rung(record.folder, LadderFacts(tallies_of(record).source, {"same_bits": True}), rung, counts)


def test_steps_are_added_in_any_order_and_read_as_they_were_counted(put) -> None:
    record = put("one")
    for step in (2, 1):
        climb(record, step, confused(2 * step))
    facts, found = ladder_tallies(record)
    assert [rung.step for rung in facts.of("blur")] == [1, 2]
    for step in (0, 1, 2):
        wanted = tally(in_order(predictions(confused(2 * step)))).counts
        np.testing.assert_array_equal(found["blur", step].counts, wanted)
    climb(record, 1, confused(8))
    assert len(read_ladder(record.folder).rungs) == 2
    assert ladder_tallies(record)[1]["blur", 1].scores(NAMES).macro_f1 == 0


def test_rows_of_results_get_curves_folds_pooled(put) -> None:
    halves = [dict(list(confused(0).items())[part]) for part in (slice(4), slice(4, 8))]
    folds = [put(f"fold{i}", half, split=f"2fold-{i}") for i, half in enumerate(halves)]
    climb(folds[0], 1, dict(list(confused(2).items())[:4]))
    climb(folds[1], 1, dict(list(RIGHT.items())[4:]))
    rows, broken = ladder_rows([*folds, put("without", encoder="other")])
    assert not broken
    (found,) = rows
    assert (found.facts["split"], found.facts["folds"]) == ("2fold", "2/2")
    assert [step.macro_f1.value for step in found.curves["blur"].steps] == [1.0, 0.75]
    table = ladder_table(rows)
    assert table[["step", "macro_f1", "drop"]].to_numpy().tolist() == [[0, 1, 0], [1, 0.75, -0.25]]
    again, _ = ladder_rows(folds)
    assert again[0].curves == found.curves


def test_a_fold_without_all_steps_leaves_the_perturbation_out(put) -> None:
    halves = [dict(list(RIGHT.items())[part]) for part in (slice(4), slice(4, 8))]
    folds = [put(f"fold{i}", half, split=f"2fold-{i}") for i, half in enumerate(halves)]
    climb(folds[0], 1, halves[0])
    climb(folds[0], 1, halves[0], "jpeg")
    climb(folds[1], 1, halves[1], "jpeg")
    (found,), _ = ladder_rows(folds)
    assert list(found.curves) == ["jpeg"]
    assert "1 of 2 runs (fold1 …)" in found.lacking["blur"]
    (only,), _ = ladder_rows(folds, ["blur"])
    assert not only.curves


def test_curves_of_other_steps_do_not_stand_beside_each_other(put) -> None:
    whole, also, unfinished = (put(name, encoder=name) for name in ("a", "b", "c"))
    for record in (whole, also):
        climb(record, 1, confused(1))
        climb(record, 2, confused(2))
    climb(unfinished, 1, confused(1))
    rows, _ = ladder_rows([whole, also, unfinished])
    kept = {row.facts["encoder"]: row for row in with_equal_steps(rows)}
    assert kept["a"].curves["blur"].amounts == (0, 1, 2)
    assert not kept["c"].curves
    assert "not those of the other rows" in kept["c"].lacking["blur"]


def test_predictions_that_changed_since_are_told_and_their_steps_are_dropped_when_climbed_again(put) -> None:
    record = put("one")
    climb(record, 1, confused(2))
    write_predictions(record.folder / "predictions.parquet", predictions(confused(1)))
    with pytest.raises(InputError, match="belongs to other predictions"):
        ladder_tallies(record)
    climb(record, 2, confused(2))
    assert list(ladder_tallies(record)[0].rungs) == [("blur", 2)]


@pytest.mark.parametrize(
    ("name", "damage", "problem"),
    [
        (LADDER, lambda text: text[:-20], "not valid JSON"),
        (LADDER, lambda text: "[]", "is no ladder"),
        (LADDER, lambda text: text.replace('"step"', '"stop"'), "is no ladder"),
        (LADDER, lambda text: text.replace('"format": 1', '"format": 9'), "has layout 9"),
        (LADDER, lambda text: text.replace('"rows": ', '"rows": 1'), "does not hold all nuclei"),
    ],
)
def test_damaged_files_are_told(put, name: str, damage: Callable[[str], str], problem: str) -> None:
    record = put("one")
    climb(record, 1, confused(2))
    path = record.folder / name
    before = path.read_text()
    path.write_text(damage(before))
    with pytest.raises(InputError, match=problem):
        ladder_tallies(record)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda f: f.drop(columns="cells"), "lacks the column 'cells'"),
        (lambda f: f.assign(cells=-f["cells"]), "counts that are none"),
        (lambda f: f.assign(cells=f["cells"].astype(str)), "counts that are none"),
        (lambda f: f.assign(fov_id="elsewhere"), "does not hold all nuclei"),
        (lambda f: f.iloc[1:], "does not hold all nuclei"),
    ],
)
def test_a_damaged_table_is_told(put, change: Callable[[pd.DataFrame], pd.DataFrame], problem: str) -> None:
    record = put("one")
    climb(record, 1, confused(2))
    path = record.folder / COUNTS
    change(pd.read_parquet(path)).to_parquet(path)
    with pytest.raises(InputError, match=problem):
        ladder_tallies(record)
    rows, broken = ladder_rows([record])
    assert not rows
    assert broken[0].folder == record.folder
