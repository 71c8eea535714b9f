"""Maps become instances, or an error that says what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cryostat.core.errors import InputError
from cryostat.results.segmentation import read_instances, score_panoptic


def stacked(ids: Any, classes: Any, dtype: Any = np.int32) -> np.ndarray:
    return np.stack([np.array(ids), np.array(classes)], axis=-1).astype(dtype)


def test_instances_have_ids_areas_and_centres() -> None:
    found = read_instances(stacked([[7, 7, 0], [0, 0, 3]], [[1, 1, 0], [0, 0, 2]]))
    assert found.ids.tolist() == [3, 7]
    assert found.areas.tolist() == [1, 2]
    assert found.classes.tolist() == [2, 1]
    assert found.centres.tolist() == [[1.0, 2.0], [0.0, 0.5]]
    assert found.index.tolist() == [[2, 2, 0], [0, 0, 1]]
    assert found.semantic.tolist() == [[1, 1, 0], [0, 0, 2]]


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [([1, 2, 2], 2), ([1, 2, 0], 1), ([0, 0, 3], 3), ([0, 0, 0], 0), ([3, 3, 1], 3)],
)
def test_the_class_is_that_of_most_pixels(pixels: list[int], expected: int) -> None:
    assert read_instances(stacked([[1, 1, 1]], [pixels])).classes.tolist() == [expected]


def test_an_instance_without_a_class_counts_as_binary_only() -> None:
    bare = stacked([[1, 1]], [[0, 0]])
    scores = score_panoptic([bare], [bare], [1])
    assert scores.bpq == 1
    assert scores.mpq_plus is None


def test_a_class_outside_instances_is_not_heard() -> None:
    assert len(read_instances(stacked([[0, 0]], [[1, 1]]))) == 0


def test_a_margin_cuts_all_borders() -> None:
    found = read_instances(stacked(np.arange(1, 10).reshape(3, 3), np.ones((3, 3))), margin=1)
    assert found.ids.tolist() == [5]


@pytest.mark.parametrize("id_", [255, 2**40, 2**63 - 1])
def test_ids_of_any_size(id_: int) -> None:
    found = read_instances(stacked([[0, id_]], [[0, 1]], np.uint64))
    assert found.ids.tolist() == [id_]
    assert found.index.tolist() == [[0, 1]]


GOOD = stacked([[1, 0]], [[1, 0]])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (GOOD[..., 0], "not \\(H, W, 2\\)"),
        (GOOD[:, :0], "not \\(H, W, 2\\)"),
        (GOOD.tolist(), "a list"),
        (None, "a NoneType"),
        (GOOD.astype(float), "float64, not integers"),
        (GOOD.astype(bool), "bool, not integers"),
        (GOOD.astype(object), "object, not integers"),
        (-GOOD, "holds the id -1"),
        (stacked([[2**63]], [[1]], np.uint64), "holds the id 9223372036854775808"),
        (stacked([[1]], [[2000]]), "class id 2000, above 1023"),
        (GOOD * 5, "class ids \\[5\\] are not among the listed \\[1\\]"),
        (stacked([[1, 0, 0]], [[1, 0, 0]]), "shapes \\(1, 2\\) and \\(1, 3\\)"),
    ],
)
def test_bad_maps_are_named(labels: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        score_panoptic([GOOD], [labels], [1])
    assert "0" in str(caught.value.where)


@pytest.mark.parametrize("maps", [None, 3, "maps", GOOD, {"a": GOOD}])
def test_bad_sets_are_refused(maps: Any) -> None:
    with pytest.raises(InputError, match="not maps of a set"):
        score_panoptic(maps, [GOOD], [1])


def test_sides_of_different_length_are_refused() -> None:
    with pytest.raises(InputError, match="2 true maps, 1 predicted"):
        score_panoptic([GOOD, GOOD], [GOOD], [1])


@pytest.mark.parametrize("margin", [1, -1])
def test_a_margin_that_leaves_nothing_is_refused(margin: int) -> None:
    with pytest.raises(InputError, match="leaves nothing"):
        read_instances(GOOD, margin=margin)
