"""A simulated cohort as files, in the forms that people have: a table with dirt, a file a slide, a Parquet table."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryostat.cases.simulated.model import Model
from cryostat.cases.simulated.patients import Patients
from cryostat.core.files import atomic_write, write_parquet

MANIFEST = "cohort.toml"
"""Name of the manifest in the folder."""

TASKS: dict[str, dict[str, str]] = {
    "tumour_type": {"column": "subtype", "preset": "corebt4_top"},
    "tumour_type_other": {"column": "subtype", "preset": "corebt4_other"},
    "tumour_type6": {"column": "subtype", "preset": "corebt6"},
    "tumour_type8": {"column": "subtype", "preset": "corebt8"},
    "subtype": {"column": "subtype", "preset": "subtype20"},
    "who_grade": {"column": "who_grade", "preset": "who_grade_234"},
    "lgg_hgg": {"column": "who_grade", "preset": "lgg_hgg"},
}
"""Tasks of the manifest."""

MODALITIES: dict[str, dict[str, str]] = {
    "mri": {"column": "mri", "table": "mri_features.csv", "key": "patient_id"},
    "wsi": {"column": "wsi", "pool": "mean"},
    "report": {"column": "report", "table": "report_embeddings.parquet", "key": "patient_id"},
}
"""Modalities of the manifest."""

FIRST_SCAN = date(2023, 8, 1)
"""Day of the first scan; the last is within two years."""


def write_patients(folder: Path, model: Model, patients: Patients) -> None:
    """Write tables, slides and, last, the manifest into an existing folder."""
    rng = np.random.default_rng([model.settings.seed, 3])
    _write_csv(folder / MODALITIES["mri"]["table"], _mri_table(rng, patients))
    write_parquet(folder / MODALITIES["report"]["table"], _report_table(patients))
    slides = _write_slides(folder, patients)
    _write_csv(folder / "cohort.csv", _cohort_table(patients, slides))
    with atomic_write(folder / MANIFEST) as stream:
        stream.write(_manifest(len(patients.ids)).encode())


def _cohort_table(patients: Patients, slides: list[str]) -> pd.DataFrame:
    mri, _, report = patients.present.T
    ids = np.array(patients.ids, object)
    front = {"patient_id": ids, "mri": np.where(mri, ids, ""), "wsi": slides, "report": np.where(report, ids, "")}
    return pd.concat([pd.DataFrame(front), patients.about], axis=1)


def _mri_table(rng: np.random.Generator, patients: Patients) -> pd.DataFrame:
    """Features of those with MRI among columns that say nothing: dates, texts, infinities, empty cells, a constant."""
    has = patients.present[:, 0]
    values = patients.embeddings["mri"][has]
    rows = len(values)
    ratio = rng.lognormal(size=rows)
    ratio[rng.random(rows) < 0.1] = np.inf
    volume = rng.lognormal(3.0, size=rows)
    volume[rng.random(rows) < 0.1] = np.nan
    days = rng.integers(0, 730, rows)
    dirt = {
        "patient_id": np.array(patients.ids, object)[has],
        "scan_date": [(FIRST_SCAN + timedelta(int(day))).isoformat() for day in days],
        "scanner": rng.choice(["1.5 T", "3 T"], rows),
        "ratio_enhancing_to_rest": ratio,
        "volume_cyst_ml": volume,
        "software_version": np.ones(rows),
    }
    return pd.concat([pd.DataFrame(dirt), _frame("radiomic", values)], axis=1)


def _report_table(patients: Patients) -> pd.DataFrame:
    has = patients.present[:, 2]
    values = _frame("text", patients.embeddings["report"][has].astype(np.float32))
    values.insert(0, "patient_id", np.array(patients.ids, object)[has])
    return values


def _frame(name: str, values: np.ndarray[Any, Any]) -> pd.DataFrame:
    return pd.DataFrame(values, columns=[f"{name}_{i:03d}" for i in range(values.shape[1])])


def _write_slides(folder: Path, patients: Patients) -> list[str]:
    """One `.npy` a slide; returns the paths of each patient as they stand in the table."""
    (folder / "wsi").mkdir(exist_ok=True)
    cells = []
    for name, slides in zip(patients.ids, patients.slides, strict=True):
        paths = [f"wsi/{name}_{number}.npy" for number in range(1, len(slides) + 1)]
        for path, slide in zip(paths, slides.astype(np.float32), strict=True):
            np.save(folder / path, slide, allow_pickle=False)
        cells.append(";".join(paths))
    return cells


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    with atomic_write(path) as stream:
        frame.to_csv(stream, index=False, float_format="%.7g")


def _manifest(patients: int) -> str:
    """The manifest as a reader would write it: one block an entry."""
    blocks = [
        "# A simulated cohort; bayes.json beside it has the best that any method can reach.",
        _block(
            "cohort",
            {
                "name": "simulated",
                "table": "cohort.csv",
                "patient": "patient_id",
                "site": "site",
                "split": "split",
                "groups": ["sex"],
                "patients": patients,
            },
        ),
        *(_block(f"modalities.{name}", facts) for name, facts in MODALITIES.items()),
        *(_block(f"tasks.{name}", facts) for name, facts in TASKS.items()),
    ]
    return "\n".join(blocks)


def _block(title: str, facts: dict[str, Any]) -> str:
    return f"[{title}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in facts.items())
