"""The self-test of encoders: does each token see its own piece of the image, every time, in every batch?

A dark dot is planted in one token's piece of a tissue-like image. The token that changes most must be that one; where
it is another, the pattern of the misses tells what is wrong (transposed, prefix tokens left in, image cropped).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryostat.core.errors import EncoderError
from cryostat.encoders import passport
from cryostat.encoders.passport import BATCH_TOLERANCE, DRIFT_TOLERANCE, REPEAT_TOLERANCE, CheckReport, Finding
from cryostat.encoders.tile.base import TileEncoder
from cryostat.encoders.tile.filters import smooth
from cryostat.encoders.tile.firstlook import faults_of, first_look

EXACT_SHARE = 0.5
"""Share of the dots that must be found in their very token, in each layer: strides blur the border between two."""

NEAR_SHARE = 0.9
"""Share of the dots that must be found in their token or one beside it, in each layer."""

BACKGROUND, NUCLEI, DOT = (0.85, 0.65, 0.80), (0.55, 0.40, 0.68), (0.12, 0.05, 0.25)
"""Colours of the test image."""

FP16_MAX = 65504.0
"""Largest number that the feature store's fp16 can hold."""

Position = tuple[int, int]


def check(
    encoder: TileEncoder, *, layers: Sequence[str] | None = None, batch: int = 4, seconds: float = 0.5
) -> CheckReport:
    """Test an encoder on images made up here.

    Args:
        encoder: An encoder; one that learns from pixels is tested on a copy shown made-up images.
        layers: Layers to test; by default the first, two between, the last block, and the final one.
        batch: Images encoded at once when speed is measured.
        seconds: How long to measure the speed.
    """
    subject = _prepared(encoder)
    chosen = tuple(layers or _some_layers(subject))
    base = tissue(subject.card.input_size)
    try:
        maps = subject.encode(base, chosen)
    except EncoderError as error:
        finding = Finding("shapes", False, error.problem, error.remedy)
        return CheckReport(subject.card.name, (finding,))
    findings = [
        Finding("shapes", True, f"{len(chosen)} layers of {tuple(maps[chosen[-1]].shape[1:])}, as the card says"),
        _finite(maps),
        *_place(subject, base, maps),
        _repeat(subject, base, maps),
        _batch(subject, base, maps),
        _drift(subject, base, maps),
        *_normalisation(subject, base, maps),
        *passport.counted(sum(p.numel() for p in subject.module.parameters()), subject.card.parameters),
        passport.named(subject.identity),
    ]
    speed, memory = _speed(subject, batch, seconds)
    weights = sum(tensor.nbytes for tensor in subject.module.state_dict().values())
    return CheckReport(subject.card.name, tuple(findings), speed, memory, weights)


def tissue(size: int, seed: int = 0) -> Tensor:
    """A made-up image (1, 3, size, size) in 0 … 1: dark blurs on pink, no edge at a token's border."""
    noise = torch.randn(1, 1, size, size, generator=torch.Generator().manual_seed(seed))
    blurred = smooth(noise, 3.0)
    share = torch.sigmoid(3 * blurred / blurred.std() - 1)
    light, dark = (torch.tensor(colour).view(1, 3, 1, 1) for colour in (BACKGROUND, NUCLEI))
    return (light + (dark - light) * share + 0.01 * noise).clamp(0, 1)


def _prepared(encoder: TileEncoder) -> TileEncoder:
    if not encoder.learns_from_pixels:
        return encoder
    subject = deepcopy(encoder)
    subject.prepare(pixels(tissue(256, seed)) for seed in range(4))
    return subject


def _some_layers(encoder: TileEncoder) -> list[str]:
    depth = encoder.card.depth
    blocks = sorted({1, max(1, depth // 3), max(1, 2 * depth // 3), depth}) if depth else []
    return [*(f"block-{i}" for i in blocks), "final"]


def _finite(maps: Mapping[str, Tensor]) -> Finding:
    bad = [layer for layer, tokens in maps.items() if not bool(torch.isfinite(tokens).all())]
    if bad:
        return Finding("finite", False, f"NaN or infinity in {', '.join(bad)}", "Use --precision fp32 or bf16")
    largest = max(float(tokens.abs().max()) for tokens in maps.values())
    if largest > FP16_MAX:
        return Finding("finite", False, f"values up to {largest:.0f}", "Store features in fp32: fp16 ends at 65504")
    return Finding("finite", True, f"no NaN or infinity; values up to {largest:.1f}")


def positions(grid: int) -> list[Position]:
    """Tokens to plant a dot in: the corners, the centre, and some off the diagonal."""
    end = grid - 1
    wanted = [(0, 0), (0, end), (end, 0), (end, end), (grid // 2, grid // 2)]
    wanted += [(grid // 4, end - 1), (end - 1, grid // 3), (1, grid // 2), (grid // 2, 1), (grid // 3, 2 * grid // 3)]
    inside = [(min(max(y, 0), end), min(max(x, 0), end)) for y, x in wanted]
    return list(dict.fromkeys(inside))


def _place(encoder: TileEncoder, base: Tensor, maps: Mapping[str, Tensor]) -> list[Finding]:
    """All dots at once; where they are not exactly the tokens that changed most, one by one, to see what is wrong."""
    planted, pitch = positions(encoder.card.grid), encoder.card.token_px
    together = encoder.encode(_with_dots(base, planted, pitch), tuple(maps))
    found = {
        layer: planted if set(_most_changed(before[0], together[layer][0], len(planted))) == set(planted) else []
        for layer, before in maps.items()
    }
    missed = tuple(layer for layer, seen in found.items() if not seen)
    for position in planted if missed else ():
        alone = encoder.encode(_with_dots(base, [position], pitch), missed)
        for layer, tokens in alone.items():
            found[layer] += _most_changed(maps[layer][0], tokens[0], 1)
    return [_judge(layer, planted, seen, encoder.card.grid) for layer, seen in found.items()]


def _with_dots(base: Tensor, planted: Sequence[Position], pitch: float) -> Tensor:
    """A copy with some tokens' pieces of the image painted over."""
    # Whole pieces, for a strided convolution may look at no more than a corner of each.
    image = base.clone()
    for position in planted:
        rows, columns = (slice(round(i * pitch), round((i + 1) * pitch)) for i in position)
        image[0, :, rows, columns] = torch.tensor(DOT).view(3, 1, 1)
    return image


def _most_changed(before: Tensor, after: Tensor, count: int) -> list[Position]:
    """The tokens that changed most, every channel in units of its own spread over the map."""
    spread = before.flatten(0, 1).std(0)
    change = ((after - before) / (spread + 1e-3 * spread.max() + 1e-12)).pow(2).sum(-1)
    return [divmod(int(place), change.shape[1]) for place in change.flatten().topk(count).indices]


def _judge(layer: str, planted: Sequence[Position], found: Sequence[Position], grid: int) -> Finding:
    distance = np.abs(np.array(planted) - np.array(found)).max(1)
    exact, near = float((distance == 0).mean()), float((distance <= 1).mean())
    passed = exact >= EXACT_SHARE and near >= NEAR_SHARE
    detail = f"{(distance == 0).sum()} of {len(planted)} dots in their token, {(distance <= 1).sum()} within one"
    if passed:
        return Finding(f"place, {layer}", True, detail)
    what, remedy = _diagnosis(planted, found, grid)
    return Finding(f"place, {layer}", False, f"{detail}; {what}", remedy)


def _diagnosis(planted: Sequence[Position], found: Sequence[Position], grid: int) -> tuple[str, str]:
    end = grid - 1
    mirrors: Mapping[str, Callable[[int, int], Position]] = {
        "the map is transposed": lambda y, x: (x, y),
        "the map is upside down": lambda y, x: (end - y, x),
        "the map is mirrored": lambda y, x: (y, end - x),
        "the map is rotated by half a turn": lambda y, x: (end - y, end - x),
    }
    for what, turn in mirrors.items():
        if np.mean([turn(*p) == f for p, f in zip(planted, found, strict=True)]) >= 0.75:
            return what, "Return tokens as (row, column): reshape to (N, h, w, C) before any permutation"
    shifts = [(f[0] * grid + f[1]) - (p[0] * grid + p[1]) for p, f in zip(planted, found, strict=True)]
    values, counts = np.unique(shifts, return_counts=True)
    if values[counts.argmax()] != 0 and counts.max() / len(shifts) >= 0.5:
        shift = int(values[counts.argmax()])
        return (
            f"the tokens come {abs(shift)} places too {'late' if shift > 0 else 'early'}",
            "Drop exactly the class and register tokens; correct prefix_tokens in the card",
        )
    return (
        "the misses follow no pattern",
        "See that the image is neither resized nor cropped inside the encoder, and that its weights are loaded",
    )


def _difference(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """Largest relative difference of any layer: ‖a − b‖ ÷ ‖b‖."""
    return max(float((a[layer] - b[layer]).norm() / b[layer].norm().clamp(min=1e-12)) for layer in b)


def _repeat(encoder: TileEncoder, base: Tensor, maps: Mapping[str, Tensor]) -> Finding:
    difference = _difference(encoder.encode(base, tuple(maps)), maps)
    return passport.repeats(difference, REPEAT_TOLERANCE if encoder.device.type == "cpu" else BATCH_TOLERANCE)


def _batch(encoder: TileEncoder, base: Tensor, maps: Mapping[str, Tensor]) -> Finding:
    size = encoder.card.input_size
    company = torch.cat([tissue(size, 1), base, tissue(size, 2)])
    together = {layer: tokens[1:2] for layer, tokens in encoder.encode(company, tuple(maps)).items()}
    difference = _difference(together, maps)
    tolerance = BATCH_TOLERANCE if encoder.precision == "fp32" else DRIFT_TOLERANCE
    remedy = "Put the module into eval mode: batch statistics must not be used"
    return passport.same("batch", "the same image among others differs", difference, remedy, tolerance)


def _drift(encoder: TileEncoder, base: Tensor, maps: Mapping[str, Tensor]) -> Finding:
    """Half precision against fp32: judged for the precision in use, otherwise only measured for bf16."""
    in_use = encoder.precision
    other = "fp32" if in_use != "fp32" else "bf16"
    try:
        encoder.precision = other
        again = encoder.encode(base, tuple(maps))
    finally:
        encoder.precision = in_use
    exact, half = (again, maps) if other == "fp32" else (maps, again)
    return passport.drift(in_use if other == "fp32" else other, _difference(half, exact), in_use != "fp32")


def _normalisation(encoder: TileEncoder, base: Tensor, maps: Mapping[str, Tensor]) -> list[Finding]:
    """What the first layer sees, and whether the features depend on the image at all."""
    look, name = first_look(encoder, base), "normalisation"
    seen = f"its first layer sees {look.lowest:.2g} … {look.highest:.2g}" if look else "has no first layer to look at"
    fault = faults_of(encoder.card, look)
    found = [
        Finding(name, False, f"{fault[0]}; {seen}", fault[1]) if fault else Finding(name, bool(look) or None, seen)
    ]
    other = encoder.encode(tissue(encoder.card.input_size, 3), tuple(maps))
    contrast = _difference({"final": other["final"]}, {"final": maps["final"]}) if "final" in maps else None
    if contrast is not None:
        remedy = (
            "See that its weights are loaded, and that it wants images normalised as the card says, not in 0 to 255"
        )
        found.append(passport.contrast("features of two images", contrast, remedy))
    return found


def _speed(encoder: TileEncoder, batch: int, at_least: float) -> tuple[float, int | None]:
    images = tissue(encoder.card.input_size).expand(batch, -1, -1, -1)
    return passport.speed(lambda: encoder.encode(images)["final"].cpu(), batch, str(encoder.device), at_least)


def pixels(image: Tensor) -> NDArray[np.float32]:
    """(H, W, 3) array of one image (1, 3, H, W)."""
    array: NDArray[np.float32] = image[0].permute(1, 2, 0).numpy()
    return array
