from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from slide_examples import small_card, small_slide

from cryostat.core.errors import EncoderError, InputError
from cryostat.encoders.slide.base import SlideEncoder
from cryostat.encoders.slide.registry import load_slide_encoder


@pytest.fixture
def encoder(tmp_path: Path) -> SlideEncoder:
    return load_slide_encoder(small_card(tmp_path), "random", "cpu")


@pytest.mark.parametrize(
    ("tiles", "problem"),
    [
        (np.zeros((0, 6), np.float32), "the slide has no tiles"),
        (np.zeros((9, 5), np.float32), "5 channels, small-slide@random0 takes 6 of stain-filters.*pool them with mean"),
        (np.zeros((1, 9, 6), np.float32), r"shape \(1, 9, 6\).*without a batch dimension"),
        (np.zeros((9, 6), np.int64), "type int64 are no floats"),
        (np.zeros((9, 6), complex), "type complex128 are no floats"),
        (np.array(["a"] * 9), "no floats"),
        ([[1.0, 2.0], [3.0]], "no floats"),
        (torch.zeros(9, 6, dtype=torch.int32), "no table of features"),
        ([[0.0] * 6] * 8 + [[np.nan] * 6], r"1 of 9 tiles are not finite \(tile 8 first\).*fp32 or bf16"),
        (np.full((9, 6), np.inf, np.float16), "9 of 9 tiles are not finite"),
    ],
)
def test_features_that_are_refused(encoder: SlideEncoder, tiles: object, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        encoder.encode(tiles, small_slide(9)[1])


def test_coordinates_are_needed_and_checked(encoder: SlideEncoder) -> None:
    tiles, corners = small_slide(25)
    with pytest.raises(InputError, match=r"must know where the tiles lie.*0.5 µm/px"):
        encoder.encode(tiles)
    with pytest.raises(InputError, match="same coordinates"):
        encoder.encode(tiles, np.zeros((25, 2)))
    with pytest.raises(InputError, match="25 tiles and 24 coordinates"):
        load_slide_encoder("mean").encode(tiles, corners[:24])
    with pytest.raises(InputError, match="40×"):
        encoder.encode(tiles, corners * 2)


def test_empty_features_have_no_width() -> None:
    with pytest.raises(InputError, match="0 channels, mean takes at least 1"):
        load_slide_encoder("mean").encode(np.zeros((3, 0), np.float32))


def test_features_that_overflow_are_not_embedded(encoder: SlideEncoder) -> None:
    tiles, corners = small_slide(9)
    with pytest.raises(EncoderError, match="not finite"):
        encoder.encode(tiles.astype(np.float64) * 1e300, corners)


def test_kinds_of_input_give_the_same(encoder: SlideEncoder) -> None:
    tiles, corners = small_slide(9)
    exact = tiles.astype(np.float16)
    wanted = encoder.encode(exact, corners).vector
    others = (exact.astype(np.float32), exact.astype(np.float64), exact.astype(">f4"), torch.from_numpy(exact))
    for other in others:
        assert np.array_equal(encoder.encode(other, torch.from_numpy(corners).int()).vector, wanted)


def test_input_stays_as_it_was(encoder: SlideEncoder) -> None:
    tiles, corners = small_slide(9)
    copies = tiles.copy(), corners.copy()
    tiles.flags.writeable = False
    encoder.encode(tiles, corners)
    assert np.array_equal(tiles, copies[0])
    assert np.array_equal(corners, copies[1])


def test_tensors_that_learn_are_taken_without_gradients(encoder: SlideEncoder) -> None:
    tiles, corners = small_slide(9)
    assert encoder.encode(torch.from_numpy(tiles).requires_grad_(), corners).vector.shape == (64,)
