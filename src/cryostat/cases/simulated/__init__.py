"""A simulated cohort whose best possible figures are known.

It has the patients of CoRe-BT (arXiv 2603.03618): 310, with its table's numbers of each sub-type; 250 have MRI, 95 of
those slides (597 in all) and a report, 60 have nothing, since a pipeline that needs all four sequences fails for them.
Who has what is in proportion to the classes and says nothing else.

**The model.** A patient is of one of S states s, a sub-type with a WHO grade (`states.py` has the table), with the
prior π_s = its count / 310. What modality m ∈ {mri, wsi, report} tells is a signal z_m on ten axes,

    z_m = μ_ms + e_m,    e_m ~ N(0, I),    cov(e_m, e_n) = ρ I for m ≠ n,    ρ = `Settings.correlation`, 0.3.

The mean μ_ms (`model.SENSES` has the numbers) is `shows[k]` on the axis of the state's own level-1 class k (0 … 7) and
0 on the other seven; on axis 8 `grade` × (WHO grade − 2.5), 0 without a grade; on axis 9 `subtype` × the sub-type's
place among those of its class, centred (−1, 0, 1 for three).

**The embedding** of d numbers is x_m = Q_m [z_m ; ν_m] + b_m: an orthogonal matrix and an offset that are drawn once,
and nuisance ν_m ~ N(0, diag τ²), independent of all else, τ falling evenly from `Settings.nuisance` (0.5) to a fifth
of it over the d − 10 remaining axes. Each slide's embedding is x_wsi plus noise that sums to 0 over the patient's
slides, so that their mean is x_wsi. The table of MRI features has further columns (dates, texts, infinities, gaps) that
say nothing.

**The posterior.** Q_m is invertible and ν_m independent, so x_m tells exactly what z_m does. With R the matrix of ones
on the diagonal and ρ elsewhere, and P the inverse of its part for a subset A of the modalities,

    log p(s | x_A) = log π_s + Σ_mn∈A P_mn μ_ms · (z_n − μ_ns / 2) + const,

a class of a task has the sum over its states, and states that the task drops are left out and the rest renormalised.

**The best possible** on each subset of the modalities is an expectation over this model: `bayes.py`. It is about new
patients; `Simulated.posterior` has the exact probabilities of each patient of the cohort, for those who want the best
possible on the same patients. Sites and sex are drawn apart from everything; the column `split` sets 30 % of those with
all three modalities apart for testing.
"""

from cryostat.cases.simulated.bayes import BayesRow, Figure, bayes_table, bayes_tables
from cryostat.cases.simulated.model import Model, Sense
from cryostat.cases.simulated.settings import Settings
from cryostat.cases.simulated.simulate import Simulated, load_simulated, simulate, simulated_tasks

__all__ = [
    "BayesRow",
    "Figure",
    "Model",
    "Sense",
    "Settings",
    "Simulated",
    "bayes_table",
    "bayes_tables",
    "load_simulated",
    "simulate",
    "simulated_tasks",
]
