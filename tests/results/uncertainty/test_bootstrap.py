from __future__ import annotations

import numpy as np
import pytest

from cryostat.core.errors import InputError, SettingError
from cryostat.results.uncertainty import METHODS, bootstrap, interval, resample
from cryostat.results.uncertainty.intervals import tails


def accuracy(sums):
    return sums[..., 0] / sums[..., 1]


def test_a_resample_draws_as_many_clusters_as_there_are():
    weights = resample(7, 500, seed=3)
    assert weights.shape == (500, 7)
    assert (weights.sum(1) == 7).all()
    assert weights.mean() == 1
    assert (weights == resample(7, 500, seed=3)).all()
    assert (weights != resample(7, 500, seed=4)).any()


def test_the_interval_of_a_share_is_the_binomial_one():
    # 80 of 100 right, one row a cluster: standard error sqrt(.8 * .2 / 100) = .04.
    statistics = np.stack([np.arange(100) < 80, np.ones(100)], 1).astype(float)
    for method in METHODS:
        found = bootstrap(statistics, accuracy, method=method).at()
        assert found.value == 0.8
        assert found.low == pytest.approx(0.8 - 1.96 * 0.04, abs=0.012)
        assert found.high == pytest.approx(0.8 + 1.96 * 0.04, abs=0.012)


def test_clusters_that_hang_together_widen_the_interval():
    # 100 rows in 10 clusters that are wholly right or wholly wrong: ten observations, not a hundred.
    right = np.repeat([1, 1, 1, 1, 1, 1, 1, 1, 0, 0], 10).astype(float)
    alone = bootstrap(np.stack([right, np.ones(100)], 1), accuracy).at()
    together = bootstrap(np.stack([right.reshape(10, 10).sum(1), np.full(10, 10.0)], 1), accuracy).at()
    assert together.value == alone.value == 0.8
    assert together.high - together.low > 2.5 * (alone.high - alone.low)


def test_several_scores_at_once():
    statistics = np.random.default_rng(0).random((30, 4))
    both = bootstrap(statistics, lambda sums: np.stack([sums[..., 0] / sums[..., 1], sums[..., 2]], -1))
    assert both.value.shape == both.low.shape == (2,)
    assert (both.low < both.value).all()
    assert (both.value < both.high).all()
    assert both.at(1).value == pytest.approx(statistics[:, 2].sum())


def test_few_clusters_reach_further():
    assert tails(10_000)[0] == pytest.approx(0.025, abs=1e-4)
    assert tails(10)[0] < 0.012
    assert tails(1) == (0.0, 1.0)
    one = bootstrap(np.ones((1, 2)), accuracy).at()
    assert one.value == 1
    assert np.isnan([one.low, one.high]).all()


def test_draws_that_are_undefined_are_passed_over():
    draws = np.array([[0.1, np.nan], [np.nan, np.nan], [0.3, np.nan], [0.2, np.nan]])
    found = interval(np.array([0.2, np.nan]), draws, 1000)
    assert found.at(0).low == pytest.approx(0.105, abs=0.001)
    assert np.isnan(found.at(1).low)


def test_centred_intervals_stand_about_the_value():
    found = interval(np.array(0.4), np.linspace(0, 1, 1001), 10**6, method="centred").at()
    assert (found.low, found.high) == (pytest.approx(0.4 - 0.475, abs=1e-3), pytest.approx(0.4 + 0.475, abs=1e-3))


def test_what_cannot_be_is_our_error():
    with pytest.raises(InputError, match="shape"):
        bootstrap(np.ones((0, 2)), accuracy)
    with pytest.raises(SettingError, match="no interval 'wald'"):
        bootstrap(np.ones((3, 2)), accuracy, method="wald")
    with pytest.raises(SettingError, match="between 0 and 1"):
        bootstrap(np.ones((3, 2)), accuracy, level=95)
    with pytest.raises(SettingError, match="jackknife"):
        interval(np.array(1.0), np.ones(3), 3, method="bca")
