"""Fields of view that show the same tissue: copied, re-encoded, mirrored, turned, or overlapping.

Dark and bright spots of each thumbnail are landmarks. The 15 µm around a landmark describe it: pooled to 5×5, brought
to zero mean and unit length, and turned into one of eight orientations by the first moments. Fields with landmarks
alike are laid over each other by the orientation and shift that most of these agree on, and show the same tissue when
their overlap correlates. By chance two landmarks are alike once in a million, measured on colon tissue.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cryostat.core.progress import track

RADIUS = 7
"""Pixels around a landmark that describe it."""
POOL = 3
"""Side of the blocks that are averaged."""
LENGTH = 25
"""Numbers that describe a landmark."""
ALIKE = 0.96
"""Least cosine between the descriptors of two landmarks that may be the same spot."""
AGREE = 4
"""Least number of landmark pairs that agree on one orientation and shift."""
SAME, SMALL = 0.80, 0.15
"""Least correlation of the overlap of two fields that show the same tissue, and what the smallest overlap must have on
top: few nuclei may lie alike by chance."""
OVERLAP = 1600
"""Least overlap in thumbnail pixels (µm²)."""
ENOUGH = 400
"""Landmark pairs that are asked for their orientation and shift when two fields have more."""
BUDGET, LEAST = 60_000, 24
"""Landmarks in all, beyond which each field keeps its strongest, but at least so many."""


@dataclass(frozen=True)
class Duplicate:
    """Two fields of view that show the same tissue.

    Attributes:
        first: fov_id.
        second: fov_id.
        overlap: Share of the smaller field that both show.
        correlation: Of the overlap, at 1 µm per pixel.
        turned: Whether one is mirrored or turned against the other.
    """

    first: str
    second: str
    overlap: float
    correlation: float
    turned: bool


@dataclass(frozen=True)
class _Landmarks:
    """Of one field: position (n, 2), frame (n, 2, 2) into the canonical orientation, description (n, 25)."""

    position: NDArray[np.int64]
    frame: NDArray[np.int64]
    description: NDArray[np.float32]


def find_duplicates(names: Sequence[str], thumbnails: Sequence[NDArray[np.float32]]) -> list[Duplicate]:
    """All pairs of fields of view that show the same tissue.

    Args:
        names: fov_ids.
        thumbnails: Their absorbance at 1 µm per pixel, (h, w) each.
    """
    if len(names) < 2:
        return []
    limit = max(LEAST, BUDGET // len(names))
    landmarks = [_landmarks(thumbnail, limit) for thumbnail in thumbnails]
    found = []
    for i, j, matches in _alike(landmarks):
        laid = _agreement(landmarks[i], landmarks[j], matches)
        if laid is None:
            continue
        correlation, overlap = _overlay(thumbnails[i], thumbnails[j], *laid)
        area = overlap * min(thumbnails[i].size, thumbnails[j].size)
        if correlation >= SAME + SMALL * min(1.0, OVERLAP / max(area, 1.0)):
            turned = not np.array_equal(laid[0], np.eye(2))
            found.append(Duplicate(names[i], names[j], overlap, correlation, turned))
    return found


def _landmarks(thumbnail: NDArray[np.float32], limit: int) -> _Landmarks:
    size = 2 * RADIUS + 1
    if min(thumbnail.shape) < size or float(thumbnail.std()) < 1e-3:
        return _Landmarks(np.zeros((0, 2), np.int64), np.zeros((0, 2, 2), np.int64), np.zeros((0, LENGTH), np.float32))
    spots = ndimage.gaussian_filter(thumbnail, 1.5) - ndimage.gaussian_filter(thumbnail, 2.4)
    strength = np.abs(spots)
    peak = (strength == ndimage.maximum_filter(strength, 5)) & (strength > 0.1 * thumbnail.std())
    peak[:RADIUS], peak[-RADIUS:], peak[:, :RADIUS], peak[:, -RADIUS:] = False, False, False, False
    position = np.argwhere(peak)
    strongest = np.argsort(-strength[peak], kind="stable")[:limit]
    position = position[np.sort(strongest)]
    pooled = ndimage.uniform_filter(thumbnail, POOL)
    offsets = np.arange(-RADIUS + 1, RADIUS, POOL)
    patches = pooled[position[:, 0, None, None] + offsets[:, None], position[:, 1, None, None] + offsets[None, :]]
    return _describe(position, patches)


def _describe(position: NDArray[np.int64], patches: NDArray[np.float32]) -> _Landmarks:
    patches = patches - patches.mean((1, 2), keepdims=True)
    patches = patches / np.maximum(np.linalg.norm(patches, axis=(1, 2), keepdims=True), 1e-9)
    arm = np.arange(patches.shape[1]) - patches.shape[1] // 2
    moment_y, moment_x = (patches * arm[:, None]).sum((1, 2)), (patches * arm[None, :]).sum((1, 2))
    flip_y, flip_x, swap = moment_y < 0, moment_x < 0, np.abs(moment_y) < np.abs(moment_x)
    patches = np.where(flip_y[:, None, None], patches[:, ::-1], patches)
    patches = np.where(flip_x[:, None, None], patches[:, :, ::-1], patches)
    patches = np.where(swap[:, None, None], patches.transpose(0, 2, 1), patches)
    flips = np.zeros((len(position), 2, 2), np.int64)
    flips[:, 0, 0], flips[:, 1, 1] = np.where(flip_y, -1, 1), np.where(flip_x, -1, 1)
    frame = np.where(swap[:, None, None], flips[:, ::-1], flips)
    return _Landmarks(position, frame, patches.reshape(len(position), LENGTH).astype(np.float32))


def _alike(landmarks: Sequence[_Landmarks]) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """Pairs of fields with enough landmarks alike: first, second, (m, 2) indices of these landmarks."""
    sizes = np.array([len(marks.position) for marks in landmarks])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    everything = np.concatenate([marks.description for marks in landmarks])
    owner = np.repeat(np.arange(len(landmarks)), sizes)
    for i, marks in enumerate(track(landmarks, "Comparing fields")):
        later = everything[starts[i + 1] :]
        mine, theirs = np.nonzero(marks.description @ later.T >= ALIKE)
        theirs = theirs + starts[i + 1]
        counts = np.bincount(owner[theirs], minlength=len(landmarks))
        for j in np.nonzero(counts >= AGREE)[0]:
            chosen = owner[theirs] == j
            yield i, int(j), np.stack([mine[chosen], theirs[chosen] - starts[j]], 1)


def _agreement(
    first: _Landmarks, second: _Landmarks, matches: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """The orientation (2, 2) and shift (2,) that take the first field's pixels to the second's, by majority."""
    a, b = matches[:: 1 + len(matches) // ENOUGH].T
    turn = np.einsum("nji,njk->nik", second.frame[b], first.frame[a])
    shift = second.position[b] - np.einsum("nij,nj->ni", turn, first.position[a])
    code = turn.reshape(-1, 4) @ np.array([27, 9, 3, 1])
    votes = (
        (code[:, None] == code[None, :])
        & (np.abs(shift[:, None, 0] - shift[None, :, 0]) <= 2)
        & (np.abs(shift[:, None, 1] - shift[None, :, 1]) <= 2)
    )
    support = votes.sum(1)
    best = int(support.argmax())
    if len(np.unique(a[votes[best]])) < AGREE:
        return None
    return turn[best], np.round(np.median(shift[votes[best]], axis=0)).astype(np.int64)


def _overlay(
    first: NDArray[np.float32], second: NDArray[np.float32], turn: NDArray[np.int64], shift: NDArray[np.int64]
) -> tuple[float, float]:
    """Correlation and share of the overlap, at the best shift within two pixels."""
    turned, origin = _turn(first, turn)
    smaller = min(first.size, second.size)
    best = (0.0, 0.0)
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            a, b = _overlap(turned, second, origin + shift + (dy, dx))
            if a.size >= min(OVERLAP, 0.9 * smaller):
                best = max(best, (_correlation(a, b), a.size / smaller))
    return best


def _turn(plane: NDArray[np.float32], turn: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The plane turned, and where its first pixel then lies relative to the turned origin."""
    swapped = turn[0, 0] == 0
    turned = plane.T if swapped else plane
    sign = turn.sum(1)
    origin = np.where(sign < 0, -(np.array(turned.shape) - 1), 0)
    return turned[:: int(sign[0]), :: int(sign[1])], origin


def _overlap(
    a: NDArray[Any], b: NDArray[Any], origin: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    (y, x), (height, width) = origin, a.shape
    top, left = max(0, y), max(0, x)
    bottom, right = min(b.shape[0], y + height), min(b.shape[1], x + width)
    if bottom <= top or right <= left:
        return a[:0, :0], b[:0, :0]
    return a[top - y : bottom - y, left - x : right - x], b[top:bottom, left:right]


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1e-9))
