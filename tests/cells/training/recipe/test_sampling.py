from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cryostat.cells.training.recipe.sampling import WeightedSampler, pixel_counts, tile_weights
from cryostat.core.errors import SettingError


def test_published_weights(shared: Path) -> None:
    masks = np.load(shared / "parity/paper_recipe.npz")["sampler_masks"]
    known = json.loads((shared / "parity/paper_recipe.json").read_text())["sampling weights"]
    np.testing.assert_allclose(tile_weights(pixel_counts(masks, 7), background=True), known, atol=1e-6, rtol=0)


def test_weights_by_hand_with_an_absent_class() -> None:
    counts = np.array([[6, 2, 0, 0], [4, 2, 4, 0], [10, 0, 0, 0]])
    assert tile_weights(counts).tolist() == [0.5, 1.5, 0.0]
    assert tile_weights(counts, background=True).tolist() == pytest.approx([0.8, 1.7, 0.5])


def test_counting_pixels() -> None:
    assert pixel_counts([np.array([[0, 1], [1, -100]])], 3).tolist() == [[1, 2, 0]]
    assert pixel_counts([], 3).shape == (0, 3)
    with pytest.raises(SettingError, match="holds class 5"):
        pixel_counts([np.array([5])], 3)


def test_draws_follow_the_weights_and_the_seed() -> None:
    sampler = WeightedSampler(np.array([1.0, 0.0, 3.0]), seed=7)
    drawn = np.bincount(sampler.draw(0, 40_000), minlength=3) / 40_000
    np.testing.assert_allclose(drawn, [0.25, 0, 0.75], atol=0.01)
    again = WeightedSampler(np.array([1.0, 0.0, 3.0]), seed=7)
    assert np.array_equal(sampler.draw(5, 64), again.draw(5, 64))
    assert not np.array_equal(sampler.draw(5, 64), sampler.draw(6, 64))


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [1.0, -1.0], [np.nan, 1.0]])
def test_weights_nobody_can_draw_from(weights: list[float]) -> None:
    with pytest.raises(SettingError, match="weights of the tiles"):
        WeightedSampler(np.array(weights), seed=0)
