from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.decomposition import PCA

from cryostat.cases.evaluation.preparation.columns import Columns, finite, quantiles
from cryostat.cases.evaluation.preparation.components import Components


@pytest.mark.parametrize(("n", "d"), [(50, 8), (8, 50), (20, 20)])
def test_equal_to_scikit_learn_up_to_sign_and_scale(n: int, d: int) -> None:
    x = np.random.default_rng(0).normal(size=(n, d)) @ np.diag(np.linspace(1, 5, d)) + 3
    pca = PCA(4, svd_solver="full").fit(x)
    found = Components.learnt(x, 4)
    theirs = pca.transform(x) / np.sqrt(pca.transform(x).var(0).mean())
    np.testing.assert_allclose(np.abs(found.transformed(x)), np.abs(theirs), atol=1e-4)
    assert found.explained == pytest.approx(pca.explained_variance_ratio_.sum())


def test_sparse_is_as_dense() -> None:
    x = np.random.default_rng(1).poisson(0.3, (30, 60)).astype(float)
    dense, thin = Components.learnt(x, 5), Components.learnt(sparse.csr_matrix(x), 5)
    np.testing.assert_allclose(dense.transformed(x), thin.transformed(sparse.csr_matrix(x)), atol=1e-5)


def test_directions_without_variance_are_left_out() -> None:
    x = np.outer(np.arange(6.0), [1, 2, 3, 4])
    found = Components.learnt(x, 3)
    assert found.axes.shape == (4, 1)
    assert found.transformed(x)[:, 0] == pytest.approx((np.arange(6) - 2.5) / np.arange(6).std(), abs=1e-6)
    assert not found.transformed(x)[:, 1:].any()


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_quantiles_of_columns_with_gaps_are_numpys(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(9, 4))
    x[1:][rng.random((8, 4)) < 0.4] = np.nan
    count = (~np.isnan(x)).sum(0)
    np.testing.assert_allclose(quantiles(x, count, (share,))[0], np.nanquantile(x, share, axis=0))


def test_an_outlier_is_drawn_in_and_an_infinite_number_is_the_median() -> None:
    values = np.array([[1], [2], [3], [4], [1e30], [np.inf]], np.float32)
    columns = Columns.learnt(values, clip=2, least_known=0.5)
    assert columns.median == pytest.approx([3])
    # Quartiles 2 and 4: two robust deviations are 2 · 2 / 1.349.
    assert columns.high == pytest.approx([3 + 4 / 1.349])
    assert columns.standardised(values)[5] == pytest.approx((3 - columns.mean) / columns.spread)
    assert np.isnan(finite(values)[5, 0])
