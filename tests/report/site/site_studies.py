"""Small studies for reports: squares as nuclei, drawn predictions, simulated patients, hostile names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cryostat.cells.dataset import CellDataset
from cryostat.cells.field import CellClass, DatasetFacts, field_from_table
from cryostat.cells.writer import DatasetWriter
from cryostat.core.files import safe_name, write_json
from cryostat.core.home import Home
from cryostat.results.cases.predictions import write_case_predictions
from cryostat.results.cases.scores import score_cases
from cryostat.results.ladder_files import LadderFacts, Rung, add_rung, rows_of
from cryostat.results.predictions import in_order, write_predictions
from cryostat.results.records import RunRecord
from cryostat.results.scores import score
from cryostat.results.tallies import tallies_of, tally

SCRIPT = "<script>window.hacked=1</script>"
HOSTILE: dict[str, Any] = {
    "title": f"Title {SCRIPT}",
    "dataset": f"../ds</script>{SCRIPT}\u2028",
    "encoder": f'"><img src="https://evil.example/x.png" onerror="window.hacked=2">{SCRIPT}',
    "classes": {1: "'onmouseover=window.hacked=3 ", 2: SCRIPT, 3: "</style><script>window.hacked=4</script>"},
    "method": "=cmd()" + SCRIPT,
}
MODALITIES, GRADES = ("mri", "wsi"), ("2", "3", "4")
CREATED = "2026-01-01T00:00:00+00:00"


def squares(home: Home) -> CellDataset:
    """Five fields of two patients, their ids in the field's; four nuclei each: two red above, two blue below."""
    instances = np.zeros((100, 100), np.int32)
    for cell, (y, x) in enumerate(((10, 10), (10, 60), (60, 10), (60, 60)), start=1):
        instances[y : y + 20, x : x + 20] = cell
    classes = (CellClass(1, "red", "#ff0000"), CellClass(2, "<b>blue", "#0000ff"))
    facts = DatasetFacts("squares", "Squares & more", classes, 0.5, "CC0", "Euclid 300 BC")
    image = np.full((100, 100, 3), 128, np.uint8)
    with DatasetWriter(home.datasets / "squares", facts) as writer:
        for i in range(5):
            truth = {1: 1, 2: 1, 3: 2, 4: 2}
            about = {"patient_id": f"Jane-Doe-{i}", "mpp": 0.5, "source": "s"}
            writer.add(field_from_table(f"Jane-Doe-{i}-slide", image, instances, truth, **about))
    return CellDataset(home.datasets / "squares")


def put_squares_run(
    home: Home, dataset: CellDataset, encoder: str, wrong: int, fraction: float = 1.0, split: str = "base"
) -> RunRecord:
    """A run in which the first `wrong` nuclei of each field but the first are called by the other class."""
    rows = []
    for i in range(5):
        for cell, true in enumerate((1, 1, 2, 2), start=1):
            predicted = 3 - true if i and cell <= wrong else true
            p = {f"p_{c}": 0.8 if c == predicted else 0.2 for c in (1, 2)} | {"p_0": 0.0}
            where = {"fov_id": f"Jane-Doe-{i}-slide", "patient_id": f"Jane-Doe-{i}", "tile": -1, "cell_id": cell}
            rows.append(where | {"y_true": true, "y_pred": predicted} | p)
    settings = {"dataset": "squares", "split": split, "encoder": encoder, "fraction": fraction}
    return _save(home, pd.DataFrame(rows), {c.id: c.name for c in dataset.classes}, settings, dataset.identity)


def put_table(
    home: Home, dataset: str, split: str, encoder: str, right: float, classes: dict[int, str] | None = None
) -> RunRecord:
    """A run on 12 patients of 30 nuclei, of a dataset that is not imported."""
    rng = np.random.default_rng(0)
    true = rng.choice([1, 2, 3], 360)
    predicted = np.where(rng.random(360) < right, true, rng.integers(1, 4, 360))
    place = np.arange(360)
    table = {"fov_id": [f"f{i // 30}" for i in place], "patient_id": [f"p{i // 30}" for i in place]}
    table |= {"tile": -1, "cell_id": place % 30 + 1, "y_true": true, "y_pred": predicted}
    settings = {"dataset": dataset, "split": split, "encoder": encoder, "fraction": 1.0}
    return _save(home, pd.DataFrame(table), classes or {1: "Plasma", 2: "Epithelial", 3: "Lymphocyte"}, settings, "d")


def _save(
    home: Home, table: pd.DataFrame, classes: dict[int, str], settings: dict[str, Any], dataset: str
) -> RunRecord:
    names = ("dataset", "split", "encoder", "fraction")
    run_id = "-".join(str(settings[name]) for name in names)
    settings = {"head": "linear", "protocol": "standard", "mode": "cached", "seed": 0, "mpp": 0.5} | settings
    folder = home.runs / safe_name(run_id)[:150]
    write_predictions(folder / "predictions.parquet", table.assign(run_id=run_id))
    write_json(folder / "scores.json", score(table, classes).to_dict())
    weights = {"encoder_weights_before": "w", "encoder_weights_after": "w"}
    record = RunRecord(
        run_id,
        "cells",
        CREATED,
        {"dataset": dataset, "split": settings["split"], "code": "c"},
        settings,
        weights,
        {"fit": {"seconds": 90.0}},
        {"python": "3.12", "cpus": 2, "processor": "x86_64", "device": "cpu", "packages": {"numpy": "2.0"}},
        folder=folder,
    )
    record.save(folder)
    return record


def put_ladder(record: RunRecord, steps: int = 2, kind: str = "blur<b>") -> None:
    """A ladder on which, at each further step, the nuclei of one more field are called by the other class."""
    own, about = tallies_of(record), {"about": "Out of <i>focus: Gaussian blur", "unit": " µm", "neutral": 0.0}
    table = record.predictions()
    for step in range(1, steps + 1):
        hit = table["fov_id"].isin(own.fields["fov_id"][:step])
        worse = table.assign(y_pred=np.where(hit, 3 - table["y_true"], table["y_pred"]))
        counts = tally(in_order(worse))
        rung = Rung(kind, step, 0.5 * step, f"step {step}", rows_of(counts), 0.5, 1.0, about)
        add_rung(record.folder_of("cells"), LadderFacts(own.source), rung, counts)


def put_cases(home: Home, method: str, noise: float, cohort: str = "glioma", task: str = "grade") -> RunRecord:
    """A run on 80 simulated patients, all with MRI, most with slides, under all four subsets."""
    table = simulated(noise)
    folder = home.runs / f"case-{cohort}-{task}-{noise}"
    write_case_predictions(folder / "predictions.parquet", table, GRADES, MODALITIES)
    write_json(folder / "scores.json", score_cases(table, GRADES, MODALITIES, draws=200).to_dict())
    settings = {"cohort": cohort, "task": task, "protocol": "standard", "split": "kfold", "method": method}
    settings |= {"modalities": list(MODALITIES), "method_settings": {"k": 3}, "quirks": ["<i>quirk"]}
    lost = {"patient_id": "Jane-Doe-7", "modality": "report", "where": "Jane-Doe-7.txt", "reason": "is empty"}
    record = RunRecord(folder.name, "cases", CREATED, {}, settings, failures=[lost], folder=folder)
    record.save(folder)
    return record


def simulated(noise: float, n: int = 80) -> pd.DataFrame:
    """Predictions of patients from the known posterior, with some noise."""
    rng = np.random.default_rng(0)
    true, have = rng.choice(3, n, p=[0.5, 0.3, 0.2]), np.stack([np.ones(n, bool), rng.random(n) < 0.7], 1)
    evidence = rng.normal(size=(2, n, 3)) + np.array([0.7, 1.4])[:, None, None] * np.eye(3)[true]
    parts = []
    for offered in ((), (0,), (1,), (0, 1)):
        seen = have & np.isin([0, 1], offered)
        logits = np.log([0.5, 0.3, 0.2]) + (seen.T[..., None] * evidence).sum(0)
        logits = logits + noise * seen.any(1)[:, None] * rng.normal(size=(n, 3))
        p = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)
        facts = {
            "run_id": "r",
            "repeat": 0,
            "fold": np.arange(n) % 5,
            "seed": 0,
            "patient_id": [f"Jane-Doe-{i:03d}" for i in range(n)],
            "ablation": "full",
            "offered": "+".join(MODALITIES[m] for m in offered) or "nothing",
            "seen": ["+".join(MODALITIES[m] for m in (0, 1) if row[m]) or "nothing" for row in seen],
            "y_true": np.array(GRADES)[true],
            "y_pred": np.array(GRADES)[p.argmax(1)],
        }
        parts.append(pd.DataFrame(facts | {f"p_{name}": p[:, c] for c, name in enumerate(GRADES)}))
    return pd.concat(parts, ignore_index=True)
