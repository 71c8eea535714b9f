from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import regionprops_table

from cryostat.cells.scoring import nuclei
from cryostat.cells.scoring.nuclei import (
    index_nuclei,
    pool,
    sums_on_device,
    truncated_mean_class,
)
from cryostat.core.errors import InputError
from cryostat.results.scores import score


def softmax_maps(shape: tuple[int, ...], seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.softmax(torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 2, -3).to(dtype)


def test_means_that_can_be_checked_by_hand():
    instances = torch.tensor([[0, 7, 7], [3, 3, 7]])
    maps = torch.tensor([[[9.0, 1, 2], [5, 7, 3]], [[9.0, 0, 0], [1, 0, 3]]])
    pooled = pool(maps, instances)
    assert pooled.ids.tolist() == [3, 7]
    assert pooled.counts.tolist() == [2, 3]
    assert pooled.means.tolist() == [[6.0, 0.5], [2.0, 1.0]]
    assert pooled.means.dtype == torch.float64
    assert pooled.tiles.tolist() == [0, 0]


def test_nuclei_of_one_id_in_two_tiles_are_two():
    instances = torch.tensor([[[1, 1]], [[0, 0]], [[1, 4]]])
    maps = torch.tensor([[[[2.0, 4]]], [[[9.0, 9]]], [[[1.0, 8]]]])
    pooled = pool(maps, instances)
    assert pooled.tiles.tolist() == [0, 2, 2]
    assert pooled.ids.tolist() == [1, 1, 4]
    assert pooled.means[:, 0].tolist() == [3.0, 1.0, 8.0]


@pytest.mark.parametrize(
    "instances", [torch.zeros(2, 4, 5, dtype=torch.int32), torch.zeros(2, 0, 5, dtype=torch.int32)]
)
def test_without_nuclei_there_are_no_rows(instances):
    pooled = pool(torch.rand(2, 3, *instances.shape[1:]), instances)
    assert pooled.means.shape == (0, 3)
    assert len(pooled.ids) == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.uint32, np.int64, np.uint64])
def test_any_width_of_integers_will_do(dtype):
    pooled = pool(torch.ones(1, 2, 2), np.array([[0, 5], [9, 9]], dtype))
    assert pooled.ids.tolist() == [5, 9]
    assert pooled.counts.tolist() == [1, 2]


@pytest.mark.parametrize("huge", [2**31 - 1, 60_000])
def test_ids_may_be_huge_and_have_gaps(huge):
    instances = torch.tensor([[[0, huge], [2, huge]], [[huge, 0], [0, 1]]])
    maps = torch.tensor([[[[0.0, 1], [2, 3]]], [[[4.0, 5], [6, 7]]]])
    pooled = pool(maps, instances)
    assert pooled.ids.tolist() == [2, huge, 1, huge]
    assert pooled.tiles.tolist() == [0, 0, 1, 1]
    assert pooled.means[:, 0].tolist() == [2.0, 2.0, 7.0, 4.0]


maps_and_ids = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda s: st.tuples(
        hnp.arrays(np.float32, s, elements=st.floats(0, 1, width=32)),
        hnp.arrays(np.int32, (s[0], *s[2:]), elements=st.sampled_from([0, 0, 1, 2, 3, 70_000])),
    )
)


@given(maps_and_ids)
@settings(deadline=None, max_examples=60)
def test_every_way_of_summing_equals_the_mean_of_the_masked_pixels(case):
    maps, instances = case
    found = [(t, i) for t, ids in enumerate(instances) for i in np.unique(ids) if i]
    means = np.array([maps[t][:, instances[t] == i].mean(1, dtype=float) for t, i in found]).reshape(-1, maps.shape[1])
    index = index_nuclei(torch.from_numpy(instances))
    assert list(zip(index.tiles.tolist(), index.ids.tolist(), strict=True)) == found
    planes = torch.from_numpy(maps)
    pixels = planes.contiguous(memory_format=torch.channels_last)
    for sums in (index.sums(planes), index.sums(pixels), sums_on_device(index, planes)):
        assert np.allclose(sums.double() / index.counts[:, None], means, atol=1e-6)


def test_regionprops_gives_the_same():
    instances = np.kron(np.arange(12).reshape(3, 4), np.ones((5, 5), np.int32))
    maps = softmax_maps((4, 15, 20))
    table = regionprops_table(
        instances, intensity_image=maps.permute(1, 2, 0).numpy(), properties=("label", "intensity_mean")
    )
    pooled = pool(maps, instances)
    assert pooled.ids.tolist() == table["label"].tolist()
    assert np.allclose(pooled.means, np.stack([table[f"intensity_mean-{c}"] for c in range(4)], 1), atol=1e-6)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_and_layout_do_not_change_the_result(monkeypatch, threads):
    instances = torch.from_numpy(np.kron(np.arange(1, 65).reshape(8, 8), np.ones((9, 9), np.int32)))
    maps = softmax_maps((1, 5, 72, 72))
    monkeypatch.setattr(nuclei, "WORTH_THREADS", 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    planes = pool(maps, instances[None]).means
    expected = maps.view(5, 8, 9, 8, 9).double().mean((2, 4)).reshape(5, 64).T
    assert torch.allclose(planes, expected, atol=1e-7)
    for other in (
        maps.contiguous(memory_format=torch.channels_last),
        maps.transpose(2, 3).contiguous().transpose(2, 3),
    ):
        assert torch.allclose(pool(other, instances[None]).means, planes, atol=1e-7)


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_nucleus_of_a_million_pixels_is_still_exact(channels_last):
    maps = torch.full((1, 2, 1000, 1000), 0.1)
    maps = maps.contiguous(memory_format=torch.channels_last) if channels_last else maps
    means = pool(maps, torch.ones(1, 1000, 1000, dtype=torch.int32)).means
    assert means[0].tolist() == pytest.approx([0.1, 0.1], abs=1e-8)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_precision_of_maps_will_do(dtype):
    maps = torch.tensor([[[0.25, 0.75]]], dtype=dtype)
    assert pool(maps, torch.tensor([[1, 1]])).means.tolist() == [[0.5]]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("channels", [1, 4])
def test_a_window_of_larger_maps_will_do(layout, channels):
    maps = torch.rand(2, channels, 9, 9).contiguous(memory_format=layout)
    instances = torch.from_numpy(np.kron(np.array([[1, 2], [0, 3]]), np.ones((3, 3), np.int32)))[None].repeat(2, 1, 1)
    window = maps[:, :, 2:8, 1:7]
    expected = torch.stack([window[t, :, y : y + 3, x : x + 3].mean((1, 2)) for t in (0, 1) for y, x in CORNERS])
    assert torch.allclose(pool(window, instances).means, expected.double(), atol=1e-6)


CORNERS = ((0, 0), (0, 3), (3, 3))


def test_gradients_are_left_alone():
    maps = torch.ones(1, 2, 2, requires_grad=True)
    assert not pool(maps, torch.ones(2, 2, dtype=torch.int32)).means.requires_grad


@pytest.mark.parametrize(
    ("maps", "instances", "message"),
    [
        (torch.ones(3, 4, 4), torch.ones(4, 5, dtype=torch.int32), "do not fit instance maps"),
        (torch.ones(4, 4), torch.ones(4, 4, dtype=torch.int32), "do not fit instance maps"),
        (torch.ones(3, 4, 4, dtype=torch.int32), torch.ones(4, 4, dtype=torch.int32), "do not fit instance maps"),
        (torch.ones(3, 4, 4), torch.ones(4, 4), "is none"),
        (torch.ones(3, 4, 4), torch.ones(1, 1, 4, 4, dtype=torch.int32), "is none"),
        (torch.ones(3, 4, 4), -torch.ones(4, 4, dtype=torch.int32), "negative ids"),
        (torch.full((3, 4, 4), torch.nan), torch.ones(4, 4, dtype=torch.int32), "NaN or infinite"),
    ],
)
def test_what_does_not_fit_is_refused(maps, instances, message):
    with pytest.raises(InputError, match=message):
        pool(maps, instances)


def test_nan_outside_nuclei_does_not_matter():
    maps = torch.tensor([[[torch.nan, 2.0]]])
    assert pool(maps, torch.tensor([[0, 1]])).means.tolist() == [[2.0]]


def test_the_published_truth_truncates_the_mean_class():
    instances = np.array([[1, 1, 1, 4, 4, 9]], np.uint16)
    semantic = np.array([[2, 2, 2, 1, 4, 0]], np.uint8)
    ids, classes = truncated_mean_class(semantic, instances)
    assert ids.tolist() == [1, 4, 9]
    assert classes.tolist() == [2, 2, 0]  # the mean of 1 and 4 is 2.5


def test_votes_count_pixels_by_label():
    index = index_nuclei(torch.tensor([[1, 1, 1, 5]]))
    assert index.votes(torch.tensor([[2, 0, 2, 1]]), 3).tolist() == [[1, 0, 2], [0, 1, 0]]


@pytest.mark.parametrize("name", ["clean", "mixed"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_published_evaluator_is_met_cell_by_cell(shared, name, layout):
    cells = np.load(shared / "parity" / f"cell_scores_{name}.npz")
    index = index_nuclei(torch.from_numpy(cells["instance"]))
    assert index.tiles.tolist() == cells["cell_tile"].tolist()
    assert index.ids.tolist() == cells["cell_id"].tolist()
    true = index.truncated_means(torch.from_numpy(cells["semantic"])).numpy()
    assert true.tolist() == cells["cell_true"].tolist()
    predicted = index.means(torch.from_numpy(cells["probs"]).contiguous(memory_format=layout)).argmax(1).numpy()
    assert predicted.tolist() == cells["cell_pred"].tolist()
    expected = json.loads((shared / "parity" / f"cell_scores_{name}.json").read_text())
    scores = score(pd.DataFrame({"y_true": true, "y_pred": predicted}), range(1, 7), class_set="floating")
    assert scores.macro_f1 == pytest.approx(expected["macro"]["f1_score_macro"], abs=1e-9)
    for c in scores.counted:
        assert c.f1 == pytest.approx(expected["per_class"][f"class{c.id}/f1_score"], abs=1e-9)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gives_what_the_cpu_gives():
    rng = np.random.default_rng(0)
    instances = torch.from_numpy(rng.integers(0, 40, (3, 64, 64), np.int32))
    maps = softmax_maps((3, 15, 64, 64))
    here, there = pool(maps, instances), pool(maps.cuda(), instances.cuda())
    assert there.means.is_cuda
    assert there.ids.cpu().tolist() == here.ids.tolist()
    assert torch.allclose(there.means.cpu(), here.means, atol=1e-6)
