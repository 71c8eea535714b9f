"""One verb for both benchmarks: `fit` on an encoded dataset of cells, or on a cohort of patients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from cryostat.cases.cohort import Cohort
    from cryostat.cells.runs.material import Features
    from cryostat.results.records import RunRecord


@overload
def fit(material: Features, **settings: Any) -> RunRecord: ...


@overload
def fit(material: Cohort, *, task: str, **settings: Any) -> RunRecord: ...


def fit(material: Features | Cohort, **settings: Any) -> RunRecord:
    """Fit, score, and keep the run.

    Args:
        material: From `encode` or `load_cohort`.
        **settings: For cells those of `cells.runs.bench.fit`: head, split, fraction, seed …; for a cohort those of
            `cases.runs.bench.fit_cohort`: task, method, modalities, seeds …

    Raises:
        CryostatError: Whatever stands in the way, with the remedy.
    """
    from cryostat.cases.cohort import Cohort

    if isinstance(material, Cohort):
        from cryostat.cases.runs.bench import fit_cohort

        return fit_cohort(material, **settings)
    from cryostat.cells.runs.bench import fit as fit_head

    return fit_head(material, **settings)
