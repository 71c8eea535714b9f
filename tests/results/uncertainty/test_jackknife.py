from __future__ import annotations

import numpy as np
import pytest

from cryostat.results.uncertainty import jackknife_interval, resample, standard_error


def left_out_means(values):
    return ((values.sum() - values) / (len(values) - 1))[:, None]


def test_the_standard_error_of_a_mean_is_the_usual_one():
    values = np.array([1.0, 2, 4, 9])
    assert standard_error(left_out_means(values))[0] == pytest.approx(values.std(ddof=1) / 2)


def test_undefined_scores_are_passed_over():
    assert standard_error(np.array([[1.0], [np.nan], [3.0]]))[0] == pytest.approx(1)
    assert np.isnan(standard_error(np.array([[1.0], [np.nan]]))[0])


def test_for_a_mean_of_many_it_is_students_interval():
    values = np.random.default_rng(0).normal(0.5, 0.1, 50)
    draws = (resample(50, 20_000) @ values / 50)[:, None]
    found = jackknife_interval(np.array([values.mean()]), draws, left_out_means(values), 50)
    # t of 49 degrees of freedom: 2.0096.
    reach = 2.0096 * values.std(ddof=1) / np.sqrt(50)
    assert found.low[0] == pytest.approx(values.mean() - reach, abs=0.002)
    assert found.high[0] == pytest.approx(values.mean() + reach, abs=0.002)


def test_a_smaller_effective_number_widens_and_bounds_hold():
    values = np.random.default_rng(1).random(20)
    draws = (resample(20, 5_000) @ values / 20)[:, None]
    mean, left_out = np.array([values.mean()]), left_out_means(values)
    wide, narrow = (jackknife_interval(mean, draws, left_out, n) for n in (4.0, 20.0))
    assert wide.low[0] < narrow.low[0] < mean[0] < narrow.high[0] < wide.high[0]
    clipped = jackknife_interval(mean, draws, left_out, 4.0, bounds=(0.4, 0.6))
    assert (clipped.low[0] >= 0.4, clipped.high[0] <= 0.6) == (True, True)


def test_what_does_not_vary_has_no_width_and_one_cluster_no_interval():
    same = np.full((5, 1), 0.3)
    found = jackknife_interval(np.array([0.3]), np.full((100, 1), 0.3), same, 5)
    assert (found.low[0], found.high[0]) == (0.3, 0.3)
    for value, effective in ((0.3, 1.0), (np.nan, 5.0)):
        assert np.isnan(jackknife_interval(np.array([value]), np.full((100, 1), 0.3), same, effective).low[0])


def test_few_clusters_have_students_interval():
    values = np.array([0.2, 0.4, 0.6])
    found = jackknife_interval(np.array([0.4]), np.full((10, 1), 0.4), left_out_means(values), 3.0)
    # Standard deviation 0.2, t of 2 degrees of freedom 4.303.
    assert found.high[0] - 0.4 == pytest.approx(4.303 * 0.2 / np.sqrt(3), abs=1e-3)


def test_it_holds_the_truth_where_few_clusters_hold_most_rows():
    rng, held, trials = np.random.default_rng(2), 0, 400
    for trial in range(trials):
        sizes, means = rng.lognormal(0, 0.9, 12), rng.normal(0.5, 0.1, 12)
        weights = resample(12, 400, trial)
        draws = ((weights @ (sizes * means)) / (weights @ sizes))[:, None]
        left = ((sizes @ means - sizes * means) / (sizes.sum() - sizes))[:, None]
        value = np.array([sizes @ means / sizes.sum()])
        found = jackknife_interval(value, draws, left, sizes.sum() ** 2 / (sizes**2).sum())
        held += bool(found.low[0] <= 0.5 <= found.high[0])
    assert 0.92 <= held / trials <= 0.985
