"""Pooled tokens against a loop over pixels, and against what is pooled from a store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from cryostat.cells.dataset import CellDataset
from cryostat.cells.field import CellClass, DatasetFacts, field_from_table
from cryostat.cells.pooling import pool_features
from cryostat.cells.protocols import load_protocol
from cryostat.cells.tiling import CellTiles
from cryostat.cells.training.nucleus_tokens import pool_tokens
from cryostat.cells.writer import DatasetWriter
from cryostat.core.errors import InputError

FACTS = DatasetFacts("toy", "Toy", (CellClass(1, "round"), CellClass(2, "long")), 0.25, "CC0", "none")


def dataset_of(folder: Path, instances: NDArray[Any]) -> CellDataset:
    image = np.random.default_rng(0).integers(0, 255, (*instances.shape, 3), dtype=np.uint8)
    classes = {int(i): 1 + int(i) % 2 for i in np.unique(instances) if i > 0}
    with DatasetWriter(folder, FACTS) as writer:
        writer.add(field_from_table("a", image, instances, classes, mpp=0.25, source="toy"))
    return CellDataset(folder)


def by_loop(tokens: Tensor, instances: Tensor) -> dict[tuple[int, int], Tensor]:
    found: dict[tuple[int, int], list[Tensor]] = {}
    for tile, y, x in instances.nonzero().tolist():
        token = tokens[tile, y * tokens.shape[1] // instances.shape[1], x * tokens.shape[2] // instances.shape[2]]
        found.setdefault((tile, int(instances[tile, y, x])), []).append(token)
    return {key: torch.stack(values).mean(0) for key, values in sorted(found.items())}


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 3), st.sampled_from([(12, 3), (12, 4), (10, 4), (7, 7), (5, 1)]))
def test_a_nucleus_is_the_mean_over_its_pixels(seed: int, count: int, sizes: tuple[int, int]) -> None:
    chance = torch.Generator().manual_seed(seed)
    side, grid = sizes
    tokens = torch.randn(count, grid, grid, 2, generator=chance, dtype=torch.float64)
    instances = torch.randint(0, 4, (count, side, side), generator=chance, dtype=torch.int32) * 1000
    expected = by_loop(tokens, instances)
    found = pool_tokens(tokens, instances)
    assert list(zip(found.tiles.tolist(), found.ids.tolist(), strict=True)) == list(expected)
    torch.testing.assert_close(found.means, torch.stack(list(expected.values())))


def test_shares_of_tokens_by_hand() -> None:
    """A nucleus of three pixels, two in the first token and one in the second."""
    tokens = torch.tensor([[[[6.0], [9.0]], [[0.0], [0.0]]]], requires_grad=True)
    instances = torch.zeros(1, 4, 4, dtype=torch.int32)
    instances[0, 1, 0:3] = 5
    found = pool_tokens(tokens, instances)
    assert (found.tiles.tolist(), found.ids.tolist()) == ([0], [5])
    assert found.means.tolist() == [[pytest.approx(7.0)]]
    found.means.sum().backward()
    torch.testing.assert_close(tokens.grad.flatten(), torch.tensor([2 / 3, 1 / 3, 0, 0]))


def test_rings_are_appended_and_replaced_by_the_nucleus_where_there_is_none() -> None:
    tokens = torch.arange(4.0, requires_grad=True).reshape(1, 2, 2, 1)
    instances, rings = torch.zeros(2, 1, 4, 4, dtype=torch.int32).unbind()
    instances[0, 0, 0], instances[0, 3, 3] = 2, 7
    rings[0, 0, 3], rings[0, 2, 0] = 2, 4
    found = pool_tokens(tokens, instances, rings)
    # Nucleus 2 lies in token 0 and its ring in token 1; nucleus 7 has no ring; nucleus 4 has nothing but one.
    assert found.ids.tolist() == [2, 7]
    assert found.means.tolist() == [[0, 1], [3, 3]]
    assert found.means.requires_grad


@pytest.mark.parametrize("ring_um", [0.0, 0.75])
def test_equal_to_what_is_pooled_from_a_store(tmp_path: Path, ring_um: float) -> None:
    instances = np.zeros((48, 60), np.int32)
    instances[3:12, 5:9], instances[3:12, 9:33], instances[38:47, 30:44], instances[20:24, 0:3] = 4, 7, 9, 300
    tiles = CellTiles(dataset_of(tmp_path / "d", instances), load_protocol("paper"), 32)
    every = list(range(len(tiles.index())))
    maps = np.random.default_rng(1).normal(size=(len(every), 4, 4, 3)).astype(np.float32)

    def read(numbers: Sequence[int]) -> NDArray[np.float32]:
        return maps[list(numbers)]

    stored = next(iter(pool_features(tiles, read, ["a"], patch=8, ring_um=ring_um)))
    rings = torch.from_numpy(tiles.rings(every, ring_um)) if ring_um else None
    found = pool_tokens(torch.from_numpy(maps), torch.from_numpy(tiles.instances(every)), rings)
    assert found.tiles.tolist() == stored.rows["tile"].tolist()
    assert found.ids.tolist() == stored.rows["cell_id"].tolist()
    assert len(found.ids) > 4
    np.testing.assert_allclose(found.means.numpy(), stored.features, rtol=1e-5, atol=1e-6)


def test_gradients_are_those_of_the_loop() -> None:
    chance = torch.Generator().manual_seed(0)
    tokens = torch.randn(2, 2, 2, 2, generator=chance, dtype=torch.float64, requires_grad=True)
    instances = torch.randint(0, 3, (2, 6, 6), generator=chance)
    rings = torch.randint(0, 3, (2, 6, 6), generator=chance)
    assert torch.autograd.gradcheck(lambda t: pool_tokens(t, instances, rings).means, tokens)


def test_half_precision_is_summed_in_single() -> None:
    tokens = torch.full((1, 2, 2, 1), 0.1, dtype=torch.bfloat16)
    found = pool_tokens(tokens, torch.ones(1, 200, 200, dtype=torch.int32))
    assert found.means.dtype == torch.float32
    assert found.means.item() == pytest.approx(float(tokens[0, 0, 0, 0]), rel=1e-6)


def test_tiles_without_nuclei() -> None:
    nothing = torch.zeros(2, 8, 8, dtype=torch.int32)
    found = pool_tokens(torch.rand(2, 2, 2, 3), nothing, nothing)
    assert found.means.shape == (0, 6)
    assert found.ids.shape == found.tiles.shape == (0,)
    assert pool_tokens(torch.rand(0, 2, 2, 3), nothing[:0]).means.shape == (0, 3)


@pytest.mark.parametrize(
    ("tokens", "instances", "problem"),
    [
        (torch.rand(2, 2, 2, 3), torch.zeros(1, 8, 8, dtype=torch.int32), "do not fit"),
        (torch.rand(1, 2, 2, 3), torch.zeros(1, 8, 8), "do not fit"),
        (torch.rand(1, 2, 2), torch.zeros(1, 8, 8, dtype=torch.int32), "do not fit"),
        (torch.rand(1, 2, 2, 3), torch.full((1, 8, 8), -1), "negative ids"),
    ],
)
def test_what_does_not_fit_is_refused(tokens: Tensor, instances: Tensor, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        pool_tokens(tokens, instances)
