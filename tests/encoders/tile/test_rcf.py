from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from cryostat.core.errors import EncoderError
from cryostat.encoders.registry import load_encoder
from cryostat.encoders.tile import rcf
from cryostat.encoders.tile.base import TileEncoder
from cryostat.encoders.tile.rcf import PatchSample, whitened_filters, zca
from cryostat.encoders.tile.selftest import pixels, tissue


@pytest.fixture(scope="module")
def images() -> list[NDArray[np.float32]]:
    return [pixels(tissue(96, seed)) for seed in range(3)]


@pytest.fixture(scope="module")
def encoder(images: list[NDArray[np.float32]]) -> TileEncoder:
    built = load_encoder("rcf", device="cpu")
    built.prepare(images)
    return built


def test_whitening_gives_unit_covariance_and_is_symmetric() -> None:
    values = np.random.default_rng(0).normal(size=(500, 6)) @ np.random.default_rng(1).normal(size=(6, 6)) + 3
    mean, matrix = zca(values, ridge=0)
    white = (values - mean) @ matrix
    assert np.allclose(np.cov(white, rowvar=False, bias=True), np.eye(6), atol=1e-8)
    assert np.allclose(matrix, matrix.T)


def test_whitening_is_sklearns_pca_turned_back() -> None:
    values = np.random.default_rng(0).normal(size=(200, 5)) * [1, 2, 3, 4, 5]
    mean, matrix = zca(values, ridge=0)
    pca = PCA(whiten=True).fit(values)
    turned_back = pca.transform(values) @ pca.components_ * np.sqrt(200 / 199)
    assert np.allclose((values - mean) @ matrix, turned_back)


def test_filters_give_the_product_of_whitened_patches() -> None:
    patches = np.random.default_rng(0).normal(size=(300, 12))
    kernels, biases = whitened_filters(patches, 8)
    mean, matrix = zca(patches)
    white = (patches - mean) @ matrix
    wanted = white @ (white[:8] / np.linalg.norm(white[:8], axis=1, keepdims=True)).T
    assert np.allclose(patches @ kernels.T + biases, wanted, atol=1e-4)


def test_features_by_hand(encoder: TileEncoder) -> None:
    image = tissue(32, 9)
    found = encoder.encode(image)["final"][0]
    kernel, bias = encoder.module.get_buffer("filters_1"), encoder.module.get_buffer("biases_1")
    # Token (3, 4) covers rows 12-15 and columns 16-19; a filter reaches 3 px further.
    response = F.conv2d(image[:, :, 9:19, 13:23], kernel, bias)
    positive = F.relu(response - rcf.THRESHOLD).mean((0, 2, 3))
    negative = F.relu(-response - rcf.THRESHOLD).mean((0, 2, 3))
    assert found.shape == (8, 8, 240)
    assert torch.allclose(found[3, 4, :80], torch.cat([positive, negative]), atol=1e-5)


def test_order_and_repetition_of_images_do_not_matter(
    encoder: TileEncoder, images: list[NDArray[np.float32]], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = load_encoder("rcf")
    other.prepare([images[2], images[0], images[1], images[0]])
    assert other.identity() == encoder.identity()
    monkeypatch.setattr(rcf, "PATCHES", 600)
    kept = []
    for order in ((0, 1, 2), (2, 1, 0)):
        sample = PatchSample(1, 0)
        for k in order:
            sample.add(images[k])
        kept.append(sample.patches())
    assert kept[0].shape == (600, 147)
    assert np.array_equal(kept[0], kept[1])


def test_other_images_or_seeds_are_other_encoders(encoder: TileEncoder, images: list[NDArray[np.float32]]) -> None:
    fewer, seeded = load_encoder("rcf"), load_encoder("rcf", seed=1)
    fewer.prepare(images[:2])
    seeded.prepare(images)
    assert len({e.identity()["filters"] for e in (encoder, fewer, seeded)}) == 3
    assert seeded.identity()["encoder"] == "rcf@seed1"


def test_nothing_before_preparation() -> None:
    unprepared = load_encoder("rcf")
    assert unprepared.learns_from_pixels
    with pytest.raises(EncoderError, match=r"Call prepare\(\)"):
        unprepared.encode(torch.rand(1, 3, 32, 32))
    with pytest.raises(EncoderError, match=r"Call prepare\(\)"):
        unprepared.identity()


@pytest.mark.parametrize("shape", [None, (5, 200, 3), (64, 64, 3)])
def test_images_without_content_are_refused(shape: tuple[int, ...] | None) -> None:
    shown = [] if shape is None else [np.full(shape, 0.9, np.float32)]
    with pytest.raises(EncoderError, match="of 40 patches"):
        load_encoder("rcf").prepare(shown)


def test_a_token_is_the_same_in_whatever_tile_it_lies(encoder: TileEncoder) -> None:
    image = tissue(128)
    large = encoder.encode(image)["final"]
    small = encoder.encode(image[..., 16:112, 16:112])["final"]
    assert torch.allclose(small[:, 4:-4, 4:-4], large[:, 8:-8, 8:-8], atol=1e-5)
