from __future__ import annotations

import numpy as np
import pytest

from cryostat.cases.evaluation.preparation import Preparation
from cryostat.cases.evidence import Evidence, Vectors
from cryostat.core.errors import SettingError


def dirty(n: int = 40, d: int = 9, seed: int = 0) -> Evidence:
    """Two modalities of vectors: one whole, one with infinities, unknown numbers, a constant column and gaps."""
    rng = np.random.default_rng(seed)
    whole = rng.normal(size=(n, 50)).astype(np.float32)
    values = rng.normal(size=(n, d)).astype(np.float32)
    values[::5, 0] = np.inf
    values[::7, 1] = np.nan
    values[:, 2], values[:, 3] = 7.0, np.nan
    present = np.arange(n) % 3 != 0
    values[~present] = np.nan
    modalities = {"whole": Vectors(whole, np.ones(n, bool)), "dirty": Vectors(values, present)}
    return Evidence(tuple(f"p{i}" for i in range(n)), modalities)


ALLOWED = np.ones((40, 2), bool)
TRAIN = np.arange(25)


def test_blocks_are_finite_zero_where_missing_and_of_unit_variance_on_average() -> None:
    evidence = dirty()
    prepared = Preparation(components=4).fit(evidence, TRAIN, ALLOWED)
    assert prepared.widths == (4, 4)
    for m, block in enumerate(prepared.blocks):
        rows = TRAIN[prepared.present[TRAIN, m]]
        assert np.isfinite(block).all()
        assert (block[~prepared.present[:, m]] == 0).all()
        assert block[rows].var(0).mean() == pytest.approx(1, abs=1e-5)
        assert block[rows].mean(0) == pytest.approx(0, abs=1e-5)
    assert prepared.facts["dirty"]["left_out"] == 2


@pytest.mark.parametrize("components", [0, 4])
def test_nothing_of_a_test_patient_changes_what_training_patients_become(components: int) -> None:
    evidence, other = dirty(), dirty()
    for modality in other.modalities.values():
        modality.values[25:] = 1e6
    preparation = Preparation(components=components)
    ours, theirs = preparation.fit(evidence, TRAIN, ALLOWED), preparation.fit(other, TRAIN, ~ALLOWED)
    for a, b, zero_a, zero_b in zip(ours.blocks, theirs.blocks, ours.zero, theirs.zero, strict=True):
        assert a[TRAIN].tobytes() == b[TRAIN].tobytes()
        assert zero_a.tobytes() == zero_b.tobytes()


def test_all_columns_without_components_are_standardised_in_their_places() -> None:
    values = np.array([[1.0, 5.0, 10.0], [3.0, 5.0, 30.0], [100.0, 1.0, 0.0]], np.float32)
    evidence = Evidence(("a", "b", "c"), {"m": Vectors(values, np.ones(3, bool))})
    prepared = Preparation(components=0, clip=0).fit(evidence, np.array([0, 1]), np.ones((3, 2), bool))
    # Means 2 and 20, deviations 1 and 10; the second column does not vary in training.
    assert prepared.blocks[0] == pytest.approx(np.array([[-1, 0, -1], [1, 0, 1], [98, 0, -2]], np.float32))
    assert prepared.zero[0] == pytest.approx(np.array([-2, 0, -2], np.float32))


@pytest.mark.parametrize("train", [[], [0], [1]])
@pytest.mark.parametrize("components", [0, 4])
def test_too_few_training_patients_leave_zeros_of_the_usual_width(train: list[int], components: int) -> None:
    prepared = Preparation(components=components).fit(dirty(), np.array(train, int), ALLOWED)
    assert prepared.widths == ((4, 4) if components else (50, 9))
    assert not any(block.any() for block in prepared.blocks)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(SettingError, match="least_known = 2"):
        Preparation(least_known=2)
