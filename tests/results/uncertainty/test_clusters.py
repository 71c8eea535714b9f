from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from cryostat.core.errors import InputError
from cryostat.results.uncertainty import cluster_codes, cluster_confusions, cluster_sums


def test_a_field_stands_in_for_an_unknown_patient():
    codes = cluster_codes(["p2", None, "p1", None, "p2"], ["f1", "f2", "f3", "f2", "f4"])
    assert codes.tolist() == [0, 1, 2, 1, 0]


def test_a_patient_and_a_field_of_one_name_are_two_clusters():
    assert cluster_codes(["a", None], ["f", "a"]).tolist() == [0, 1]


def test_rows_without_any_id_are_our_error():
    with pytest.raises(InputError, match="has 1 rows that belong to no cluster"):
        cluster_codes(["a", None], [None, None])


def test_sums_by_hand():
    codes = np.array([0, 1, 0])
    assert cluster_sums(codes, np.array([[1, 10], [2, 20], [3, 30]])).tolist() == [[4, 40], [2, 20]]
    assert cluster_sums(codes, np.array([1.0, 2.0, 3.0]), 3).tolist() == [[4], [2], [0]]


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([1, 2, 7]), st.sampled_from([1, 2, 7])), min_size=1))
def test_confusions_add_up_to_the_whole(rows):
    codes, true, predicted = map(np.array, zip(*rows, strict=True))
    counts = cluster_confusions(codes, true, predicted, [1, 2, 7], 5)
    assert counts.shape == (5, 9)
    assert (counts.sum(0).reshape(3, 3) == confusion_matrix(true, predicted, labels=[1, 2, 7])).all()
    assert counts.sum(1).tolist() == np.bincount(codes, minlength=5).tolist()


def test_a_class_that_is_not_listed_is_our_error():
    with pytest.raises(InputError, match="true 3, predicted 1"):
        cluster_confusions(np.array([0]), [3], [1], [1, 2])
