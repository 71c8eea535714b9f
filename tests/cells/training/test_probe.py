"""The probe finds what is there, leaves unclassified nuclei out, and repeats itself to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from cryostat.cells.field import CellClass
from cryostat.cells.heads.settings import CellProbeSettings
from cryostat.cells.training.common import Outputs
from cryostat.cells.training.probe import FittedProbe, fit_probe
from cryostat.core.errors import InputError

OUTPUTS = Outputs.of((CellClass(2, "a"), CellClass(5, "b"), CellClass(6, "c")), background=False)
CPU = torch.device("cpu")


def cloud(n: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(0, 1.2, (3, 8))
    kinds = rng.integers(0, 3, n)
    return (centres[kinds] + rng.normal(0, 1, (n, 8))).astype(np.float32) * 50 + 7, OUTPUTS.ids[kinds]


def fitted(seed: int = 0, settings: CellProbeSettings | None = None) -> tuple[FittedProbe, NDArray[np.float32]]:
    x, y = cloud(1500, 1)
    valid, valid_y = cloud(400, 2)
    test, _ = cloud(800, 3)

    def evaluate(p: NDArray[np.float32]) -> float:
        return float(f1_score(valid_y, OUTPUTS.ids[p.argmax(1)], average="macro"))

    probe = fit_probe(x, y, valid, evaluate, OUTPUTS, settings or CellProbeSettings(), seed=seed, device=CPU)
    return probe, probe.probabilities(test, CPU)


def test_linear_probe_is_as_good_as_logistic_regression() -> None:
    x, y = cloud(1500, 1)
    test, test_y = cloud(800, 3)
    theirs = f1_score(test_y, LogisticRegression(max_iter=2000).fit(x, y).predict(test), average="macro")
    _, p = fitted()
    ours = f1_score(test_y, OUTPUTS.ids[p.argmax(1)], average="macro")
    assert ours == pytest.approx(theirs, abs=0.02)


@pytest.mark.parametrize("hidden", [0, 16])
def test_same_seed_same_bits(hidden: int) -> None:
    settings = CellProbeSettings(hidden=hidden, dropout=0.1, steps=60)
    first, second, other = fitted(3, settings)[1], fitted(3, settings)[1], fitted(4, settings)[1]
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_probabilities_add_up_and_the_optimiser_held_only_the_probe() -> None:
    probe, p = fitted(settings=CellProbeSettings(steps=60))
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-5)
    assert probe.log.optimised == ["classify.1.weight", "classify.1.bias"]


def test_nuclei_without_a_class_are_left_out() -> None:
    x, y = cloud(300, 1)
    with pytest.raises(InputError, match="no training nucleus has a class"):
        fit_probe(x, np.zeros_like(y), x, lambda p: 0.0, OUTPUTS, CellProbeSettings(), seed=0, device=CPU)
