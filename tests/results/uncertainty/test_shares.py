from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from cryostat.results.uncertainty import Shares, influences, mean_interval, resample, share_draws, share_intervals


def shares_of(values: np.ndarray, sizes: np.ndarray | None = None, freedom: float | None = None) -> Shares:
    """The mean of clusters' shares, (clusters, m), weighted by their sizes."""
    weights = np.ones(len(values)) if sizes is None else sizes
    total = weights @ values
    left_out = (total - weights[:, None] * values) / (weights.sum() - weights)[:, None]
    effective = np.full(values.shape[1], weights.sum() ** 2 / (weights**2).sum())
    degrees = effective if freedom is None else np.full_like(effective, freedom)
    return Shares(total / weights.sum(), left_out, effective, degrees)


def test_influences_of_a_mean_are_distances_from_it():
    values = np.array([[1.0], [2.0], [6.0]])
    moved = influences((9 - values) / 2)
    # Of 3 clusters: (value − 3) / √(3 · 2), so that the squares sum to the variance of the mean, 7 / 3.
    np.testing.assert_allclose(moved, (values - 3) / np.sqrt(6))
    assert (moved**2).sum() == pytest.approx(np.var(values, ddof=1) / 3)


def test_an_interval_of_log_odds_by_hand():
    shares = shares_of(np.array([[0.6], [0.7], [0.8], [0.9]]), freedom=4)
    found = share_intervals(shares)
    # Mean 0.75, standard error 0.0645; in log-odds 1.0986 ± 2.776 · 0.0645 / 0.1875.
    odds = np.exp(1.0986 + np.array([-1, 1]) * 2.7764 * 0.06455 / 0.1875)
    assert (found.low[0], found.high[0]) == pytest.approx(tuple(odds / (1 + odds)), abs=1e-4)


def test_at_0_and_1_clusters_tell_as_much_as_single_rows():
    found = share_intervals(shares_of(np.array([[0.0, 1.0, 0.25]] * 10)))
    exact = binomtest(0, 10).proportion_ci()
    assert (found.low[0], found.high[0]) == (0, pytest.approx(exact.high))
    assert (found.low[1], found.high[1]) == (pytest.approx(1 - exact.high), 1)
    assert (found.low[2], found.high[2]) == (0.25, 0.25)


def test_what_rests_on_one_cluster_has_no_interval_of_its_own_but_widens_a_mean():
    values = np.random.default_rng(0).normal(0.7, 0.05, (20, 2))
    both = shares_of(values)
    alone = Shares(both.value, both.left_out * [1, 0] + [0, 0.7], np.array([20.0, 1]), np.array([20.0, 1]))
    assert np.isnan(share_intervals(alone).low[1])
    widths = []
    for shares in (both, alone):
        low, high = mean_interval(0.7, share_draws(shares, resample(20, 2000)), np.array([0.5, 0.5]))
        widths.append(high - low)
    assert widths[1] > 0.4 > 10 * widths[0] / 2


def test_what_rests_on_nothing_stays_as_it_is():
    values = shares_of(np.array([[0.4], [0.6], [0.5]]))
    none = Shares(np.zeros(1), np.zeros((3, 1)), np.array([np.nan]), np.array([np.nan]))
    assert np.isnan(share_intervals(none).high[0])
    assert (share_draws(none, resample(3, 50)) == 0).all()
    assert share_draws(values, resample(3, 50)).std() > 0


def test_the_mean_of_one_score_has_the_interval_of_the_score():
    shares = shares_of(np.random.default_rng(1).beta(6, 3, (40, 1)))
    own = share_intervals(shares)
    low, high = mean_interval(shares.value[0], share_draws(shares, resample(40, 40_000)), np.ones(1))
    assert (low, high) == pytest.approx((own.low[0], own.high[0]), abs=0.01)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12), st.integers(0, 5))
def test_ends_lie_about_the_value_and_between_0_and_1(values, seed):
    sizes = np.random.default_rng(seed).lognormal(0, 1, len(values))
    found = share_intervals(shares_of(np.array(values)[:, None], sizes))
    assert 0 <= found.low[0] <= found.value[0] + 1e-9
    assert found.value[0] - 1e-9 <= found.high[0] <= 1


def test_classes_of_few_unequal_clusters_are_held():
    """400 studies of twelve patients of unlike sizes, two classes whose F1 is 0.75 over all patients."""
    rng, drawn = np.random.default_rng(3), resample(12, 400)
    own, mean, plain = 0, 0, 0
    for _ in range(400):
        sizes, values = rng.lognormal(0, 0.7, 12), rng.beta(6, 2, (12, 2))
        shares = shares_of(values, sizes)
        found = share_intervals(shares).at(0)
        low, high = mean_interval(shares.value.mean(), share_draws(shares, drawn), np.array([0.5, 0.5]))
        own, mean = own + (found.low <= 0.75 <= found.high), mean + (low <= 0.75 <= high)
        low, high = np.quantile(drawn @ (sizes * values[:, 0]) / (drawn @ sizes), [0.025, 0.975])
        plain += low <= 0.75 <= high
    assert 0.925 <= own / 400 <= 0.975
    assert 0.92 <= mean / 400 <= 0.975
    # Plain percentiles of the same resamples hold it too seldom.
    assert plain / 400 < 0.91
