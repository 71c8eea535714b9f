"""Batches from a bank of views: pixels, labels, nuclei and features of a tile are all seen in one view."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tile_fakes import Colours, Encoded, Tiles, stream

from cryostat.cells.augmentation import views
from cryostat.cells.training.tiles.batch import Wants
from cryostat.cells.training.tiles.cached import CachedFeed

CPU = torch.device("cpu")
ALL = Wants(("final",), images=True, instances=True, ring_um=1.0)


def feed(count: int) -> CachedFeed:
    tiles, seen = Tiles(), views(count)
    return CachedFeed(tiles, [{"final": Encoded(tiles, view)} for view in seen], seen, CPU)


def test_all_that_is_said_of_a_tile_is_said_in_one_view() -> None:
    bank = feed(8)
    for step in range(6):
        batch = bank.batch(stream(batch=5), step, ALL)
        assert batch.images is not None
        assert batch.instances is not None
        assert batch.rings is not None
        # Only nuclei are dark, whatever the stain.
        torch.testing.assert_close(batch.images.mean(1) < 0.15, batch.labels > 0)
        assert torch.equal(batch.instances > 0, batch.labels > 0)
        assert torch.equal(batch.labels[batch.labels > 0], (1 + batch.instances % 2)[batch.labels > 0])
        assert not (batch.rings > 0)[batch.labels > 0].any()
        assert torch.equal(batch.rings.amax((1, 2)), batch.instances.amax((1, 2)))
        encoded = Colours().encode(batch.images)["final"].half()
        torch.testing.assert_close(batch.maps["final"], encoded, atol=1e-3, rtol=0)


def test_the_tiles_of_a_step_are_those_of_its_stream_whatever_the_views() -> None:
    drawn = stream(batch=5)
    for step in range(4):
        batch = feed(4).batch(drawn, step, ALL)
        assert batch.instances is not None
        ids = sorted(batch.instances.amax((1, 2)).tolist())
        assert ids == sorted(100 + drawn.batch_of(step))


def test_one_view_is_the_tiles_as_they_are() -> None:
    drawn, tiles = stream(batch=4), Tiles()
    batch = feed(1).batch(drawn, 3, ALL)
    numbers = drawn.batch_of(3).tolist()
    assert batch.images is not None
    np.testing.assert_array_equal(batch.images.permute(0, 2, 3, 1).numpy(), tiles.load(numbers))
    np.testing.assert_array_equal(batch.labels.numpy(), tiles.labels(numbers))


def test_nothing_is_given_that_was_not_asked_for() -> None:
    batch = feed(2).batch(stream(), 0, Wants())
    assert (batch.maps, batch.images, batch.instances, batch.rings) == ({}, None, None, None)


class Number:
    """Features of a view: its number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def read(self, tiles: Any) -> NDArray[np.float16]:
        return np.full((len(tiles), 4, 4, 1), self.number, np.float16)


def test_views_are_drawn_evenly_and_by_the_seed() -> None:
    bank = CachedFeed(Tiles(), [{"final": Number(n)} for n in range(4)], views(4), CPU)
    wants = Wants(("final",))

    def drawn(seed: int) -> NDArray[np.int64]:
        batches = [bank.batch(stream(seed=seed, batch=40), step, wants).maps["final"] for step in range(25)]
        return np.bincount(torch.cat(batches)[:, 0, 0, 0].long().numpy(), minlength=4)

    counts = drawn(0)
    assert counts.sum() == 1000
    # Four standard deviations of a binomial: 4 √(1000 · ¼ · ¾) = 55.
    assert abs(counts - 250).max() < 55
    assert drawn(0).tolist() == counts.tolist() != drawn(1).tolist()
