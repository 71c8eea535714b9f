from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryostat.core.errors import SettingError
from cryostat.results.cases.contribution import contributions, patient_contributions, shapley_weights

CLASSES, MODALITIES = ("2", "3", "4"), ("mri", "wsi")


def test_shapley_values_by_hand():
    # Nothing .2, mri .5, wsi .6, both .8: mri adds .3 first and .2 last, wsi .4 and .3.
    assert shapley_weights(2) @ [0.2, 0.5, 0.6, 0.8] == pytest.approx([0.25, 0.35])


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_shapley_values_add_up_and_ignore_what_adds_nothing(modalities, seed):
    values = np.random.default_rng(seed).random(2**modalities)
    dummy = np.concatenate([values, values])  # one more modality, which changes nothing
    weights = shapley_weights(modalities)
    assert (weights @ values).sum() == pytest.approx(values[-1] - values[0])
    assert shapley_weights(modalities + 1) @ dummy == pytest.approx([*(weights @ values), 0])


def test_contributions_of_a_cohort(cohort):
    found = contributions(cohort(n=300), CLASSES, MODALITIES, draws=300)
    assert found.population == "mri+wsi"
    assert found.nothing == pytest.approx(1 / 3)
    assert sum(m.value for m in found.modalities) == pytest.approx(found.everything - found.nothing)
    mri, wsi = found.modalities
    assert (mri.first + mri.last) / 2 == pytest.approx(mri.value)
    assert 0 < mri.low < mri.value < mri.high
    assert wsi.value > mri.value  # twice the separation


def test_what_lowers_the_loss_contributes_positively(cohort):
    found = contributions(cohort(n=300), CLASSES, MODALITIES, metric="log_loss", draws=50)
    assert all(m.value > 0 for m in found.modalities)
    assert sum(m.value for m in found.modalities) == pytest.approx(found.nothing - found.everything)


def test_contributions_of_patients(cohort):
    table = cohort(n=80)
    found = patient_contributions(table, CLASSES, MODALITIES)
    total = found[["nothing", "mri", "wsi"]].sum(axis=1)
    assert total.to_numpy() == pytest.approx(found["everything"].to_numpy())
    seen = table[table.offered == "mri+wsi"].drop_duplicates("patient_id").set_index("patient_id")["seen"]
    lacking = found.set_index("patient_id").loc[seen.index[seen == "mri"], "wsi"]
    assert len(lacking) > 10
    assert lacking.abs().max() < 1  # noise of replicates alone: what is not there tells nothing
    quiet = patient_contributions(cohort(n=80, noise=0.0), CLASSES, MODALITIES).set_index("patient_id")
    assert quiet.loc[lacking.index, "wsi"].abs().max() < 1e-6


def test_a_lattice_with_holes_is_our_error(cohort):
    table = cohort(n=30)
    with pytest.raises(SettingError, match="'nothing' offered"):
        contributions(table[table.offered != "nothing"], CLASSES, MODALITIES)
    with pytest.raises(SettingError, match="'sharpness' is no metric"):
        contributions(table, CLASSES, MODALITIES, metric="sharpness")
    named = table.drop(columns=[f"p_{c}" for c in CLASSES])
    with pytest.raises(SettingError, match="'auroc' needs probabilities"):
        contributions(named, CLASSES, MODALITIES, metric="auroc")
    with pytest.raises(SettingError, match="no probabilities"):
        patient_contributions(named, CLASSES, MODALITIES)
