"""What augmentation does, as data."""

from __future__ import annotations

from dataclasses import dataclass, fields

from cryostat.core.errors import SettingError


@dataclass(frozen=True)
class Elastic:
    """Shape and strength of elastic deformations: white noise in −1 to 1, smoothed, times a factor.

    Attributes:
        kernel: Side of the Gaussian window over the noise, pixels, odd.
        sigma: Its standard deviation, pixels.
        alpha: Displacement in half sides of the image for each unit of smoothed noise.
    """

    kernel: int
    sigma: float
    alpha: float


SMOOTH_ELASTIC = Elastic(kernel=73, sigma=12.0, alpha=1.6)
"""Bends a tile of 224 pixels by 2.4 pixels (standard deviation along each axis) without folding it."""

FLAT_ELASTIC = Elastic(kernel=63, sigma=32.0, alpha=1.0)
"""The published one: about 1 pixel. Its window ends before its Gaussian, so more strength would tear, not bend."""

STRONG_STAINS = 0.05
"""The published shift of a stain: 0.7 of optical density, so that white may come out lilac."""


@dataclass(frozen=True)
class Augmentations:
    """How likely and how strong each augmentation is.

    Attributes:
        flip_horizontal: Chance of left ↔ right, an image.
        flip_vertical: Chance of top ↔ bottom, an image.
        affine: Chance of rotation, scale and shift together, an image.
        rotation: Least and greatest angle, degrees counter-clockwise.
        scale: Least and greatest magnification.
        shift: Greatest shift either way along each axis, share of the side.
        elastic: Chance of an elastic deformation, an image.
        bend: How an elastic deformation looks.
        stain_gain: Haematoxylin, eosin and DAB are each multiplied by 1 ± up to this, an image.
        stain_shift: And then moved by ± up to this, glass too; 0.01 is 0.14 of optical density (natural logarithm).
        no_horizontal_shift: The published quirk: shifts go up and down only.
        strong_stains: The published quirk: `STRONG_STAINS` in place of `stain_shift`.
        flat_elastic: The published quirk: `FLAT_ELASTIC` in place of `bend`, which deforms next to nothing.
    """

    flip_horizontal: float = 0.5
    flip_vertical: float = 0.5
    affine: float = 0.5
    rotation: tuple[float, float] = (0.0, 360.0)
    scale: tuple[float, float] = (0.8, 1.2)
    shift: float = 0.1
    elastic: float = 0.5
    bend: Elastic = SMOOTH_ELASTIC
    stain_gain: float = 0.025
    stain_shift: float = 0.01
    no_horizontal_shift: bool = False
    strong_stains: bool = False
    flat_elastic: bool = False

    def __post_init__(self) -> None:
        for name in ("flip_horizontal", "flip_vertical", "affine", "elastic"):
            _require(0 <= getattr(self, name) <= 1, name, "Give a chance from 0 to 1")
        for name in ("shift", "stain_gain", "stain_shift"):
            _require(getattr(self, name) >= 0, name, "Give 0 or more")
        _require(self.rotation[0] <= self.rotation[1], "rotation", "Give the lesser angle first")
        _require(0 < self.scale[0] <= self.scale[1], "scale", "Give two positive numbers, the lesser first")
        _require(self.bend.kernel > 0 and self.bend.kernel % 2 == 1, "bend.kernel", "Give an odd number")
        _require(self.bend.sigma > 0, "bend.sigma", "Give a positive number of pixels")

    @property
    def shifts(self) -> tuple[float, float]:
        """Greatest shift along x and along y, share of the side."""
        return (0.0 if self.no_horizontal_shift else self.shift), self.shift

    @property
    def shift_of_stains(self) -> float:
        """Greatest shift of a stain in effect."""
        return STRONG_STAINS if self.strong_stains else self.stain_shift

    @property
    def elastic_form(self) -> Elastic:
        """The elastic deformation in effect."""
        return FLAT_ELASTIC if self.flat_elastic else self.bend

    @property
    def quirks(self) -> tuple[str, ...]:
        """Names of the published quirks that are on."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) is True)


def _require(holds: bool, name: str, remedy: str) -> None:
    if not holds:
        raise SettingError("the value is impossible", where=f"augmentation setting {name}", remedy=remedy)


STANDARD = Augmentations()
"""What Cryostat recommends: the published augmentations, as they were meant."""

PUBLISHED = Augmentations(no_horizontal_shift=True, strong_stains=True, flat_elastic=True)
"""What the published training did."""

NONE = Augmentations(flip_horizontal=0, flip_vertical=0, affine=0, elastic=0, stain_gain=0, stain_shift=0)
"""Leaves everything as it is."""
