"""The self-test of slide encoders, on a slide made up here: order, places, lone tiles, what must be refused."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cryostat.encoders import passport
from cryostat.encoders.passport import BATCH_TOLERANCE, DRIFT_TOLERANCE, REPEAT_TOLERANCE, CheckReport, Finding
from cryostat.encoders.slide.base import SlideEncoder
from cryostat.encoders.slide.coordinates import TILE_PX
from cryostat.encoders.slide.gigapath import GigaPathSlideEncoder

SIDE = 12
"""Rows and columns of tiles of the test slide."""

CHANNELS = 64
"""Of a tile's features, where the encoder takes any."""

ROUNDING = 1e-5
"""Relative difference up to which another order of summation is to blame."""

Slide = tuple[NDArray[np.float32], NDArray[np.float64]]


def check(encoder: SlideEncoder, *, tiles: int = 256, seconds: float = 0.5) -> CheckReport:
    """Test an encoder.

    Args:
        encoder: An encoder of slides.
        tiles: Tiles of the slide on which speed is measured.
        seconds: How long to measure the speed.
    """
    side = max(1, round(tiles**0.5))
    wide = made_up(encoder, side)

    def speed() -> tuple[float, int | None, int]:
        found = passport.speed(lambda: encoder.encode(*wide), side * side, str(encoder.device), seconds)
        return *found, sum(tensor.nbytes for tensor in encoder.module.state_dict().values())

    return passport.attempted(encoder.card.name, "tiles", _findings(encoder), speed)


def made_up(encoder: SlideEncoder, side: int = SIDE, seed: int = 0) -> Slide:
    """Features (n, C) and corners (n, 2) of `side` rows and columns of tiles; one in ten is missing, as on glass."""
    draw = np.random.default_rng(seed)
    rows, columns = np.divmod(np.arange(side * side), side)
    kept = (draw.random(side * side) > 0.1) | (side < 3)
    corners = np.stack([columns, rows], 1)[kept] * float(TILE_PX) + 4 * TILE_PX
    features = draw.standard_normal((len(corners), encoder.card.width_in or CHANNELS), dtype=np.float32)
    return features, corners


def _findings(encoder: SlideEncoder) -> Iterator[Finding]:
    before = encoder.weights_hash()
    features, corners = made_up(encoder)
    vector = encoder.encode(features, corners).vector
    yield from _vector(encoder, features, corners)
    exact = REPEAT_TOLERANCE if encoder.device.type == "cpu" else BATCH_TOLERANCE
    yield passport.repeats(passport.relative(encoder.encode(features, corners).vector, vector), exact)
    yield _order(encoder, features, corners, vector)
    yield _lone(encoder, features, corners)
    yield from _places(encoder, features, corners, vector)
    half = encoder.encode(features.astype(np.float16), corners).vector
    difference = passport.relative(half, vector)
    yield Finding(
        "precision",
        difference <= DRIFT_TOLERANCE,
        f"computes in fp32; tiles stored in fp16 change the vector by {difference:.1e}",
        "Store the tiles' features in fp32",
    )
    other = encoder.encode(made_up(encoder, seed=1)[0][: len(features)], corners[: len(features)]).vector
    yield passport.contrast(
        "vectors of two slides", passport.relative(other, vector), "See that its weights are loaded"
    )
    yield _refusals(encoder, features, corners)
    yield from passport.counted(sum(p.numel() for p in encoder.module.parameters()), encoder.card.parameters)
    yield from passport.frozen(before, encoder.weights_hash())
    yield passport.named(encoder.identity)


def _vector(encoder: SlideEncoder, features: NDArray[np.float32], corners: NDArray[np.float64]) -> Iterator[Finding]:
    found = encoder.encode(features, corners)
    wanted = (encoder.card.output_width(features.shape[1]),)
    shapes = {name: vector.shape for name, vector in found.layers.items()}
    wrong = [f"{name} {shape}" for name, shape in shapes.items() if shape != wanted]
    detail = f"{len(shapes)} layers of {wanted}, {encoder.layer} in use"
    remedy = "Correct width_out or width_multiple in the card"
    yield Finding("shapes", not wrong, f"{'; '.join(wrong)} are not {wanted}" if wrong else detail, remedy)
    bad = [name for name, vector in found.layers.items() if not np.isfinite(vector).all()]
    detail = f"NaN or infinity in {', '.join(bad)}" if bad else "no NaN or infinity in any layer"
    yield Finding("finite", not bad, detail, "Check that the weights are whole, and the tiles' scale")


def _order(
    encoder: SlideEncoder, features: NDArray[np.float32], corners: NDArray[np.float64], vector: NDArray[np.float32]
) -> Finding:
    """Whether the order in which tiles come matters; with the order `as-given` it is only measured."""
    shuffled = np.random.default_rng(2).permutation(len(features))
    difference = passport.relative(encoder.encode(features[shuffled], corners[shuffled]).vector, vector)
    if encoder.order != "row-major" and difference > BATCH_TOLERANCE:
        detail = f"tiles are read {encoder.order}: another order changes the vector by {difference:.1e}"
        return Finding("order", None, detail)
    detail = f"the tiles in another order (read {encoder.order}) change the vector"
    return passport.same("order", detail, difference, "Load it with order='row-major'")


def _lone(encoder: SlideEncoder, features: NDArray[np.float32], corners: NDArray[np.float64]) -> Finding:
    vector = encoder.encode(features[:1], corners[:1]).vector
    wanted = (encoder.card.output_width(features.shape[1]),)
    passed = vector.shape == wanted and bool(np.isfinite(vector).all())
    return Finding("one tile", passed, f"gives {vector.shape}", "See that a slide of a single tile can be pooled")


def _places(
    encoder: SlideEncoder, features: NDArray[np.float32], corners: NDArray[np.float64], vector: NDArray[np.float32]
) -> Iterator[Finding]:
    """Whether the place of a tile matters to those to which it should, and to them alone."""
    moved = encoder.encode(features, corners[::-1].copy()).vector
    difference = passport.relative(moved, vector)
    if not encoder.card.needs_coordinates:
        detail = "the same tiles in other places change the vector"
        yield passport.same("places", detail, difference, "State mpp and tile_px in the card: places matter to it")
        return
    detail = f"the same tiles in other places change the vector by {difference:.1e}"
    yield Finding("places", difference > ROUNDING, detail, "See that positions are added to the tiles' features")
    end = _end(encoder)
    beyond = np.array([[0.0, TILE_PX], [0.0, 0.0]])
    last = np.array([[end - TILE_PX, end - TILE_PX], [0.0, 0.0]])
    inside = bool(np.isfinite(encoder.encode(features[:2], last).vector).all())
    yield Finding("grid", inside, f"takes tiles from 0 to {end:,} px", "Correct grid or tile_px in [longnet]")
    yield passport.refused(
        "places refused",
        {
            "tiles beyond the grid": lambda: encoder.encode(features[:2], last + beyond),
            "negative places": lambda: encoder.encode(features, corners - corners.max()),
            "level-0 px of a 40× slide": lambda: encoder.encode(features, corners * 2),
            "µm": lambda: encoder.encode(features, corners / 2),
            "two tiles in one place": lambda: encoder.encode(features[:2], corners[[0, 0]]),
            "no places": lambda: encoder.encode(features),
        },
        "Check the range of coordinates before they are looked up",
    )


def _end(encoder: SlideEncoder) -> int:
    """Px at which the grid of positions ends."""
    if isinstance(encoder, GigaPathSlideEncoder):
        return encoder.network.settings.grid * encoder.network.settings.tile_px
    return TILE_PX * (SIDE + 4)


def _refusals(encoder: SlideEncoder, features: NDArray[np.float32], corners: NDArray[np.float64]) -> Finding:
    spoilt = features.copy()
    spoilt[1, 0] = np.nan
    attempts = {
        "features that are not finite": lambda: encoder.encode(spoilt, corners),
        "a slide without tiles": lambda: encoder.encode(features[:0], corners[:0]),
        "coordinates of other tiles": lambda: encoder.encode(features, corners[:-1]),
        "coordinates in half precision": lambda: encoder.encode(features, corners.astype(np.float16)),
    }
    if encoder.card.width_in:
        attempts["tiles of another width"] = lambda: encoder.encode(features[:, :-1], corners)
    return passport.refused("refusals", attempts, "Leave the checks of SlideEncoder.encode in place")
