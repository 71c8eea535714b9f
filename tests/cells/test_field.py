from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cryostat.cells.field import (
    CellClass,
    Field,
    cell_geometry,
    check_cells,
    check_classes,
    check_image,
    check_labels,
    field_from_semantic,
    field_from_table,
    nucleus_ids,
    nucleus_index,
)
from cryostat.core.errors import InputError

# Nuclei 4 (three pixels, an L) and 9 (two pixels).
INSTANCES = np.array([[4, 0, 0, 9], [4, 4, 0, 9]], np.int32)
IMAGE = np.zeros((2, 4, 3), np.uint8)
BIG = 2**31 - 1


def table(classes: dict[int, int], **changes: Any) -> Field:
    return field_from_table("f", IMAGE, changes.get("instances", INSTANCES), classes, mpp=0.5, source="f.mat")


def semantic(classes: Any, instances: Any = INSTANCES) -> Field:
    return field_from_semantic("f", IMAGE, instances, np.asarray(classes), mpp=0.5, source="f.npy")


def test_a_table_gives_each_nucleus_its_class() -> None:
    field = table({9: 2, 4: 1})
    assert field.cell_ids.tolist() == [4, 9]
    assert field.class_ids.tolist() == [1, 2]
    assert field.purity.tolist() == [1.0, 1.0]
    assert field.semantic is None


def test_a_nucleus_that_the_table_lacks_has_no_class() -> None:
    assert table({4: 1}).class_ids.tolist() == [1, 0]


def test_a_table_of_other_nuclei_is_refused() -> None:
    with pytest.raises(InputError, match=r"2 nuclei that are not in the instance map \(first: 5\)"):
        table({4: 1, 7: 1, 5: 2})


def test_pixels_vote_for_the_class() -> None:
    field = semantic([[1, 0, 0, 3], [1, 2, 0, 2]])
    assert field.class_ids.tolist() == [1, 2]  # 4: two of three pixels are 1; 9: a tie, the lower id
    assert field.purity.tolist() == pytest.approx([2 / 3, 1 / 2])
    assert field.semantic is not None


def test_a_pixel_map_that_says_no_more_than_the_nuclei_is_not_kept() -> None:
    assert semantic([[1, 0, 0, 2], [1, 1, 0, 2]]).semantic is None


def test_a_pixel_map_that_labels_background_is_kept() -> None:
    field = semantic([[1, 3, 0, 2], [1, 1, 0, 2]])
    assert field.purity.tolist() == [1.0, 1.0]
    assert field.semantic is not None


def test_a_nucleus_whose_pixels_are_background_has_no_class() -> None:
    assert semantic([[0, 0, 0, 2], [1, 0, 0, 2]]).class_ids.tolist() == [0, 2]


def test_a_field_without_nuclei() -> None:
    empty = np.zeros((2, 4), np.uint8)
    for field in (table({}, instances=empty), semantic(empty, empty)):
        assert len(field.cell_ids) == len(field.class_ids) == len(field.purity) == 0
        assert field.semantic is None


def test_swapped_maps_are_found() -> None:
    with pytest.raises(InputError, match="swapped"):
        semantic(np.where(INSTANCES > 0, 5000, 0), np.minimum(INSTANCES, 1))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint32, np.int64, np.uint64])
def test_any_integers_will_do(kind: type) -> None:
    field = semantic(np.minimum(INSTANCES, 1).astype(kind), INSTANCES.astype(kind))
    assert field.class_ids.tolist() == [1, 1]


def test_ids_may_be_huge_without_huge_memory() -> None:
    instances = np.array([[0, BIG, 7, 7]])
    ids = nucleus_ids(instances)
    assert ids.tolist() == [7, BIG]
    assert nucleus_index(instances, ids).tolist() == [[0, 2, 1, 1]]
    assert cell_geometry(instances, ids)["area"].tolist() == [2, 1]


@settings(max_examples=60, deadline=None)
@given(instances=hnp.arrays(np.int32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.integers(0, 9)))
def test_geometry_agrees_with_counting_pixels(instances: np.ndarray) -> None:
    ids = nucleus_ids(instances)
    assert ids.tolist() == sorted(set(instances.ravel().tolist()) - {0})
    geometry = cell_geometry(instances, ids)
    for row, number in enumerate(ids):
        ys, xs = np.nonzero(instances == number)
        assert geometry["area"][row] == len(ys)
        assert geometry["centroid_y"][row] == pytest.approx(ys.mean())
        assert geometry["centroid_x"][row] == pytest.approx(xs.mean())
        box = [geometry[key][row] for key in ("y0", "x0", "y1", "x1")]
        assert box == [ys.min(), xs.min(), ys.max() + 1, xs.max() + 1]


def test_geometry_by_hand() -> None:
    geometry = cell_geometry(INSTANCES, np.array([4, 9]))
    assert geometry["area"].tolist() == [3, 2]
    assert geometry["centroid_y"].tolist() == pytest.approx([2 / 3, 0.5])
    assert geometry["centroid_x"].tolist() == pytest.approx([1 / 3, 3.0])
    assert [geometry[key].tolist() for key in ("y0", "x0", "y1", "x1")] == [[0, 0], [0, 3], [2, 2], [2, 4]]


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (np.zeros((4, 4), np.uint8), r"shape \(4, 4\)"),
        (np.zeros((3, 4, 4), np.uint8), r"shape \(3, 4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), "float32"),
        (np.zeros((4, 4, 3), np.int16), "int16"),
        (np.zeros((0, 4, 3), np.uint8), "0×4 px"),
        (np.broadcast_to(np.uint8(0), (70_000, 4, 3)), "whole slides"),
    ],
)
def test_what_is_no_image(image: np.ndarray, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        check_image(image, "a.png")


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (np.zeros((2, 4, 1), int), r"shape \(2, 4, 1\)"),
        (np.zeros((2, 4)), "float64, not integers"),
        (np.zeros((2, 4), bool), "bool, not integers"),
        (np.zeros((4, 2), int), "4×2 but the image is 2×4"),
        (np.full((2, 4), -1), "ids outside"),
        (np.full((2, 4), 2**31), "ids outside"),
    ],
)
def test_what_is_no_label_map(labels: np.ndarray, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        check_labels(labels, (2, 4), "a.png", "instance map")


def test_classes_must_be_named() -> None:
    classes = [CellClass(1, "round"), CellClass(2, "long")]
    check_classes(table({4: 1, 9: 2}), classes)
    check_classes(table({4: 1}), classes)
    with pytest.raises(InputError, match=r"f\.mat: class id 3 is not one of \[1, 2\]"):
        check_classes(table({4: 1, 9: 3}), classes)
    with pytest.raises(InputError, match="class id 7"):
        check_classes(semantic([[1, 7, 0, 2], [1, 1, 0, 2]]), classes)


@pytest.mark.parametrize(
    "change",
    [
        lambda f: replace(f, cell_ids=f.cell_ids[::-1]),
        lambda f: replace(f, cell_ids=f.cell_ids[:1]),
        lambda f: replace(f, cell_ids=np.array([4, 8])),
        lambda f: replace(f, class_ids=f.class_ids[:1]),
        lambda f: replace(f, purity=f.purity[:1]),
    ],
)
def test_a_list_of_nuclei_must_be_that_of_the_map(change: Callable[[Field], Field]) -> None:
    check_cells(table({4: 1, 9: 2}))
    with pytest.raises(InputError, match="nuclei"):
        check_cells(change(table({4: 1, 9: 2})))
