from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from slide_examples import small_slide

from cryostat.core.errors import InputError
from cryostat.encoders.slide.coordinates import (
    TileCoordinates,
    checked_coordinates,
    grid_cells,
    row_major,
    tile_spacing,
)


def lattice(step: float, side: int = 5, origin: float = 0) -> NDArray[np.float64]:
    return np.stack(np.divmod(np.arange(side * side), side)[::-1], 1) * step + origin


def cells(xy: NDArray[np.float64], step: float = 256) -> list[list[int]]:
    found: list[list[int]] = grid_cells(TileCoordinates(xy, step), 256, 1000).tolist()
    return found


def test_corners_become_cells_x_before_y() -> None:
    assert cells(np.array([[0, 256], [255, 511], [255_999.9, 512]])) == [[0, 1], [0, 1], [999, 2]]


@pytest.mark.parametrize("side", [256, 253, 506, 512, 997])
@pytest.mark.parametrize("origin", [0, 100])
def test_level0_px_give_neighbours_neighbouring_cells(side: int, origin: int) -> None:
    level0 = lattice(side, 30, origin)
    found = grid_cells(TileCoordinates.from_level0(level0, side), 256, 1000)
    assert found.tolist() == lattice(1, 30).tolist()


def test_microns_give_neighbours_neighbouring_cells() -> None:
    found = grid_cells(TileCoordinates.from_microns(lattice(128)), 256, 1000)
    assert found.tolist() == lattice(1).tolist()


@pytest.mark.parametrize(
    ("xy", "problem"),
    [
        (lattice(512), r"512 px apart, not 256.*0.25 µm/px \(40×\).*from_level0\(coords, side\)"),
        (lattice(506), r"506 px apart.*0.25 µm/px \(40×\)"),
        (lattice(1024), r"1024 px apart.*0.12 µm/px"),
        (lattice(128), "128 px apart.*look like µm.*from_microns"),
        (lattice(1), "columns and rows of the grid.*Multiply them by 256"),
        (lattice(0.01), "look scaled down"),
        (lattice(256) - 512, r"negative \(down to x = -512, y = -512\).*upper left corner"),
        (lattice(256, origin=255_000), r"leave the encoder's grid, which ends at 256,000 px \(128 mm\).*from_level0"),
    ],
)
def test_coordinates_of_another_scale_are_told(xy: NDArray[np.float64], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        cells(xy)


@pytest.mark.parametrize("step", [128, 512, 64, 300])
def test_a_stated_step_is_believed(step: float) -> None:
    assert len(cells(lattice(step), step=step)) == 25


def test_a_stated_step_is_checked() -> None:
    with pytest.raises(InputError, match="256 px apart, not 128"):
        cells(lattice(256), step=128)


@given(share=st.floats(0.02, 1), seed=st.integers(0, 10_000))
def test_samples_of_a_slides_tiles_are_never_accused(share: float, seed: int) -> None:
    kept = np.random.default_rng(seed).random(900) < share
    cells(lattice(256, 30, origin=77)[kept])


@given(seed=st.integers(0, 1000), share=st.floats(0.6, 1))
def test_level0_px_of_tissue_with_holes_are_found(seed: int, share: float) -> None:
    kept = np.random.default_rng(seed).random(900) < share
    assert tile_spacing(lattice(512, 30)[kept]) == 512


def test_few_tiles_are_not_judged() -> None:
    assert tile_spacing(lattice(512, 2)) is None
    assert tile_spacing(np.random.default_rng(0).random((500, 2)) * 9000) is None


def test_pieces_of_tissue_with_origins_of_their_own() -> None:
    both = np.concatenate([lattice(256, 6), lattice(256, 6, 5000) + np.array([37, 0])])
    assert tile_spacing(both) == 256


def test_order_is_by_row_then_column() -> None:
    xy = np.array([[256, 256], [0, 256], [512, 0], [0, 0]])
    assert row_major(xy).tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize(
    ("coords", "problem"),
    [
        (np.zeros((2, 3)), r"shape \(2, 3\)"),
        (np.zeros(2), r"shape \(2,\)"),
        (np.array([["a", "b"]]), "no table of x and y"),
        (np.zeros((2, 2), bool), "type bool"),
        (np.zeros((2, 2), complex), "type complex128"),
        (np.zeros((2, 2), np.float16), "half precision"),
        (torch.zeros(2, 2, dtype=torch.bfloat16), "half precision"),
        ([[0, 0], [0, np.nan]], r"of 1 tiles are not finite \(tile 1 first\)"),
        ([[0, 0], [np.inf, 0]], "not finite"),
        ([[256, 0], [256, 0]], "tiles 0 and 1 have the same coordinates"),
        ([[0, 0]], "2 tiles and 1 coordinates"),
        ([[0, 0], [1, 2], [3, 4]], "2 tiles and 3 coordinates"),
        ([[0, 0], [1]], "no table of x and y"),
        ("corner", "no table of x and y"),
    ],
)
def test_tables_that_are_no_coordinates(coords: object, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        checked_coordinates(coords, 2)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_impossible_sides_and_steps(value: float) -> None:
    with pytest.raises(InputError):
        TileCoordinates.from_level0(lattice(256), value)
    with pytest.raises(InputError):
        TileCoordinates(lattice(256), value)


@pytest.mark.parametrize("kind", [np.int32, np.uint16, np.int64, np.float32])
def test_any_numbers_will_do(kind: type) -> None:
    _, corners = small_slide(9)
    assert checked_coordinates(corners.astype(kind), 9).xy.tolist() == corners.tolist()
    assert checked_coordinates(torch.from_numpy(corners.astype(kind)), 9).xy.tolist() == corners.tolist()
    assert checked_coordinates(corners.astype(kind).tolist(), 9).xy.tolist() == corners.tolist()
