"""Counts compared with what is known: published test supports, published nuclei, fields of a release."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from skimage.measure import label

from cryostat.cells.audit.report import Finding
from cryostat.cells.dataset import CellDataset, Split
from cryostat.cells.splits.customary import release_part
from cryostat.cells.tiling.geometry import even_cut

TILE = 224
"""Longest side of a tile of the published tiling."""


@dataclass(frozen=True)
class Known:
    """Counts that are known.

    Attributes:
        format: Format that they belong to.
        counts: Class id to nuclei.
        splits: Names that the split goes by; empty for counts of a release part.
        release_part: `train` or `test` for counts of whole nuclei; empty for test supports.
        fields: Fields of view counted; None where not published.
        pieces_apart: Each connected piece of an id was counted as a nucleus.
    """

    format: str
    counts: Mapping[int, int]
    splits: tuple[str, ...] = ()
    release_part: str = ""
    fields: int | None = None
    pieces_apart: bool = False


@cache
def _table() -> dict[str, Any]:
    text = files("cryostat.cells.audit").joinpath("known_truth.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def known(kind: str) -> list[Known]:
    """The shipped counts of one kind: `support` or `nuclei`."""
    return [
        Known(
            row["format"],
            {int(i): n for i, n in row["counts"].items()},
            tuple(row.get("splits", ())),
            row.get("release_part", ""),
            row.get("fields"),
            row.get("pieces_apart", False),
        )
        for row in _table()[kind]
    ]


def formats() -> set[str]:
    """The formats of which something is known."""
    return set(_table()["release"]) | {k.format for k in known("support")}


def truth_findings(dataset: CellDataset, splits: Iterable[Split], known_as: str) -> Iterator[Finding]:
    """Compare with everything known of the format `known_as`; formats of which nothing is known give nothing."""
    complete = _table()["release"].get(known_as)
    if complete is not None and complete != len(dataset.fovs):
        yield Finding(
            "note",
            "fields of the release",
            f"fields of view here: {len(dataset.fovs):,}; the complete release has {complete:,}",
            "",
        )
    by_name = {split.name: split for split in splits}
    for truth in (k for k in known("support") if k.format == known_as):
        yield from _support(dataset, truth, [by_name[name] for name in truth.splits if name in by_name])
    for truth in (k for k in known("nuclei") if k.format == known_as):
        yield from _nuclei(dataset, truth)


def _support(dataset: CellDataset, truth: Known, splits: Iterable[Split]) -> Iterator[Finding]:
    for split in splits:
        tested = split.fovs("test")
        where = f"split {split.name}, test"
        if set(tested) - set(dataset.fovs.index) or truth.fields not in (None, len(tested)):
            what = f"not compared: the published test part has {truth.fields} fields, here are {len(tested)}"
            yield Finding("note", "known test support", what, where)
            continue
        # Without a published number of fields, a difference may be one of fields rather than of reading.
        severity = "error" if truth.fields is not None else "warning"
        counts = (tile_supports(dataset, fov, pieces_apart=truth.pieces_apart) for fov in tested)
        found = sum(counts, Counter())
        yield _verdict(dataset, truth, found, where, f"{len(tested)} test fields", "tile-level nuclei", severity)


def _nuclei(dataset: CellDataset, truth: Known) -> Iterator[Finding]:
    here = [fov for fov, part in release_part(dataset.fovs).items() if part == truth.release_part]
    if len(here) != truth.fields or {c.id for c in dataset.classes} != set(truth.counts):
        return
    found = Counter(dataset.cells.loc[dataset.cells["fov_id"].isin(here), "class_id"].tolist())
    where = f"the {truth.release_part} part of the release"
    yield _verdict(dataset, truth, found, where, f"{len(here)} fields", "nuclei", "error")


def _verdict(
    dataset: CellDataset, truth: Known, found: Mapping[int, int], where: str, fields: str, unit: str, severity: Any
) -> Finding:
    names = {c.id: c.name for c in dataset.classes}
    wrong = [
        f"{names.get(i, f'class {i}')} {found.get(i, 0):,} instead of {truth.counts.get(i, 0):,}"
        for i in sorted({*truth.counts, *found} - {0})
        if found.get(i, 0) != truth.counts.get(i, 0)
    ]
    check = f"known {unit}"
    if not wrong:
        total = sum(truth.counts.values())
        return Finding(
            "note", check, f"the {fields} hold exactly the published {total:,} {unit}, class by class", where
        )
    remedy = "Check that the source is the release, complete and unchanged; scores are not comparable as it is"
    return Finding(severity, check, f"{unit} differ from the published: {'; '.join(wrong)}", where, remedy)


def tile_supports(dataset: CellDataset, fov_id: str, *, pieces_apart: bool = False) -> Counter[int]:
    """Class id to nuclei counted tile by tile, as the published evaluation counts them.

    The field is cut evenly into ceil(side / 224) pieces a side; each nucleus counts once in every piece that holds a
    pixel of it, with the truncated mean of its pixel labels there as its class.

    Args:
        dataset: The dataset.
        fov_id: The field of view.
        pieces_apart: Take each connected piece (8 neighbours) of an id for a nucleus.
    """
    instances, labels = np.asarray(dataset.instances(fov_id)), np.asarray(dataset.semantic(fov_id))
    if pieces_apart:
        instances = label(instances)
    piece_of = np.zeros(instances.shape, np.int64)
    for number, piece in enumerate(even_cut(instances.shape[0], instances.shape[1], TILE)):
        piece_of[piece.y : piece.y + piece.height, piece.x : piece.x + piece.width] = number
    rows, columns = np.nonzero(instances)
    key = piece_of[rows, columns] * (int(instances.max(initial=0)) + 1) + instances[rows, columns]
    _, which, size = np.unique(key, return_inverse=True, return_counts=True)
    total = np.bincount(which, labels[rows, columns], len(size))
    return Counter((total // size).astype(int).tolist()) if len(size) else Counter()
