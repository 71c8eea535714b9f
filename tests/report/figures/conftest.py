from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import rc_context
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

sys.path.insert(0, str(Path(__file__).parent))

from cryostat.core.figures import STYLE
from cryostat.core.files import write_json
from cryostat.core.home import Home
from cryostat.results.cases.predictions import write_case_predictions
from cryostat.results.cases.scores import score_cases
from cryostat.results.predictions import write_predictions
from cryostat.results.records import RunRecord
from cryostat.results.scores import score

CELL_CLASSES = {1: "tumour", 2: "stroma", 3: "lymphocyte"}
TUMOURS, MODALITIES = ("2", "3", "4"), ("mri", "wsi")


@pytest.fixture
def home(tmp_path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def put_cells(home):
    """Writes a run of cells: 12 patients of 30 nuclei, of which a share is right."""

    def put(right: float = 0.8, seed: int = 0, created: str = "2026-01-01T00:00:00+00:00", **settings) -> RunRecord:
        resolved = {
            "dataset": "colon",
            "split": "base",
            "encoder": "uni",
            "head": "linear",
            "protocol": "standard",
            "fraction": 1.0,
            "mode": "cached",
            "seed": seed,
            "mpp": 0.5,
        } | settings
        name = "-".join(str(resolved[k]) for k in ("dataset", "split", "encoder", "head", "mode", "fraction", "seed"))
        # The same nuclei for all runs of a split; which are right differs by model.
        true = np.random.default_rng(len(str(resolved["split"]))).choice([1, 2, 3], 360, p=[0.6, 0.3, 0.1])
        rng = np.random.default_rng([seed, *name.encode()])
        predicted = np.where(rng.random(360) < right, true, rng.integers(1, 4, 360))
        place = np.arange(360)
        fields = {"fov_id": [f"f{i // 30}" for i in place], "patient_id": [f"p{i // 30}" for i in place]}
        cells = {"tile": -1, "cell_id": place % 30 + 1, "y_true": true, "y_pred": predicted}
        table = pd.DataFrame({"run_id": name} | fields | cells)
        folder = home.runs / name
        write_predictions(folder / "predictions.parquet", table)
        write_json(folder / "scores.json", score(table, CELL_CLASSES).to_dict())
        identity = {name: resolved[name] for name in ("dataset", "split", "seed")} | {"code": "c1"}
        record = RunRecord(name, "cells", created, identity, resolved, folder=folder)
        record.save(folder)
        return record

    return put


@pytest.fixture
def put_case(home):
    """Writes a run of cases: 80 simulated patients, all with MRI, most with slides, under all four subsets."""

    def put(
        method: str = "core-bt", noise: float = 0.3, subsets: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (0, 1))
    ):
        table = simulated(noise, subsets)
        folder = home.runs / method
        write_case_predictions(folder / "predictions.parquet", table, TUMOURS, MODALITIES)
        write_json(folder / "scores.json", score_cases(table, TUMOURS, MODALITIES, draws=200).to_dict())
        settings = {"cohort": "glioma", "task": "grade", "protocol": "standard", "split": "kfold", "method": method}
        settings |= {"modalities": list(MODALITIES), "method_settings": {}}
        record = RunRecord(method, "cases", "2026-01-01T00:00:00+00:00", {}, settings, folder=folder)
        record.save(folder)
        return record

    return put


def simulated(noise: float, subsets, n: int = 80) -> pd.DataFrame:
    """Predictions of patients from the known posterior, with some noise."""
    rng = np.random.default_rng(0)
    true, have = rng.choice(3, n, p=[0.5, 0.3, 0.2]), np.stack([np.ones(n, bool), rng.random(n) < 0.7], 1)
    evidence = rng.normal(size=(2, n, 3)) + np.array([0.7, 1.4])[:, None, None] * np.eye(3)[true]
    parts = []
    for offered in subsets:
        seen = have & np.isin([0, 1], offered)
        logits = np.log([0.5, 0.3, 0.2]) + (seen.T[..., None] * evidence).sum(0)
        logits = logits + noise * seen.any(1)[:, None] * rng.normal(size=(n, 3))
        p = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)
        facts = {
            "run_id": "r",
            "repeat": 0,
            "fold": np.arange(n) % 5,
            "seed": 0,
            "patient_id": [f"p{i:03d}" for i in range(n)],
            "ablation": "full",
            "offered": "+".join(MODALITIES[m] for m in offered) or "nothing",
            "seen": ["+".join(MODALITIES[m] for m in (0, 1) if row[m]) or "nothing" for row in seen],
            "y_true": np.array(TUMOURS)[true],
            "y_pred": np.array(TUMOURS)[p.argmax(1)],
        }
        parts.append(pd.DataFrame(facts | {f"p_{name}": p[:, c] for c, name in enumerate(TUMOURS)}))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def legible():
    """Asserts that every text lies within the figure, that none runs into another, and that none is tiny."""
    return check_legible


def check_legible(figure: Figure, *, smallest: float = 4.5) -> None:
    canvas = FigureCanvasAgg(figure)
    with rc_context(dict(STYLE)):
        canvas.draw()
    page = figure.bbox
    hidden = beyond(figure)
    shown = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and id(t) not in hidden]
    boxes = [(t, t.get_window_extent(canvas.get_renderer())) for t in shown]
    slack = figure.dpi / 72 * 0.8
    for text, box in boxes:
        assert text.get_fontsize() >= smallest, text.get_text()
        inside = box.x0 >= -slack and box.y0 >= -slack and box.x1 <= page.x1 + slack and box.y1 <= page.y1 + slack
        assert inside, f"{text.get_text()!r} leaves the figure: {box} of {page}"
    upright = [(t, b) for t, b in boxes if t.get_rotation() in (0, 90)]
    for (one, a), (two, b) in itertools.combinations(upright, 2):
        wide = min(a.x1, b.x1) - max(a.x0, b.x0)
        high = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert wide <= slack or high <= slack, f"{one.get_text()!r} runs into {two.get_text()!r}"


def beyond(figure: Figure) -> set[int]:
    """Labels of ticks beyond the ends of an axis, which matplotlib keeps and does not draw."""
    found = set()
    for axis in figure.findobj(Axis):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if not low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                found |= {id(tick.label1), id(tick.label2)}
    return found
