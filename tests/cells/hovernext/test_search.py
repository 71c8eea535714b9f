"""Thresholds chosen on validation fields."""

from __future__ import annotations

import numpy as np
import pytest
from hover_fields import discs, perfect_maps
from numpy.typing import NDArray

from cryostat.cells.hovernext.search import choose_thresholds, class_stack
from cryostat.cells.hovernext.watershed import WatershedSettings
from cryostat.core.errors import InputError, SettingError

Maps = tuple[NDArray[np.float32], NDArray[np.float32]]
Truth = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
START = WatershedSettings(min_px=5)


def example(seed: int) -> tuple[Maps, Truth]:
    truth = discs(seed, size=96, n=15, radius=(4, 8))
    ids = np.unique(truth)[1:]
    parts, classes = perfect_maps(truth, (truth > 0).astype(np.int64), 2)
    return (parts, classes), (truth, ids, np.ones(len(ids), np.int64))


def test_equally_good_thresholds_give_the_middle() -> None:
    maps, truth = zip(*(example(seed) for seed in range(2)), strict=True)
    chosen = choose_thresholds(maps, truth, [0, 1], start=START)
    assert (chosen.foreground, chosen.seed, chosen.min_px) == (0.5, 0.4, 5)


def test_what_is_faint_but_wrong_is_cut_off() -> None:
    (parts, classes), truth = example(0)
    faint = parts * 0.35 + np.array([0.65, 0, 0], np.float32)[:, None, None]  # all foreground at 0.35
    chosen = choose_thresholds([(faint, classes)], [truth], [0, 1], start=START)
    assert (chosen.foreground, chosen.seed) == (0.3, 0.3)
    halo = np.where(parts[0] == 1, np.array([0.36, 0.0, 0.64], np.float32)[:, None, None], parts)
    assert choose_thresholds([(halo, classes)], [truth], [0, 1], start=START).foreground == 0.7


def test_the_seed_parts_what_a_bridge_joins() -> None:
    truth = np.zeros((20, 40), np.int64)
    truth[4:16, 4:18], truth[4:16, 18:32] = 1, 2
    parts, classes = perfect_maps(truth, (truth > 0).astype(np.int64), 2)
    bridge = (parts[2] == 1) & (truth > 0)
    parts[:, bridge] = np.array([0.0, 0.55, 0.45], np.float32)[:, None]
    ids = np.array([1, 2])
    chosen = choose_thresholds([(parts, classes)], [(truth, ids, np.ones(2, np.int64))], [0, 1], measure="pq")
    assert chosen.seed == 0.6


def test_fields_without_nuclei_give_the_middle_too() -> None:
    parts = np.zeros((3, 8, 8), np.float32)
    parts[0] = 1
    none = np.empty(0, np.int64)
    chosen = choose_thresholds([(parts, parts[:2])], [(np.zeros((8, 8), np.int64), none, none)], [0, 1])
    assert (chosen.foreground, chosen.seed) == (0.5, 0.4)


def test_stack_names_the_class_of_each_pixel() -> None:
    stack = class_stack(np.array([[0, 9], [4, 9]]), np.array([4, 9]), np.array([2, 7]))
    assert stack.tolist() == [[[0, 0], [2, 7]], [[1, 2], [2, 7]]]


def test_wrong_material_is_refused() -> None:
    maps, truth = example(0)
    with pytest.raises(SettingError, match="1 maps for 0 truths"):
        choose_thresholds([maps], [], [0, 1])
    with pytest.raises(SettingError, match="0 maps"):
        choose_thresholds([], [], [0, 1])
    with pytest.raises(SettingError, match="mpq\\+, pq"):
        choose_thresholds([maps], [truth], [0, 1], measure="f1")
    with pytest.raises(InputError, match="shapes"):
        choose_thresholds([maps], [(truth[0][:50], *example(0)[1][1:])], [0, 1])
