from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from cryostat.cases.cohort import Cohort, load_cohort
from cryostat.core.home import Home

MakeCohort = Callable[..., Cohort]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def make_cohort(tmp_path: Path) -> MakeCohort:
    """A cohort of patients p0, p1, … with one modality `m`: a cell of the table each, and lines of its manifest."""

    def make(cells: Sequence[str], *lines: str, columns: str = 'column = "m"') -> Cohort:
        rows = "".join(f"p{i},{cell},{'ab'[i % 2]}\n" for i, cell in enumerate(cells))
        (tmp_path / "cohort.csv").write_text(f"patient_id,m,label\n{rows}")
        manifest = ["[cohort]", 'name = "c"', 'table = "cohort.csv"', "[modalities.m]", columns, *lines]
        (tmp_path / "cohort.toml").write_text(
            "\n".join([*manifest, "[tasks.t]", 'column = "label"', 'classes = ["a", "b"]', ""])
        )
        return load_cohort(tmp_path / "cohort.toml")

    return make
