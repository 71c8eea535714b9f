"""Regressions in batches against scikit-learn, one at a time."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from cryostat.cases.methods.logistic import fit_regressions, with_prior

DRAW = np.random.default_rng(0)
X = torch.from_numpy(DRAW.normal(size=(2, 90, 6))).float()
Y = torch.from_numpy(DRAW.integers(0, 3, (2, 90)))
CERTAIN = torch.nn.functional.one_hot(Y, 3).bool()
STRENGTHS = torch.tensor([[0.5, 5.0, 50.0]] * 2)
UNIFORM = torch.full((2, 3, 3), 1 / 3).log()


def by_sklearn(x: torch.Tensor, y: torch.Tensor, strength: float, weight: torch.Tensor) -> np.ndarray:
    model = LogisticRegression(C=1 / strength, tol=1e-10, max_iter=10_000)
    return model.fit(x.double().numpy(), y.numpy(), weight.numpy()).predict_proba(x.double().numpy())


def test_every_split_strength_and_weighting_is_sklearns() -> None:
    weight = torch.from_numpy(DRAW.uniform(0, 2, (2, 90, 3)))
    found = fit_regressions(X, CERTAIN, weight, STRENGTHS, UNIFORM).log_probabilities(X).exp()
    for split in range(2):
        for job in range(3):
            expected = by_sklearn(X[split], Y[split], float(STRENGTHS[split, job]), weight[split, :, job])
            np.testing.assert_allclose(found[split, :, job], expected, atol=1e-4)


def test_wide_embeddings_of_few_patients_are_sklearns_too() -> None:
    x = torch.from_numpy(DRAW.normal(size=(1, 20, 60))).float()
    ones = torch.ones(1, 20, 1)
    found = fit_regressions(x, CERTAIN[:1, :20], ones, torch.ones(1, 1), UNIFORM[:1, :1]).log_probabilities(x).exp()
    np.testing.assert_allclose(found[0, :, 0], by_sklearn(x[0], Y[0, :20], 1.0, ones[0, :, 0]), atol=1e-4)


def test_partial_labels_are_where_expectation_maximisation_ends() -> None:
    allowed = CERTAIN.clone()
    allowed[0, :30, 0] = allowed[0, :30, 1] = True
    partial = allowed[:1] & allowed[:1].any(-1, keepdim=True)
    found = fit_regressions(X[:1], partial, torch.ones(1, 90, 1), torch.full((1, 1), 5.0), UNIFORM[:1, :1])
    p = found.log_probabilities(X[:1])[0, :, 0].exp().numpy()
    mask = partial[0].numpy()
    # One more round from where it ended must lead back: expected labels as weights, then scikit-learn.
    expected = p * mask / (p * mask).sum(1, keepdims=True)
    expected = np.where(mask.all(1, keepdims=True), 0, expected)
    rows = np.repeat(np.arange(90), 3)
    model = LogisticRegression(C=1 / 5, tol=1e-10, max_iter=10_000)
    x = X[0].double().numpy()
    model.fit(x[rows], np.tile(np.arange(3), 90), expected.ravel() + 1e-15)
    np.testing.assert_allclose(p, model.predict_proba(x), atol=1e-4)


def test_patients_of_whom_nothing_is_known_change_nothing() -> None:
    allowed = CERTAIN.clone()
    allowed[:, 80:85], allowed[:, 85:] = True, False
    short = torch.ones(2, 90, 3)
    short[:, 80:] = 0
    ones = torch.ones(2, 90, 3)
    a = fit_regressions(X, allowed, ones, STRENGTHS, UNIFORM).log_probabilities(X)
    b = fit_regressions(X, CERTAIN, short, STRENGTHS, UNIFORM).log_probabilities(X)
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_a_class_of_nobody_keeps_its_prior_and_the_others_share_the_rest() -> None:
    weight = (Y != 2).float()[..., None].repeat(1, 1, 3)
    prior = torch.tensor([0.5, 0.4, 0.1]).log().expand(2, 3, 3)
    p = fit_regressions(X, CERTAIN, weight, STRENGTHS, prior).log_probabilities(X).exp()
    torch.testing.assert_close(p[..., 2], torch.full_like(p[..., 2], 0.1))
    # Of two classes scikit-learn penalises one vector w, we two of w/2 and −w/2: half as much.
    two = by_sklearn(X[0][Y[0] != 2], Y[0][Y[0] != 2], 0.5 / 2, torch.ones(int((Y[0] != 2).sum())))
    np.testing.assert_allclose(p[0, Y[0] != 2, 0, :2], 0.9 * two, atol=1e-4)


def test_with_fewer_than_two_classes_it_is_the_prior() -> None:
    prior = torch.tensor([0.5, 0.3, 0.2]).log()
    for occurring in ([True, False, False], [False, False, False]):
        said = with_prior(torch.randn(4, 3), torch.tensor(occurring), prior)
        torch.testing.assert_close(said, prior.expand(4, 3))
