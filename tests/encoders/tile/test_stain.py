from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import rgb2hed

from cryostat.core.errors import EncoderError
from cryostat.encoders.registry import load_encoder
from cryostat.encoders.tile.base import TileEncoder
from cryostat.encoders.tile.selftest import tissue
from cryostat.encoders.tile.stain import RGB_FROM_HED, optical_density, unmix


@pytest.fixture(scope="module")
def encoder() -> TileEncoder:
    return load_encoder("stain-filters", device="cpu")


def test_unmixing_is_that_of_skimage() -> None:
    rgb = np.random.default_rng(0).uniform(0.05, 1, (16, 16, 3))
    image = torch.from_numpy(rgb.astype(np.float32)).permute(2, 0, 1)[None]
    found = unmix(optical_density(image)).clamp(min=0)[0].permute(1, 2, 0).numpy()
    # skimage measures density in units of its darkest value, 1e-6.
    assert np.allclose(found / -np.log(1e-6), rgb2hed(rgb), atol=1e-5)


def test_pure_stains_come_out_alone() -> None:
    vectors = torch.tensor(RGB_FROM_HED)
    image = torch.exp(-vectors).T.reshape(1, 3, 1, 3)
    assert torch.allclose(unmix(optical_density(image))[0, :, 0], torch.eye(3), atol=1e-5)


def test_first_channels_are_the_mean_stains(encoder: TileEncoder) -> None:
    image = torch.exp(-(0.8 * torch.tensor(RGB_FROM_HED[0]) + 0.3 * torch.tensor(RGB_FROM_HED[1])))
    maps = encoder.encode(image.view(1, 3, 1, 1).expand(1, 3, 32, 32))["final"]
    assert maps.shape == (1, 8, 8, 70)
    assert maps[0, 3, 4, :3].tolist() == pytest.approx([0.8, 0.3, 0.0], abs=1e-4)


def test_flat_images_have_no_texture(encoder: TileEncoder) -> None:
    maps = encoder.encode(torch.full((1, 3, 32, 32), 0.5))["final"]
    assert maps.std((1, 2)).max() < 1e-3
    assert maps[..., 5:54].abs().max() < 2e-2


def test_black_and_white_stay_finite_in_half_precision(encoder: TileEncoder) -> None:
    checks = (torch.arange(64)[:, None] // 3 + torch.arange(64) // 3) % 2
    images = torch.stack([torch.zeros(64, 64), torch.ones(64, 64), checks.float()])[:, None].expand(-1, 3, -1, -1)
    assert torch.isfinite(encoder.encode(images)["final"].half()).all()


@pytest.mark.parametrize("offset", [8, 64])
def test_a_token_is_the_same_in_whatever_tile_it_lies(encoder: TileEncoder, offset: int) -> None:
    image = tissue(480)
    large = encoder.encode(image)["final"]
    small = encoder.encode(image[..., offset : offset + 400, offset : offset + 400])["final"]
    # The widest chain of filters, edges · contrast · texture, reaches 72 + 48 + 6 px from a token.
    margin = 128 // 4
    inner = small[:, margin:-margin, margin:-margin]
    start = offset // 4 + margin
    assert torch.allclose(inner, large[:, start:, start:][:, : inner.shape[1], : inner.shape[2]], atol=2e-5)


def test_rotating_the_image_rotates_the_map(encoder: TileEncoder) -> None:
    image = tissue(64)
    turned = encoder.encode(image.rot90(1, (2, 3)))["final"]
    assert torch.allclose(turned, encoder.encode(image)["final"].rot90(1, (1, 2)), atol=1e-4)


def test_batch_and_tiny_tiles(encoder: TileEncoder) -> None:
    images = torch.cat([tissue(16, seed) for seed in range(3)])
    together = encoder.encode(images)["final"]
    alone = torch.cat([encoder.encode(images[i : i + 1])["final"] for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-5)
    with pytest.raises(EncoderError, match="multiple of 4"):
        encoder.encode(torch.rand(1, 3, 30, 30))


def test_autocast_does_not_reach_it(encoder: TileEncoder) -> None:
    image = tissue(32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = encoder.encode(image)["final"]
    assert torch.equal(inside, encoder.encode(image)["final"])


def test_identity_is_plain_and_stable(encoder: TileEncoder) -> None:
    assert encoder.identity() == load_encoder("Stain Filters").identity()
    assert encoder.identity()["precision"] == "fp32"
