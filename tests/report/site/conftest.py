from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from site_studies import HOSTILE, put_cases, put_ladder, put_squares_run, put_table, squares

from cryostat.core.home import Home
from cryostat.report.site import build_report
from cryostat.results.records import find_runs


@pytest.fixture(scope="session")
def study_home(tmp_path_factory) -> Home:
    """A home with runs of everything that a report shows, some of them badly named."""
    home = Home(tmp_path_factory.mktemp("home"))
    dataset = squares(home)
    for encoder, wrong in (("uni", 1), ("vit", 3)):
        for fraction in (0.1, 1.0):
            record = put_squares_run(home, dataset, encoder, wrong + (fraction < 1), fraction)
            if fraction == 1:
                put_ladder(record)
    put_squares_run(home, dataset, "uni", 2, split="north")
    put_table(home, "lizard", "base", "uni2-h", right=0.7)
    put_table(home, HOSTILE["dataset"], "base", HOSTILE["encoder"], right=0.6, classes=HOSTILE["classes"])
    put_cases(home, "lda", 0.1)
    put_cases(home, HOSTILE["method"], 2.0)
    put_cases(home, "core-bt", 0.2, cohort="corebt", task="who_grade")
    (home.runs / "broken<b>").mkdir()
    return home


@pytest.fixture(scope="session")
def site(study_home, tmp_path_factory) -> Path:
    """The report of that home."""
    found = find_runs(study_home)
    folder = tmp_path_factory.mktemp("site")
    build_report(found.records, folder, home=study_home, title=HOSTILE["title"], broken=found.broken)
    return folder
