"""Fields of view at 1 µm a pixel, as haematoxylin sees them: what alignment and duplicates are judged on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MPP = 1.0
"""µm per pixel of a thumbnail; a nucleus is then 5 to 12 pixels wide. Coarser fields stay as they are."""


def absorbance(image: NDArray[Any], mpp: float) -> NDArray[np.float32]:
    """Absorbance of red light, which haematoxylin takes up and eosin hardly does.

    Args:
        image: (H, W, 3) uint8 or uint16.
        mpp: µm per pixel of the image.

    Returns:
        (h, w) float32 at 1 µm per pixel, up to a constant that depends on the white level.
    """
    red = np.log10(np.asarray(image[..., 0], np.float32) + 1)
    return _reduce(-red, mpp)


def coverage(instances: NDArray[Any], mpp: float) -> NDArray[np.float32]:
    """Share of each thumbnail pixel that nuclei cover, (h, w) float32."""
    return _reduce((np.asarray(instances) > 0).astype(np.float32), mpp)


def _reduce(plane: NDArray[np.float32], mpp: float) -> NDArray[np.float32]:
    scale = min(1.0, mpp / MPP)
    height, width = (max(1, round(side * scale)) for side in plane.shape)
    resized: NDArray[np.float32] = np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BOX))
    return resized
