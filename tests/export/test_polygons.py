from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cryostat.cells.datasets.geojson import Outline, signed_area
from cryostat.cells.datasets.rasterising import rasterise
from cryostat.export.polygons import mask_polygons, nucleus_polygons


def drawn(instances: np.ndarray) -> np.ndarray:
    """The map that the polygons of an instance map rasterise to, ids as numbered."""
    ids = np.unique(instances[instances > 0]).astype(np.int64)
    outlines = []
    for cell, geometry in nucleus_polygons(instances, ids):
        coordinates = geometry["coordinates"]
        polygons = [coordinates] if geometry["type"] == "Polygon" else coordinates
        parts = tuple(tuple(np.array(ring) for ring in polygon) for polygon in polygons)
        outlines.append(Outline(cell, "detection", "", parts))
    assert [outline.number for outline in outlines] == ids.tolist()
    return rasterise(outlines, *instances.shape).instances


@given(
    arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 0, 1, 2, 70_000]))
)
def test_any_map_comes_back_pixel_for_pixel(instances: np.ndarray) -> None:
    np.testing.assert_array_equal(drawn(instances), instances)


def test_one_pixel_is_a_diamond_round_its_centre() -> None:
    ((_, geometry),) = nucleus_polygons(np.array([[0, 0], [0, 7]]), np.array([7]))
    (ring,) = geometry["coordinates"]
    assert sorted(map(tuple, ring[1:])) == [(1.0, 1.5), (1.5, 1.0), (1.5, 2.0), (2.0, 1.5)]
    assert ring[0] == ring[-1]


def test_rings_are_closed_without_needless_vertices_and_turn_as_geojson_asks() -> None:
    mask = np.ones((7, 7), bool)
    mask[3, 3] = False
    ((outer, hole),) = mask_polygons(mask)
    assert len(outer) == 9
    assert signed_area(outer) == 7 * 7 - 4 * 0.125
    assert signed_area(hole) == -0.5


def test_pieces_that_touch_at_a_corner_are_polygons_of_their_own() -> None:
    ((cell, geometry),) = nucleus_polygons(np.array([[5, 0], [0, 5]]), np.array([5]))
    assert cell == 5
    assert geometry["type"] == "MultiPolygon"
    assert len(geometry["coordinates"]) == 2


def test_ids_without_a_pixel_are_passed_over() -> None:
    assert [cell for cell, _ in nucleus_polygons(np.array([[0, 3]]), np.array([1, 3]))] == [3]
