"""Which ladders of finished runs stand beside each other, and what figure they make."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cryostat.core.files import write_json
from cryostat.report.figures import alt_text
from cryostat.report.figures.of_ladders import MOST, ladder_drawings
from cryostat.results.ladder_blocks import ladder_blocks
from cryostat.results.ladder_files import LadderFacts, Rung, add_rung, rows_of
from cryostat.results.predictions import in_order, write_predictions
from cryostat.results.records import RunRecord
from cryostat.results.scores import score
from cryostat.results.tallies import tallies_of, tally

ABOUT = {"about": "Out of focus: Gaussian blur", "unit": " µm", "neutral": 0.0}


@pytest.fixture
def put(home):
    """Writes a run on one of two folds: six fields of ten nuclei, all named rightly."""

    def written(fold: int, encoder: str = "uni", seed: int = 0) -> RunRecord:
        name = f"{encoder}-{fold}-{seed}"
        settings = {"dataset": "colon", "split": f"2fold-{fold}", "encoder": encoder, "head": "linear", "seed": seed}
        settings |= {"protocol": "standard", "mode": "cached", "fraction": 1.0}
        place = np.arange(60)
        table = pd.DataFrame({"fov_id": [f"f{fold}-{i // 10}" for i in place], "tile": -1, "cell_id": place % 10})
        table = table.assign(y_true=place % 2 + 1, y_pred=place % 2 + 1, run_id=name)
        folder = home.runs / name
        write_predictions(folder / "predictions.parquet", table)
        write_json(folder / "scores.json", score(table, {1: "tumour", 2: "stroma"}).to_dict())
        record = RunRecord(name, "cells", "2026-01-01T00:00:00+00:00", {"code": "c"}, settings, folder=folder)
        record.save(folder)
        return record

    return written


def climb(record: RunRecord, steps: int, kind: str = "blur") -> None:
    """At each step the nuclei of one more field are called by the other class."""
    own, table = tallies_of(record), record.predictions()
    for step in range(1, steps + 1):
        hit = table["fov_id"].isin(own.fields["fov_id"][:step])
        counts = tally(in_order(table.assign(y_pred=np.where(hit, 3 - table["y_true"], table["y_pred"]))))
        rung = Rung(kind, step, float(step), f"{kind} {step}", rows_of(counts), None, 1.0, ABOUT)
        add_rung(record.folder_of("cells"), LadderFacts(own.source), rung, counts)


def test_runs_without_ladders_have_no_figure(put):
    assert ladder_blocks([put(0), put(1)]) == ([], ())


def test_folds_that_have_climbed_are_pooled(put, legible):
    folds = [put(0), put(1)]
    for fold in folds:
        climb(fold, 2)
    ((drawing,), broken) = ladder_drawings(folds)
    assert broken == ()
    assert drawing.name == "colon-2fold-standard-robustness"
    figure = drawing.draw()
    legible(figure)
    assert "blur: uni · linear 1.00 to 0.67" in alt_text(figure)  # 20 of 60 nuclei of each fold
    assert figure.texts[0].get_text() == "colon, 2fold: robustness"


def test_of_folds_that_have_not_all_climbed_those_that_have_are_shown(put):
    first, second = put(0), put(1)
    climb(first, 2)
    climb(second, 1)
    (block,), _ = ladder_blocks([first, second])
    (row,) = block
    assert (row.facts["folds"], row.facts["complete"]) == ("1/2", False)
    assert row.curves["blur"].cells == 60
    drawings, _ = ladder_drawings([first, second])
    assert drawings[0].draw().texts[0].get_text() == "colon, 2fold (1 of 2 folds): robustness"


def test_one_seed_stands_for_a_model_whose_other_seeds_have_not_climbed(put):
    runs = [put(fold, seed=seed) for seed in range(2) for fold in range(2)]
    climb(runs[2], 1)
    climb(runs[3], 1)
    (block,), _ = ladder_blocks(runs)
    assert [(row.facts["folds"], row.facts["seeds"]) for row in block] == [("2/2", 1)]


def test_of_many_models_the_best_are_drawn(put):
    runs = [put(fold, f"encoder-{i}") for i in range(MOST + 1) for fold in range(2)]
    for record in runs:
        climb(record, 1)
    (drawing,), _ = ladder_drawings(runs)
    notes = [text.get_text().replace("\n", " ") for text in drawing.draw().texts]
    assert any(f"The {MOST} of {MOST + 1} models that are best untouched." in note for note in notes)
