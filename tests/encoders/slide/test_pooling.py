from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from slide_examples import small_slide

from cryostat.core.errors import SettingError
from cryostat.encoders.slide.pooling import RULES, PoolingEncoder, geometric_median
from cryostat.encoders.slide.registry import load_slide_encoder, slide_card

TILES = np.array([[0, 4], [2, 0], [4, 2]], np.float32)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("mean", [2, 2]),
        ("max", [4, 4]),
        ("mean-std", [2, 2, (8 / 3) ** 0.5, (8 / 3) ** 0.5]),
    ],
)
def test_rules_by_hand(rule: str, expected: list[float]) -> None:
    vector = load_slide_encoder(rule).encode(TILES).vector
    assert vector.tolist() == pytest.approx(expected)
    assert vector.dtype == np.float32
    assert len(vector) == slide_card(rule).output_width(2)


def median(*tiles: list[float]) -> list[float]:
    found: list[float] = geometric_median(torch.tensor(tiles)).tolist()
    return found


def test_geometric_medians_known_in_closed_form() -> None:
    # The Fermat point of an equilateral triangle is its centre; of a square with its centre, that centre.
    assert median([0, 0], [2, 0], [1, 3**0.5]) == pytest.approx([1, 3**-0.5], abs=1e-5)
    assert median([0, 0], [2, 0], [0, 2], [2, 2], [1, 1]) == pytest.approx([1, 1])
    # A corner of 120° or more is the point itself.
    assert median([0, 0], [10, 0.5], [-10, 0.5]) == pytest.approx([0, 0], abs=1e-2)
    # In one dimension, the middle value.
    assert median([0.0], [1.0], [50.0]) == pytest.approx([1], abs=1e-2)


def test_geometric_medians_where_the_iterate_is_a_tile() -> None:
    # The mean is the tile (0, 0), which is not the median of these.
    tiles = [[0.0, 0], [4, 0], [-1, 1], [-1, -1], [-1, 0.5], [-1, -0.5]]
    assert torch.tensor(tiles).mean(0).tolist() == [0, 0]
    assert median(*tiles)[0] < -0.3
    assert median([3, 4]) == [3, 4]
    assert median([3, 4], [3, 4], [3, 4]) == [3, 4]
    assert median([0, 0], [2, 2]) == [1, 1]


@given(seed=st.integers(0, 500), tiles=st.integers(3, 60))
@settings(max_examples=30, deadline=None)
def test_no_nearby_point_has_a_shorter_sum_of_distances(seed: int, tiles: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    points = torch.randn(tiles, 3, generator=draw, dtype=torch.float64)
    found = geometric_median(points)
    near = found + 0.05 * torch.randn(50, 3, generator=draw, dtype=torch.float64)
    assert torch.cdist(found[None], points).sum() <= torch.cdist(near, points).sum(1).min() + 1e-4


def test_a_minority_of_artefacts_leaves_the_median_where_it_is() -> None:
    tiles, _ = small_slide(100)
    spoilt = tiles.copy()
    spoilt[:10] = 1e4
    encoder = load_slide_encoder("geometric-median")
    assert np.abs(encoder.encode(tiles).vector - encoder.encode(spoilt).vector).max() < 0.5
    assert np.abs(load_slide_encoder("mean").encode(spoilt).vector).min() > 900


@pytest.mark.parametrize("rule", list(RULES))
def test_blocks_and_order_do_not_matter(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tiles, corners = small_slide(50)
    encoder = load_slide_encoder(rule)
    whole = encoder.encode(tiles, corners).vector
    shuffled = np.random.default_rng(1).permutation(50)
    assert np.array_equal(encoder.encode(tiles[shuffled], corners[shuffled]).vector, whole)
    monkeypatch.setattr("cryostat.encoders.slide.pooling.ROWS", 7)
    np.testing.assert_allclose(encoder.encode(tiles).vector, whole, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("rule", list(RULES))
def test_half_precision_features_and_one_tile(rule: str) -> None:
    vector = load_slide_encoder(rule).encode(np.array([[1, -2]], np.float16)).vector
    assert vector[:2].tolist() == [1, -2]
    assert vector[2:].tolist() == [0] * (len(vector) - 2)


def test_identity_tells_rules_apart() -> None:
    found = [load_slide_encoder(rule) for rule in RULES]
    assert len({str(encoder.identity()) for encoder in found}) == len(RULES)
    assert len({encoder.weights_hash() for encoder in found}) == 1


def test_unknown_rules_are_refused() -> None:
    with pytest.raises(SettingError, match="no pooling 'sum'"):
        PoolingEncoder(slide_card("mean"), "sum")
