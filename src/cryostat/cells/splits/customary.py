"""PanNuke, Arctique, CoNSeP and CoNIC: splits by fold, by release part, or by seed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from cryostat.cells.dataset import GROUP, Split
from cryostat.cells.splits.grouping import in_table_order, units, values, whole
from cryostat.cells.splits.made import group_shift, holdout, kfold, leave_one_site_out

PANNUKE_FOLDS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {"base": (3, 1, 2), "official-1": (1, 2, 3), "official-2": (2, 1, 3), "official-3": (3, 2, 1)}
)
"""Split to the folds that train, validate and test: the benchmark's, then the three of the dataset's own paper."""


def pannuke(fovs: pd.DataFrame) -> list[Split]:
    """`base` as the benchmark has it, and the dataset's three official rotations; fields are named `fold1_0`."""
    fold_of = {str(fov): re.match(r"fold(\d)_", str(fov)) for fov in fovs["fov_id"]}
    numbers = {fov: int(found[1]) for fov, found in fold_of.items() if found}
    return whole(
        in_table_order(name, {fov: _part(fold, folds) for fov, fold in numbers.items() if fold in folds}, fovs)
        for name, folds in PANNUKE_FOLDS.items()
    )


def _part(fold: int, folds: tuple[int, int, int]) -> str:
    return ("train", "valid", "test")[folds.index(fold)]


def arctique(fovs: pd.DataFrame) -> list[Split]:
    """`release` (the released test part tests) and `train-part-70-15-15`.

    The benchmark shuffled the 1,450 released training fields without a seed, so its ids cannot be made again; the
    second split has its proportions, not its fields. Import the published table for those.
    """
    train = _with_release_part(fovs, "train")
    return [*_release(fovs, "release"), *_dealt(train, "train-part-70-15-15")]


def consep(fovs: pd.DataFrame) -> list[Split]:
    """`official` (Train trains and validates, Test tests); five folds and a hold-out over the official training images.

    The patients of CoNSeP are not published: fields of one patient may lie in several parts of the made splits.
    """
    train = _with_release_part(fovs, "train")
    folds = kfold(train, 5) if len(train) >= 10 else []
    return [*_release(fovs, "official"), *folds, *_dealt(train, "holdout")]


def conic(fovs: pd.DataFrame) -> list[Split]:
    """`holdout`, by source image where that is known, and leave-one-site-out where sites are."""
    sites = {site for site in values(fovs, "site").values() if site is not None} if "site" in fovs else set()
    return whole([*_dealt(fovs, "holdout"), *(leave_one_site_out(fovs) if len(sites) > 2 else [])])


def _dealt(fovs: pd.DataFrame, name: str) -> list[Split]:
    return [holdout(fovs, name=name)] if len(fovs) and len(units(fovs)) >= 3 else []


def release_part(fovs: pd.DataFrame) -> dict[str, str | None]:
    """The part of the release that a field came from, `train` or `test`: by group, folder, or name."""
    column = fovs.get(f"{GROUP}release_part", pd.Series([None] * len(fovs), index=fovs.index))
    sources = fovs.get("source", pd.Series([""] * len(fovs), index=fovs.index))
    rows = zip(fovs["fov_id"].astype(str), column, sources.astype(str), strict=True)
    return {fov: _first_part(group, source, fov) for fov, group, source in rows}


def _first_part(*hints: object) -> str | None:
    found = (re.match(r"(train|test)(?![a-z])", str(hint).lower()) for hint in hints)
    return next((match[1] for match in found if match), None)


def _with_release_part(fovs: pd.DataFrame, part: str) -> pd.DataFrame:
    parts = release_part(fovs)
    return fovs[[parts[str(fov)] == part for fov in fovs["fov_id"]]]


def _release(fovs: pd.DataFrame, name: str) -> list[Split]:
    parts = release_part(fovs)
    train = _with_release_part(fovs, "train")
    if set(parts.values()) < {"train", "test"} or "test" not in parts.values() or len(units(train)) < 2:
        return []
    fovs = fovs.assign(**{f"{GROUP}release_part": [parts[str(fov)] for fov in fovs["fov_id"]]})
    return [group_shift(fovs, "release_part", ["train"], ["test"], name=name, valid=0.15)]
