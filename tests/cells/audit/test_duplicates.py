from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cryostat.cells.audit.duplicates import find_duplicates
from cryostat.cells.audit.thumbnails import absorbance


def jpeg(image, quality):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def noisy(image):
    noise = np.random.default_rng(1).normal(0, 15, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def pairs(images):
    found = find_duplicates(list(images), [absorbance(image, 0.5) for image in images.values()])
    return {(pair.first, pair.second): pair for pair in found}


@pytest.fixture(scope="module")
def image(tissue):
    return tissue(1).image


@pytest.fixture(scope="module")
def others(tissue):
    return {f"other{seed}": tissue(seed).image for seed in range(2, 8)}


def test_different_fields_are_no_duplicates(others):
    assert pairs(others) == {}


def test_few_or_no_fields_are_no_duplicates(image):
    assert find_duplicates([], []) == []
    assert pairs({"a": image}) == {}
    assert pairs({"a": np.full((400, 400, 3), 7, np.uint8), "b": np.full((400, 400, 3), 7, np.uint8)}) == {}
    assert pairs({"a": image[:9, :9], "b": image[:9, :9]}) == {}


@pytest.mark.parametrize(
    ("change", "turned"),
    [
        (lambda image: image, False),
        (lambda image: jpeg(image, 40), False),
        (noisy, False),
        (lambda image: (255 * (image / 255) ** 1.3).astype(np.uint8), False),
        (lambda image: image.astype(np.uint16) * 157 + 300, False),
        (lambda image: image[:, ::-1], True),
        (lambda image: np.rot90(image), True),
        (lambda image: image.transpose(1, 0, 2), True),
        (lambda image: jpeg(np.rot90(image, 3)[::-1], 60), True),
    ],
    ids=["exact", "jpeg", "noise", "gamma", "16 bits", "mirrored", "turned", "transposed", "turned jpeg"],
)
def test_a_copy_is_found_whatever_was_done_to_it(image, others, change, turned):
    found = pairs({**others, "copy": change(image), "field": image})
    assert set(found) == {("copy", "field")}
    pair = found["copy", "field"]
    assert pair.overlap == pytest.approx(1, abs=0.03)
    assert pair.correlation > 0.9
    assert pair.turned is turned


@pytest.mark.parametrize(("dy", "dx"), [(200, 0), (0, 203), (97, 131), (200, 100)])
@pytest.mark.parametrize("turns", [0, 1])
def test_shifted_crops_that_overlap_by_half_are_found(tissue, others, dy, dx, turns):
    wide = tissue(9, size=700, nuclei=400).image
    first, second = wide[:400, :400], np.rot90(wide[dy : dy + 400, dx : dx + 400], turns)
    found = pairs({**others, "first": first, "second": second})
    assert set(found) == {("first", "second")}
    expected = (400 - dy) * (400 - dx) / 400**2
    assert found["first", "second"].overlap == pytest.approx(expected, abs=0.03)


def test_small_tiles_that_overlap_by_half_are_found(tissue):
    wide = tissue(9, size=700, nuclei=400).image
    tiles = {f"tile{y}_{x}": wide[y : y + 160, x : x + 160] for y in (0, 320) for x in (0, 320)}
    found = pairs({**tiles, "shifted": wide[320:480, 240:400]})
    assert set(found) == {("tile320_320", "shifted")}


def test_copies_at_another_scale_but_the_same_tissue_are_found(image, others):
    half = np.asarray(Image.fromarray(image).resize((200, 200), Image.Resampling.BOX))
    names = [*others, "fine", "coarse"]
    thumbnails = [absorbance(other, 0.5) for other in others.values()]
    found = find_duplicates(names, [*thumbnails, absorbance(image, 0.5), absorbance(half, 1.0)])
    assert [(pair.first, pair.second) for pair in found] == [("fine", "coarse")]
