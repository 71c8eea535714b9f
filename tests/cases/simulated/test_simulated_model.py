from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from cryostat.cases.labels import Task, read_task
from cryostat.cases.simulated import Model, Settings, bayes_table, bayes_tables, simulated_tasks
from cryostat.cases.simulated.model import AXES, SENSES
from cryostat.cases.simulated.states import scaled_counts, states
from cryostat.core.errors import SettingError

MODEL = Model()
TASKS = simulated_tasks()


def two_states(first: str, second: str) -> Task:
    """A task of two states; all others are dropped."""
    others = [state.subtype for state in states() if state.subtype not in (first, second)]
    facts = {"column": "subtype", "hierarchy": "corebt", "drop": list(dict.fromkeys(others))}
    return read_task("pair", facts, Path(), "test")


def test_states_have_the_papers_numbers() -> None:
    counts = [sum(state.count for state in states() if state.group == group) for group in range(8)]
    assert counts == [176, 71, 31, 13, 9, 6, 1, 3]
    grades = {g: sum(s.count for s in states() if s.grade == g) for g in ("1", "2", "3", "4", "")}
    assert grades == {"1": 20, "2": 45, "3": 37, "4": 204, "": 4}


@given(st.integers(40, 5000))
def test_counts_of_another_size_are_proportional(patients: int) -> None:
    counts = scaled_counts(patients)
    exact = np.array([state.count for state in states()]) * patients / 310
    assert counts.sum() == patients
    assert (np.abs(counts - exact) < 1).all()


@pytest.mark.parametrize("subset", [s for s in MODEL.subsets if s])
def test_posterior_is_that_of_the_densities_of_the_embeddings(subset: tuple[str, ...]) -> None:
    rng = np.random.default_rng(5)
    values = MODEL.embed(rng, MODEL.signals(rng, np.arange(len(states()))))
    chosen = MODEL.index(subset)
    stacked = np.concatenate([values[name] for name in subset], 1)
    log_density = np.stack(
        [multivariate_normal(mean_of(chosen, s), covariance(chosen)).logpdf(stacked) for s in range(len(states()))], 1
    )
    weighted = np.exp(log_density - log_density.max(1, keepdims=True)) * MODEL.prior
    of_state = MODEL.state_classes(TASKS["tumour_type"])
    expected = np.stack([weighted[:, of_state == c].sum(1) for c in range(4)], 1)
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(MODEL.posterior(values, subset, TASKS["tumour_type"]), expected, atol=1e-7)


def mean_of(chosen: list[int], state: int) -> np.ndarray:
    """Mean embedding of a state, the chosen modalities side by side."""
    parts = [MODEL.frames[m][0][:, :AXES] @ MODEL.means[m, state] + MODEL.frames[m][2] for m in chosen]
    return np.concatenate(parts)


def covariance(chosen: list[int]) -> np.ndarray:
    """Covariance of the embeddings of one state, written out."""
    blocks = []
    for m in chosen:
        turn, deviations, _ = MODEL.frames[m]
        own = turn @ np.diag(np.concatenate([np.ones(AXES), deviations**2])) @ turn.T
        across = {n: 0.3 * turn[:, :AXES] @ MODEL.frames[n][0][:, :AXES].T for n in chosen}
        blocks.append([own if n == m else across[n] for n in chosen])
    return np.block(blocks)


@pytest.mark.parametrize("subset", [("mri",), ("wsi", "report"), ("mri", "wsi", "report")])
def test_two_states_have_the_closed_form(subset: tuple[str, ...]) -> None:
    first, second = "glioblastoma", "pilocytic astrocytoma"
    row = next(r for r in bayes_table(MODEL, two_states(first, second), draws=200_000) if r.offered == subset)
    names = [state.subtype for state in states()]
    apart = MODEL.means[MODEL.index(subset)][:, [names.index(first), names.index(second)]]
    gap = (apart[:, 0] - apart[:, 1]).reshape(len(subset), AXES)
    precision = np.linalg.inv(0.7 * np.eye(len(subset)) + 0.3)
    distance = np.sqrt(np.einsum("ma,mn,na", gap, precision, gap))
    assert row.balanced_accuracy.value == pytest.approx(norm.cdf(distance / 2), abs=5 * row.balanced_accuracy.error)
    prior = 153 / 161
    shift = np.log(prior / (1 - prior)) / distance
    accuracy = prior * norm.cdf(distance / 2 + shift) + (1 - prior) * norm.cdf(distance / 2 - shift)
    assert row.accuracy.value == pytest.approx(accuracy, abs=5 * row.accuracy.error)
    assert 0 < row.accuracy.error < 0.002


def test_more_evidence_never_makes_it_worse() -> None:
    for rows in bayes_tables(MODEL, TASKS, draws=20_000).values():
        for less, more in combinations(rows, 2):
            if set(less.offered) < set(more.offered):
                assert more.accuracy.value > less.accuracy.value - 2 * less.accuracy.error
                assert more.balanced_accuracy.value > less.balanced_accuracy.value - 2 * less.balanced_accuracy.error
                assert more.log_loss.value < less.log_loss.value + 2 * less.log_loss.error


def test_nothing_offered_is_the_prior() -> None:
    nothing = bayes_table(MODEL, TASKS["tumour_type"], draws=1000)[0]
    prior = np.array([176, 71, 31, 13]) / 291
    assert nothing.offered == ()
    assert nothing.accuracy.value == pytest.approx(176 / 291)
    assert nothing.balanced_accuracy.value == pytest.approx(0.25)
    assert nothing.log_loss.value == pytest.approx(-(prior * np.log(prior)).sum())


def test_separations_are_realistic() -> None:
    rows = bayes_table(MODEL, TASKS["tumour_type"], draws=50_000)
    balanced = {"+".join(row.offered): row.balanced_accuracy.value for row in rows}
    assert 0.55 < balanced["mri"] < 0.65
    assert 0.70 < balanced["wsi"] < 0.75
    assert 0.78 < balanced["report"] < 0.82
    assert 0.85 < balanced["mri+wsi+report"] < 0.90


def test_no_classifier_that_has_learnt_from_many_does_better() -> None:
    task = TASKS["tumour_type"]
    of_state = MODEL.state_classes(task)
    rng = np.random.default_rng(1)
    draw = rng.choice(
        np.flatnonzero(of_state >= 0), 16_000, p=MODEL.prior[of_state >= 0] / MODEL.prior[of_state >= 0].sum()
    )
    values = MODEL.embed(rng, MODEL.signals(rng, draw))
    stacked, y = np.concatenate([values["mri"], values["wsi"]], 1), of_state[draw]
    learnt = LinearDiscriminantAnalysis(priors=np.full(4, 0.25)).fit(stacked[:8_000], y[:8_000])
    guess, truth = learnt.predict(stacked[8_000:]), y[8_000:]
    reached = np.mean([(guess[truth == c] == c).mean() for c in range(4)])
    best = next(r for r in bayes_table(MODEL, task, draws=50_000) if r.offered == ("mri", "wsi"))
    assert best.balanced_accuracy.value - 0.03 < reached < best.balanced_accuracy.value + 0.015


def test_values_of_what_is_not_offered_change_nothing() -> None:
    rng = np.random.default_rng(2)
    signals = MODEL.signals(rng, np.zeros(3, np.int64))
    other = signals.copy()
    other[:, 1] = np.nan
    before, after = MODEL.log_states(signals, ("mri", "report")), MODEL.log_states(other, ("mri", "report"))
    assert (before == after).all()


def test_frames_are_orthogonal_and_depend_on_the_seed() -> None:
    turn, deviations, offset = MODEL.frames[0]
    np.testing.assert_allclose(turn @ turn.T, np.eye(SENSES[0].width), atol=1e-12)
    assert (deviations[0], deviations[-1], len(offset)) == (0.5, 0.1, 96)
    assert not np.allclose(Model(Settings(seed=1)).frames[0][0], turn)


@pytest.mark.parametrize(
    "facts",
    [
        {"seed": -1},
        {"patients": 39},
        {"mri": 400},
        {"mri": 90},
        {"correlation": 1.0},
        {"nuisance": -1.0},
        {"nuisance": np.nan},
    ],
)
def test_impossible_settings_are_told(facts: dict[str, float]) -> None:
    with pytest.raises(SettingError):
        Settings(**facts)


def test_an_unknown_modality_is_told() -> None:
    with pytest.raises(SettingError, match=r"no modality 'ct'.*mri, wsi, report"):
        MODEL.index(("ct",))
