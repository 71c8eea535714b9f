from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from skimage.draw import disk
from skimage.measure import regionprops

from cryostat.cells.building.joining import Join
from cryostat.cells.building.quality import Limits, hull_share, judge, measure, missed_nuclei, size_limits
from cryostat.cells.datasets.stain import haematoxylin

SIDE, RADIUS = 200, 6
CENTRES = [(15 + 20 * row, 15 + 20 * column) for row in range(9) for column in range(9)]


def discs(*gone: int) -> NDArray[np.int32]:
    """81 nuclei of radius 6 on a grid of 20 px, without some."""
    instances = np.zeros((SIDE, SIDE), np.int32)
    for number, centre in enumerate(CENTRES, 1):
        if number not in gone:
            instances[disk(centre, RADIUS)] = number
    return instances


def stained(instances: NDArray[np.int32]) -> NDArray[np.uint8]:
    image = np.where(instances[..., None] > 0, (100, 70, 150), (235, 190, 215))
    return (image + np.random.default_rng(0).integers(-6, 7, image.shape)).astype(np.uint8)


def joined(rows: int = 81, missed: int = 0) -> Join:
    return Join({}, rows, missed, 0, 0, 0)


IMAGE = stained(discs())


def reasons(instances: NDArray[np.int32], found: Join | None = None) -> str:
    limits = Limits()
    fields = judge([measure("f", IMAGE, instances, 0.5, limits)], [found or joined()], limits).fields
    return str(fields.loc[0, "reason"])


def test_good_masks_are_not_proposed() -> None:
    item = measure("f", IMAGE, discs(), 0.5, Limits())
    assert (item.missed, item.darker) == (0, 1.0)
    assert item.areas.tolist() == [int((discs() == 1).sum())] * 81
    assert reasons(discs()) == ""


def test_missed_nuclei_are_counted_exactly() -> None:
    gone = range(1, 81, 4)
    blobs = missed_nuclei(haematoxylin(IMAGE), discs(*gone), Limits())
    assert blobs is not None
    assert int(blobs.max()) == len(gone) == 20
    assert {int(blobs[CENTRES[number - 1]]) for number in gone} == set(range(1, 21))
    assert reasons(discs(*gone)) == "20 blobs of haematoxylin are not covered by 61 nuclei"


def test_where_stain_says_nothing_missed_nuclei_are_not_told() -> None:
    blank = np.full((SIDE, SIDE, 3), 220, np.uint8)
    assert measure("f", blank, discs(), 0.5, Limits()).missed is None
    assert measure("f", IMAGE, np.zeros((SIDE, SIDE), int), 0.5, Limits()).missed is None


def merge_pairs(instances: NDArray[np.int32], pairs: int) -> NDArray[np.int32]:
    """Join neighbours in a row of the grid by a bridge of 4 px."""
    for pair in range(pairs):
        first = 2 * pair + 1 + pair // 4
        (y, x), (_, to) = CENTRES[first - 1], CENTRES[first]
        instances[instances == first + 1] = first
        instances[y - 2 : y + 2, x:to] = first
    return instances


def test_nuclei_that_are_two_are_found() -> None:
    limits = Limits()
    verdict = judge([measure("f", IMAGE, merge_pairs(discs(), 8), 0.5, limits)], [joined()], limits)
    assert len(verdict.suspects) == 8
    assert verdict.fields.loc[0, "merged"] == 8
    assert verdict.proposed["reason"].tolist() == ["8 of 73 nuclei may be several (size, solidity)"]
    assert verdict.suspects["area_um2"].min() > 2 * 0.25 * np.pi * RADIUS**2 * 0.9


def test_masks_beside_their_nuclei_are_noticed() -> None:
    assert "darker than their surroundings" in reasons(np.roll(discs(), 10, axis=1))


def test_unmatched_rows_and_empty_masks_are_reasons() -> None:
    assert reasons(discs(), joined(100, 20)) == "20 of 100 phenotype rows have no nucleus"
    assert reasons(discs(), joined(100, 19)) == ""
    assert reasons(np.zeros((SIDE, SIDE), np.int32)) == "no nuclei"


def test_size_limit_is_robust_and_never_below_its_floor() -> None:
    assert size_limits(np.full(50, 30.0), Limits()) == pytest.approx((30, 75))
    sizes = np.exp(np.random.default_rng(0).normal(np.log(30), 0.4, 10_000))
    middle, largest = size_limits(np.append(sizes, [1e6] * 100), Limits())
    assert middle == pytest.approx(30, rel=0.03)
    assert largest == pytest.approx(30 * np.exp(3.5 * 0.4), rel=0.05)
    assert size_limits(np.zeros(0), Limits()) == (np.inf, np.inf)


def test_hull_share_of_known_shapes() -> None:
    square = np.ones((5, 5), bool)
    assert hull_share(square) == 1
    assert hull_share(np.ones((1, 4), bool)) == hull_share(np.ones((1, 1), bool)) == 1
    corner = square.copy()
    corner[:4, :4] = False
    # An L of 9 px; its hull is the triangle with 5 + 4 + 3 + 2 + 1 lattice points.
    assert hull_share(corner) == pytest.approx(9 / 15)


@given(arrays(bool, (7, 7)))
def test_hull_share_never_exceeds_one_and_is_near_skimages(mask: NDArray[np.bool_]) -> None:
    mask[3, 3] = True
    share = hull_share(mask)
    assert 0 < share <= 1
    # skimage adds half a pixel all round, so its hulls are a little larger.
    assert regionprops(mask.astype(int))[0].solidity <= share + 1e-9
