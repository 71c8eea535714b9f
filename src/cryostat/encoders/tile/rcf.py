"""`rcf`: random convolutional features, whose filters are whitened patches of the dataset's own unlabelled pixels.

After Coates & Ng (2012) and Rolf et al. (2021, MOSAIKS): patches are sampled, whitened (ZCA) and used as convolution
filters; a biased rectifier of either sign follows, averaged over each token.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from cryostat.core.errors import EncoderError
from cryostat.core.identity import code_version, sha256_array
from cryostat.encoders.card import EncoderCard
from cryostat.encoders.tile import filters
from cryostat.encoders.tile.base import TileEncoder
from cryostat.encoders.tile.filters import reflect_pad

OCTAVES = (1, 2, 4)
"""Down-sampling of the image before filtering; the filters of each octave come from patches of that octave."""

SIDE = 7
"""Side in px of a patch."""

PATCHES_PER_IMAGE = 512
"""Patches drawn from each image and octave."""

PATCHES = 16_384
"""Patches kept for the statistics of whitening, whatever the number of images."""

RIDGE = 1e-2
"""Added to the eigenvalues of the patches' covariance: directions weaker than this are noise and stay small."""

FLAT = 1e-3
"""Patches whose whitened length is below this show nothing and make no filter."""

THRESHOLD = 0.25
"""Responses within this of zero are silenced; in units of the whitened patches' standard deviation."""


class PatchSample:
    """Patches drawn from images so that neither their order nor a repetition matters.

    Every patch gets a random key from a generator seeded by its image's content; those with the lowest keys are kept.

    Args:
        octave: Down-sampling before patches are cut.
        seed: Seed of the draw.
    """

    def __init__(self, octave: int, seed: int) -> None:
        self.octave = octave
        self.seed = seed
        self._keys = np.zeros(0, np.uint64)
        self._patches = np.zeros((0, 3 * SIDE * SIDE), np.float32)
        self._seen: set[str] = set()

    def add(self, image: NDArray[np.float32]) -> None:
        """Draw from one (H, W, 3) image in 0 … 1; images smaller than a patch are passed over."""
        content = sha256_array(image)
        if content in self._seen:
            return
        self._seen.add(content)
        pixels = _downsample(image, self.octave)
        height, width = pixels.shape[1] - SIDE + 1, pixels.shape[2] - SIDE + 1
        if height < 1 or width < 1:
            return
        draw = np.random.default_rng([self.seed, self.octave, int(content[:15], 16)])
        keys = draw.integers(2**63, size=PATCHES_PER_IMAGE, dtype=np.uint64)
        rows, columns = draw.integers(height, size=len(keys)), draw.integers(width, size=len(keys))
        windows = np.lib.stride_tricks.sliding_window_view(pixels, (SIDE, SIDE), axis=(1, 2))
        self._keep(keys, windows[:, rows, columns].swapaxes(0, 1).reshape(len(keys), -1))

    def _keep(self, keys: NDArray[np.uint64], patches: NDArray[np.float32]) -> None:
        keys, patches = np.concatenate([self._keys, keys]), np.concatenate([self._patches, patches])
        lowest = np.argsort(keys, kind="stable")[:PATCHES]
        self._keys, self._patches = keys[lowest], patches[lowest]

    def patches(self) -> NDArray[np.float32]:
        """(n, 3·side·side) the patches kept, keys ascending."""
        return self._patches


def _downsample(image: NDArray[np.float32], octave: int) -> NDArray[np.float32]:
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
    return F.avg_pool2d(pixels, octave)[0].numpy() if octave > 1 else pixels[0].numpy()


def zca(patches: NDArray[Any], ridge: float = RIDGE) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and symmetric whitening matrix of patches (n, d): (x − mean) @ matrix has covariance ≈ identity.

    Args:
        patches: (n, d).
        ridge: Added to the eigenvalues, so that directions without content are not blown up.
    """
    values = patches.astype(np.float64)
    mean = values.mean(0)
    covariance = np.cov(values - mean, rowvar=False, bias=True)
    scale, axes = np.linalg.eigh(covariance)
    return mean, (axes / np.sqrt(np.maximum(scale, 0) + ridge)) @ axes.T


def whitened_filters(patches: NDArray[Any], count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Filters and biases such that filter · x + bias = whitened x · unit whitened patch.

    Args:
        patches: (n, d), of which the first that show anything become filters; all of them make the whitening.
        count: Number of filters.

    Returns:
        (count, d) filters and (count,) biases.

    Raises:
        EncoderError: Fewer than `count` patches show anything.
    """
    if len(patches) == 0:
        raise _too_plain(0, count)
    mean, matrix = zca(patches)
    whitened = (patches.astype(np.float64) - mean) @ matrix
    length = np.linalg.norm(whitened, axis=1)
    chosen = np.flatnonzero(length > FLAT)[:count]
    if len(chosen) < count:
        raise _too_plain(len(chosen), count)
    kernels = (whitened[chosen] / length[chosen, None]) @ matrix
    return kernels.astype(np.float32), (-kernels @ mean).astype(np.float32)


def _too_plain(found: int, count: int) -> EncoderError:
    return EncoderError(
        f"only {found} of {count} patches of the images show anything",
        remedy="Show rcf images of tissue of at least 64×64 px",
    )


class RandomConvolutions(nn.Module):
    """Convolutions with whitened patches, rectified with either sign and averaged over tokens.

    Args:
        patch_size: Side in px of a token, a multiple of the coarsest octave.
        width: Channels of a token.
    """

    def __init__(self, patch_size: int, width: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.count = width // (2 * len(OCTAVES))
        for octave in OCTAVES:
            self.register_buffer(f"filters_{octave}", torch.zeros(self.count, 3, SIDE, SIDE))
            self.register_buffer(f"biases_{octave}", torch.zeros(self.count))

    def forward(self, images: Tensor) -> Tensor:
        """Features of (N, 3, S, S) as (N, width, S/patch, S/patch)."""
        return torch.cat([self._octave(images, octave) for octave in OCTAVES], 1)

    def _octave(self, images: Tensor, octave: int) -> Tensor:
        pixels = F.avg_pool2d(images, octave) if octave > 1 else images
        kernels, biases = self.get_buffer(f"filters_{octave}"), self.get_buffer(f"biases_{octave}")
        response = F.conv2d(reflect_pad(pixels, SIDE // 2), kernels, biases)
        side = self.patch_size // octave
        positive = F.avg_pool2d(F.relu(response - THRESHOLD), side)
        return torch.cat([positive, F.avg_pool2d(F.relu(-response - THRESHOLD), side)], 1)


class RandomConvolutionalFeatures(TileEncoder):
    """Random convolutional features as an encoder; `prepare` must show it unlabelled images first.

    Args:
        card: Its facts; `patch_size` sets the token and `width` the number of filters.
        seed: Seed of the patches drawn.
    """

    def __init__(self, card: EncoderCard, seed: int = 0) -> None:
        self.card = card
        self.seed = seed
        self.convolutions = RandomConvolutions(card.patch_size, card.width)
        self.module = self.convolutions.eval()
        self._filters_sha256: str | None = None

    @property
    def learns_from_pixels(self) -> bool:
        """True: the filters are patches of the dataset."""
        return True

    def prepare(self, images: Iterable[NDArray[Any]]) -> None:
        """Draw the filters from unlabelled (H, W, 3) images in 0 … 1, in whatever order they come.

        Raises:
            EncoderError: The images are too few, too small or blank.
        """
        samples = {octave: PatchSample(octave, self.seed) for octave in OCTAVES}
        for image in images:
            for sample in samples.values():
                sample.add(np.asarray(image, np.float32))
        found = {
            octave: whitened_filters(sample.patches(), self.convolutions.count) for octave, sample in samples.items()
        }
        state = hashlib.sha256()
        for octave, (kernels, biases) in found.items():
            self.convolutions.get_buffer(f"filters_{octave}").copy_(torch.from_numpy(kernels).view(-1, 3, SIDE, SIDE))
            self.convolutions.get_buffer(f"biases_{octave}").copy_(torch.from_numpy(biases))
            state.update(kernels.tobytes() + biases.tobytes())
        self._filters_sha256 = state.hexdigest()

    def identity(self) -> Mapping[str, Any]:
        """Name, seed, hash of the filters and code version.

        Raises:
            EncoderError: `prepare` has not been called: there are no filters yet.
        """
        return {
            "encoder": self.card.name,
            "patch_size": self.card.patch_size,
            "width": self.card.width,
            "seed": self.seed,
            "filters": self._require_filters(),
            "code": code_version(filters, sys.modules[__name__], TileEncoder),
            "precision": "fp32",
        }

    def _require_filters(self) -> str:
        if self._filters_sha256 is None:
            raise EncoderError(
                f"{self.card.name} has not seen the dataset's pixels yet",
                remedy="Call prepare() with unlabelled images of the dataset before encoding",
            )
        return self._filters_sha256

    def _maps(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        self._require_filters()
        with torch.autocast(images.device.type, enabled=False):
            return {layer: self.module(images).permute(0, 2, 3, 1) for layer in layers}
