from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from cryostat.core.errors import InputError
from cryostat.results.uncertainty import exchanges, paired_difference


def accuracy(sums):
    return sums[..., 0] / sums[..., 1]


def hits(right):
    return np.stack([right, np.ones(len(right))], 1).astype(float)


def test_all_exchanges_of_few_clusters_are_made_once():
    assert sorted(map(tuple, exchanges(2, 10).tolist())) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert exchanges(40, 10).shape == (10, 40)


def test_the_exchange_test_of_single_rows_is_the_exact_sign_test():
    # Nine discordant patients, eight in favour of the first: the exact McNemar test.
    first = np.array([1] * 8 + [0] + [1] * 3)
    second = np.array([0] * 8 + [1] + [1] * 3)
    found = paired_difference(hits(first), hits(second), accuracy, draws=5000)
    assert found.difference.at().value == pytest.approx(7 / 12)
    assert found.p_value == pytest.approx(binomtest(8, 9).pvalue)


def test_equal_models_do_not_differ():
    table = hits(np.arange(50) % 3 > 0)
    found = paired_difference(table, table, accuracy, draws=500)
    assert (found.difference.at().low, found.difference.at().high) == (0, 0)
    assert found.p_value == 1


def test_pairing_sees_what_is_hidden_apart():
    right = np.random.default_rng(0).random(200) < 0.7
    worse = right.copy()
    worse[np.flatnonzero(right)[:12]] = False
    found = paired_difference(hits(right), hits(worse), accuracy, draws=4000)
    assert found.difference.at().low > 0
    assert found.difference.at().high < 0.12
    assert found.p_value < 0.01


def test_the_test_holds_its_level():
    rng = np.random.default_rng(1)
    p = []
    for _ in range(300):
        easy = rng.random(60)
        p.append(
            paired_difference(hits(rng.random(60) < easy), hits(rng.random(60) < easy), accuracy, draws=399).p_value
        )
    assert 0.01 < np.mean(np.array(p) <= 0.05) < 0.08


def test_other_clusters_are_our_error():
    with pytest.raises(InputError, match="same rows"):
        paired_difference(np.ones((3, 2)), np.ones((4, 2)), accuracy)
