"""Live batches: one pass of the encoder for all, and nobody notices who else is there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tile_fakes import Colours, Tiles, stream
from torch import nn

from cryostat.cells.augmentation import NONE, STANDARD
from cryostat.cells.training.tiles.batch import Batch, Wants
from cryostat.cells.training.tiles.live import LiveFeed, feels_train_mode
from cryostat.cells.training.tiles.streams import Stream

ALL = Wants(("final",), images=True, instances=True, ring_um=1.0)


def feed(*streams: Stream, encoder: Colours | None = None, tiles: Tiles | None = None, **more: object) -> LiveFeed:
    settings = {"augmentations": STANDARD, "device": torch.device("cpu")} | more
    return LiveFeed(encoder or Colours(), tiles or Tiles(), list(streams), ALL, **settings)


def parts(batch: Batch) -> list[torch.Tensor]:
    assert batch.images is not None
    assert batch.instances is not None
    assert batch.rings is not None
    return [batch.labels, batch.images, batch.instances, batch.rings, batch.maps["final"]]


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(parts(one), parts(other), strict=True))


def test_a_learner_sees_the_same_whoever_learns_beside_it() -> None:
    mine = stream(seed=1)
    beside = [stream(seed=2), stream(seed=3, batch=5), stream(seed=1, tiles=[0, 3])]
    alone, together = feed(mine), feed(mine, *beside)
    for step in range(6):
        for other in beside:
            together.batch(other, step, ALL)
        assert same(alone.batch(mine, step, ALL), together.batch(mine, step, ALL))
    alone.close()
    together.close()


def test_eight_seeds_cost_the_passes_of_one() -> None:
    passes = []
    for seeds in (1, 8):
        encoder = Colours()
        streams = [stream(seed=seed) for seed in range(seeds)]
        live = feed(*streams, encoder=encoder)
        for step in range(8):
            for one in streams:
                live.batch(one, step, ALL)
        live.close()
        assert live.encoded == encoder.images
        passes.append(encoder.images)
    drawn = [len(set(stream().pool(window).tolist())) for window in range(4)]
    assert passes == [sum(drawn), sum(drawn)]


def test_a_smaller_fraction_shares_the_passes_of_its_tiles() -> None:
    whole, part = stream(seed=0, batch=12), stream(seed=0, batch=2, tiles=[1, 2])
    live = feed(whole, part)
    batches = live.batch(whole, 0, ALL), live.batch(part, 0, ALL)
    assert set(whole.pool(0)) == set(range(6))
    assert live.encoded == 6
    ids = [parts(batch)[2].amax((1, 2)).tolist() for batch in batches]
    row, column = next((r, c) for r, a in enumerate(ids[0]) for c, b in enumerate(ids[1]) if a == b and a)
    assert torch.equal(parts(batches[0])[1][row], parts(batches[1])[1][column])
    live.close()


def test_a_tile_looks_alike_within_a_window_and_otherwise_in_the_next() -> None:
    one = stream(tiles=[4], batch=1, window=3)
    live = feed(one)
    seen = [parts(live.batch(one, step, ALL))[1] for step in range(6)]
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[3], seen[5])
    assert not torch.equal(seen[2], seen[3])
    assert live.encoded == 2
    live.close()


def test_images_labels_nuclei_and_features_move_together() -> None:
    one, encoder = stream(batch=5), Colours()
    live = feed(one, augmentations=replace(STANDARD, scale=(1.0, 1.2)), encoder=encoder)
    for step in range(6):
        labels, images, instances, rings, maps = parts(live.batch(one, step, ALL))
        assert torch.equal(instances > 0, labels > 0)
        assert torch.equal(labels[labels > 0], (1 + instances % 2)[labels > 0])
        assert not (rings > 0)[labels > 0].any()
        # Interpolation only blurs the rim of the dark nuclei.
        inside = images.mean(1)[labels > 0]
        assert (inside < 0.5).float().mean() > 0.75
        torch.testing.assert_close(maps, encoder.encode(images)["final"].half(), atol=1e-3, rtol=0)
    live.close()


def test_nuclei_of_large_ids_stay_apart() -> None:
    small, large, one = Tiles(), Tiles(), stream(batch=5)
    large.ids = np.where(small.ids > 0, small.ids + 2**30, 0).astype(np.int32)
    seen = []
    for tiles in (small, large):
        live = feed(one, tiles=tiles)
        _, _, instances, rings, _ = parts(live.batch(one, 0, ALL))
        seen.append((instances, rings))
        live.close()
    for a, b in zip(*seen, strict=True):
        assert torch.equal(a > 0, b > 0)
    # Each tile has one nucleus, whose ring bears its id.
    (_, _), (instances, rings) = seen
    assert instances.amax((1, 2)).tolist() == rings.amax((1, 2)).tolist()
    assert len(set(instances.amax((1, 2)).tolist())) == len(set(one.batch_of(0).tolist()))


def test_without_augmentation_tiles_are_as_they_are() -> None:
    one, tiles = stream(batch=4), Tiles()
    live = feed(one, augmentations=NONE, tiles=tiles)
    images = parts(live.batch(one, 1, ALL))[1]
    np.testing.assert_array_equal(images.permute(0, 2, 3, 1).numpy(), tiles.load(one.batch_of(1).tolist()))
    live.close()


def test_tiles_of_a_learner_that_is_done_are_no_longer_drawn() -> None:
    mine, other = stream(tiles=[0, 1], batch=2), stream(tiles=[2, 3, 4, 5], batch=4)
    live = feed(mine, other)
    live.batch(mine, 0, ALL)
    with_both = live.encoded
    assert with_both == len({*mine.pool(0), *other.pool(0)})
    live.retire(other)
    live.batch(mine, 4, ALL)
    assert live.encoded - with_both == len(set(mine.pool(2)))
    live.close()


def test_of_two_seeds_one_may_retire() -> None:
    first, second = stream(seed=0), stream(seed=1)
    live, alone = feed(first, second), feed(second)
    live.batch(first, 0, ALL)
    live.retire(first)
    for step in range(5):
        assert same(live.batch(second, step, ALL), alone.batch(second, step, ALL))
    live.close()
    alone.close()


def test_an_error_while_reading_ahead_reaches_the_learner() -> None:
    class Broken(Tiles):
        def load(self, tiles: object) -> object:
            raise OSError("no such disk")

    one = stream()
    live = feed(one, tiles=Broken())
    with pytest.raises(OSError, match="no such disk"):
        live.batch(one, 0, ALL)
    live.close()


def restless() -> Colours:
    return Colours(nn.BatchNorm2d(3), nn.Dropout(0.5))


@pytest.mark.parametrize("train_mode", [False, True])
def test_train_mode_is_a_switch_that_leaves_the_encoder_as_it_was(train_mode: bool) -> None:
    encoder, again = restless(), restless()
    before, one = encoder.weights_hash(), stream()
    live, repeated = (feed(one, encoder=e, train_mode=train_mode) for e in (encoder, again))
    batches = [(live.batch(one, step, ALL), repeated.batch(one, step, ALL)) for step in range(4)]
    assert all(same(a, b) for a, b in batches)
    assert encoder.modes == {train_mode}
    assert not encoder.module.training
    assert encoder.weights_hash() == before
    dropped = [float((parts(a)[4] == 0).float().mean()) for a, _ in batches]
    assert (min(dropped) > 0.2) == train_mode
    live.close()
    repeated.close()


def test_what_feels_train_mode() -> None:
    assert feels_train_mode(nn.Sequential(nn.BatchNorm2d(3)))
    assert feels_train_mode(nn.Sequential(nn.Dropout(0.1)))
    assert not feels_train_mode(nn.Sequential(nn.LayerNorm(3), nn.Dropout(0.0), nn.Linear(3, 3)))
