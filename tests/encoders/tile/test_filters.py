from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cryostat.encoders.tile.filters import GaussianDerivatives, gaussian_kernel, reflect_pad, smooth


@given(st.floats(0.5, 8))
def test_kernels_are_exact_on_polynomials(sigma: float) -> None:
    x = torch.arange(-100, 101, dtype=torch.float64)
    for order, scale in ((0, 1.0), (1, sigma), (2, sigma**2)):
        kernel = gaussian_kernel(sigma, order).double()
        mid = x[100 - len(kernel) // 2 : 100 + len(kernel) // 2 + 1]
        found = [float((kernel * mid**power).sum()) for power in (0, 1, 2)]
        wanted = {0: [1, 0, found[2]], 1: [0, scale, 0], 2: [0, 0, 2 * scale]}[order]
        assert found == pytest.approx(wanted, abs=1e-3 * scale)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 40), st.integers(0, 100))
def test_padding_is_numpys_symmetric(side: int, margin: int) -> None:
    image = torch.arange(side * (side + 1), dtype=torch.float32).view(1, 1, side, side + 1)
    wanted = np.pad(image.numpy(), ((0, 0), (0, 0), (margin, margin), (margin, margin)), mode="symmetric")
    assert np.array_equal(reflect_pad(image, margin).numpy(), wanted)


@pytest.mark.parametrize("sigma", [0.7, 2.0, 6.0])
def test_smoothing_is_scipys(sigma: float) -> None:
    image = np.random.default_rng(0).random((31, 20)).astype(np.float32)
    wanted = ndimage.gaussian_filter(image, sigma, mode="reflect", radius=max(1, int(np.ceil(3 * sigma))))
    found = smooth(torch.from_numpy(image)[None, None], sigma)[0, 0].numpy()
    assert np.abs(found - wanted).max() < 1e-5


def test_derivatives_of_a_ramp_and_a_bowl() -> None:
    y, x = torch.meshgrid(torch.arange(41.0), torch.arange(41.0), indexing="ij")
    ramp, bowl = 2 * x + 3 * y, (x - 20) ** 2 + 0.5 * (x - 20) * (y - 20)
    bank = GaussianDerivatives((1.0, 2.0))
    found = bank(torch.stack([ramp, bowl])[None])[0, :, :, :, 20, 20]
    assert found.shape == (2, 2, 5)
    assert found[0, 0].tolist() == pytest.approx([2, 3, 0, 0, 0], abs=1e-3)
    assert found[0, 1].tolist() == pytest.approx([4, 6, 0, 0, 0], abs=1e-3)
    assert found[1, 0].tolist() == pytest.approx([0, 0, 2, 0, 0.5], abs=1e-3)
