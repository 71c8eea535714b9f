"""The self-test of volume encoders, on heads made up here: storage, orientation, order of series, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.encoders import passport
from cryostat.encoders.passport import BATCH_TOLERANCE, REPEAT_TOLERANCE, CheckReport, Finding
from cryostat.encoders.volume.base import VolumeEmbedding, VolumeEncoder
from cryostat.encoders.volume.volume import Volume

SHAPE = (64, 80, 48)
"""Voxels of 1 mm of a made-up head."""

TUMOUR = (0.35, 0.1, 0.1)
"""Its centre, in half sides of the volume from the middle."""


def check(encoder: VolumeEncoder, *, batch: int = 4, seconds: float = 0.5) -> CheckReport:
    """Test an encoder.

    Args:
        encoder: An encoder of volumes.
        batch: Series of the patient on whom speed is measured.
        seconds: How long to measure the speed.
    """
    series = [head(name=f"series {number}", seed=number) for number in range(batch)]
    module = getattr(encoder, "module", None)

    def speed() -> tuple[float, int | None, int]:
        found = passport.speed(lambda: encoder.encode(series), batch, _device(encoder), seconds)
        return *found, sum(tensor.nbytes for tensor in module.state_dict().values()) if module else 0

    return passport.attempted(encoder.card.name, "series", _findings(encoder), speed)


def head(*, name: str = "t1c", seed: int = 0, dtype: Any = np.int16) -> Volume:
    """A made-up series: an ellipsoid of waves and noise in a background of 0, with a tumour and its parts."""
    draw = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    waves = sum(np.sin(f @ np.stack([x, y, z]).reshape(3, -1)).reshape(SHAPE) for f in draw.uniform(-9, 9, (3, 3)))
    away = np.sqrt(sum((axis - centre) ** 2 for axis, centre in zip((x, y, z), TUMOUR, strict=True)))
    labels = np.select([away < 0.1, away < 0.2, away < 0.3], [1, 3, 2], 0).astype(np.uint8)
    bright = 500 + 80 * np.asarray(waves) + 150 * (labels > 0) - 100 * (labels == 1) + draw.normal(0, 10, SHAPE)
    inside = np.sqrt(x**2 + y**2 + z**2) < 0.9
    data = np.where(inside, bright.clip(1).round(), 0).astype(dtype)
    return Volume(data, np.eye(4), name, tumour=np.where(inside, labels, 0).astype(np.uint8))


def _findings(encoder: VolumeEncoder) -> Iterator[Finding]:
    before = encoder.weights_hash()
    one, two = head(), head(name="flair", seed=1)
    alone, both = encoder.encode([one]), encoder.encode([one, two])
    yield from _vectors(encoder, both)
    exact = REPEAT_TOLERANCE if _device(encoder) == "cpu" else BATCH_TOLERANCE
    yield passport.repeats(passport.relative(encoder.encode([one]).vector, alone.vector), exact)
    yield _order(encoder, one, two, both)
    difference = passport.relative(alone.vector, both.per_series[0])
    yield passport.same(
        "one series", "on its own and among others it differs", difference, "Keep series apart until they are pooled"
    )
    yield _storage(encoder, one, alone.vector)
    yield _orientation(encoder, one, alone.vector)
    scaled = replace(one, data=one.data.astype(np.float32) * 2.5)
    difference = passport.relative(encoder.encode([scaled]).vector, alone.vector)
    remedy = "Bring grey values to a scale of their own before anything else"
    yield replace(passport.same("grey scale", "2.5 times as bright it differs", difference, remedy), essential=False)
    yield from _precision(encoder, one)
    other = encoder.encode([replace(two, name=one.name)]).vector
    difference = passport.relative(other, alone.vector)
    yield passport.contrast("vectors of two heads", difference, "See that its weights are loaded")
    yield _refusals(encoder, one)
    module = getattr(encoder, "module", None)
    count = sum(p.numel() for p in module.parameters()) if module else 0
    yield from passport.counted(count, encoder.card.parameters)
    yield from passport.frozen(before, encoder.weights_hash())
    yield passport.named(encoder.identity)


def _vectors(encoder: VolumeEncoder, found: VolumeEmbedding) -> Iterator[Finding]:
    width = encoder.card.width
    right = found.vector.shape == (width,) and found.per_series.shape == (2, width)
    named = not found.features or len(found.features) == len(set(found.features)) == width
    detail = f"{found.vector.shape} a patient, {found.per_series.shape} for two series"
    detail += f", {len(found.features)} named features" if found.features else ""
    yield Finding("shapes", right and named, detail, "Correct the width in the card, and name every feature once")
    finite = bool(np.isfinite(found.vector).all() and np.isfinite(found.per_series).all())
    yield Finding("finite", finite, f"values up to {abs(found.vector).max():.3g}", "Use --precision fp32")


def _order(encoder: VolumeEncoder, one: Volume, two: Volume, both: VolumeEmbedding) -> Finding:
    turned = encoder.encode([two, one])
    difference = max(
        passport.relative(turned.vector, both.vector), passport.relative(turned.per_series[::-1], both.per_series)
    )
    return passport.same("order", "the series the other way round differ", difference, "Sort series by their names")


def _storage(encoder: VolumeEncoder, volume: Volume, vector: NDArray[np.float32]) -> Finding:
    """Whether the type in which voxels are stored matters: tokens where there are any, vectors else."""
    copy = replace(volume, data=volume.data.astype(np.float32))
    difference = passport.relative(encoder.encode([copy]).vector, vector)
    preparation = getattr(encoder, "preprocessing", None)
    what = "vector"
    if preparation is not None:
        what, ours, theirs = "tokens", preparation.tokenise(volume), preparation.tokenise(copy)
        alike = np.array_equal(ours.coords, theirs.coords) and np.array_equal(ours.values, theirs.values)
        difference = difference if alike else max(difference, 1.0)
    detail = f"{what} of int16 and float32 copies differ by {difference:.1e}"
    if getattr(preparation, "mode", "explicit") == "compat" and difference > 0:
        return Finding("storage", None, f"{detail}, as in the program that mode compat repeats")
    return Finding("storage", difference == 0, detail, "Find the tissue before interpolating (mode explicit)")


def _orientation(encoder: VolumeEncoder, volume: Volume, vector: NDArray[np.float32]) -> Finding:
    """Whether the order in which voxels are stored matters, the patient lying as before."""
    length = volume.data.shape[0]
    turn = np.diag([-1.0, 1.0, 1.0, 1.0])
    turn[0, 3] = length - 1
    flip = {name: getattr(volume, name)[::-1].copy() for name in ("data", "tumour")}
    flipped = replace(volume, affine=volume.affine @ turn, **flip)
    difference = passport.relative(encoder.encode([flipped]).vector, vector)
    remedy = "Bring volumes into one orientation by their affine before anything else"
    return passport.same("orientation", "stored from right to left it differs", difference, remedy)


def _precision(encoder: VolumeEncoder, volume: Volume) -> Iterator[Finding]:
    in_use = getattr(encoder, "precision", None)
    if in_use is None:
        return
    vectors = {}
    try:
        for precision in ("fp32", "bf16"):
            vars(encoder)["precision"] = precision
            vectors[precision] = encoder.encode([volume]).vector
    finally:
        vars(encoder)["precision"] = in_use
    yield passport.drift("bf16", passport.relative(vectors["bf16"], vectors["fp32"]), in_use == "bf16")


def _refusals(encoder: VolumeEncoder, volume: Volume) -> Finding:
    attempts = {
        "no series": lambda: encoder.encode([]),
        "two series of one name": lambda: encoder.encode([volume, volume]),
        "a constant volume": lambda: encoder.encode([replace(volume, data=np.ones(SHAPE, np.int16))]),
        "a single slice": lambda: encoder.encode([replace(volume, data=volume.data[:, :, :1], tumour=None)]),
        "infinite voxels": lambda: encoder.encode([replace(volume, data=np.where(volume.data > 0, np.inf, 0))]),
    }
    return passport.refused("refusals", attempts, "Leave the checks of Volume and VolumeEncoder.encode in place")


def _device(encoder: VolumeEncoder) -> str:
    return str(getattr(encoder, "device", "cpu"))
