from __future__ import annotations

import cryostat as cs
from cryostat.cases.simulated import simulate


def test_a_cohort_is_fitted_by_the_same_verb(tmp_path):
    cohort = cs.load_cohort(simulate(tmp_path / "cohort", patients=60, draws=2000).manifest)
    home = cs.Home(tmp_path / "home")
    task = next(iter(cohort.tasks))
    run = cs.fit(cohort, task=task, method="nearest-mean", repeats=1, folds=2, home=home)
    again = cs.fit(cohort, task=task, method="nearest-mean", repeats=1, folds=2, home=home)
    assert (run.benchmark, run.run_id) == ("cases", again.run_id)
    lattice = run.lattice()
    assert len(lattice) == 2 ** len(cohort.modalities)
    assert lattice.set_index("offered").loc["nothing", "n"] == run.case_scores().patients
