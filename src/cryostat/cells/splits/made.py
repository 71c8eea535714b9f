"""Splits made by rule and seed: k-fold, hold-out, leave-one-out, group shift, nested training subsets.

All are functions of the set of fields of view and the seed alone: the order of the table does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from cryostat.cells.dataset import PARTS, Split
from cryostat.cells.splits.grouping import allocate, in_table_order, slug, together, units, values
from cryostat.core.errors import SettingError

FRACTIONS = (0.01, 0.05, 0.10, 0.20, 0.50, 1.0)
"""Shares of the training fields of view in the data-efficiency experiments."""


def kfold(fovs: pd.DataFrame, k: int = 5, seed: int = 0, *, by: str | None = None, valid: float = 0.15) -> list[Split]:
    """Split k times, each field of view in the test part once.

    Args:
        fovs: One row a field of view, as in `fovs.parquet`.
        k: Number of folds, 2 or more.
        seed: Seed of the folds and of the validation fields.
        by: What stays together (`patient`, `fov`, `site`, a group); by default the patient where known.
        valid: Share of each fold's training fields that becomes validation.

    Returns:
        Splits named `5fold-0`, `5fold-1` ...

    Raises:
        SettingError: Fewer than k patients (or whatever stays together), or a share that is none.
    """
    if k < 2:
        raise SettingError(f"{k} folds are none", remedy="Ask for two folds or more")
    groups = units(fovs, by)
    fold_of = allocate(groups, {str(fold): 1 / k for fold in range(k)}, np.random.default_rng(seed))
    return [
        _test_and_rest(
            f"{k}fold-{fold}",
            fovs,
            {fov for fov, f in fold_of.items() if f == str(fold)},
            set(fold_of),
            valid=valid,
            seed=(seed, fold + 1),
            by=by,
        )
        for fold in range(k)
    ]


def holdout(
    fovs: pd.DataFrame,
    shares: Sequence[float] = (0.70, 0.15, 0.15),
    seed: int = 0,
    *,
    by: str | None = None,
    name: str = "holdout",
) -> Split:
    """One split in given proportions.

    Args:
        fovs: One row a field of view.
        shares: Proportions of train, valid, test (any positive numbers, as 70, 15, 15).
        seed: Seed.
        by: What stays together; by default the patient where known.
        name: Name of the split.

    Raises:
        SettingError: The shares are not three positive numbers, or there are fewer than three patients.
    """
    if len(shares) != len(PARTS) or not all(math.isfinite(s) and s > 0 for s in shares):
        raise SettingError(
            f"{'/'.join(map(str, shares))} are not proportions of train, valid and test",
            remedy="Give three positive numbers, as 70/15/15",
        )
    wanted = {part: share / sum(shares) for part, share in zip(PARTS, shares, strict=True)}
    return in_table_order(name, allocate(units(fovs, by), wanted, np.random.default_rng(seed)), fovs)


def leave_out(
    fovs: pd.DataFrame,
    column: str,
    value: str,
    seed: int = 0,
    *,
    valid: float = 0.20,
    name: str | None = None,
) -> Split:
    """Test on one site (or value of a group), train and validate on all others.

    Fields of view whose patient also occurs in the test part are left out of training.

    Args:
        fovs: One row a field of view.
        column: `site`, `patient` or a group.
        value: The value that makes the test part.
        seed: Seed of the choice of validation fields.
        valid: Share of the remaining fields that validates.
        name: Name of the split; `site-glas-out` by default.

    Raises:
        SettingError: No field has that value, or too few others remain.
    """
    others = {v for v in values(fovs, column).values() if v is not None and v != value}
    return group_shift(
        fovs, column, sorted(others), [value], seed, valid=valid, name=name or slug(f"{column}-{value}-out")
    )


def leave_one_site_out(fovs: pd.DataFrame, seed: int = 0, *, column: str = "site", valid: float = 0.20) -> list[Split]:
    """`leave_out` for each site (or each value of a group) in turn.

    Raises:
        SettingError: Fewer than two values are known, or too few fields remain beside one.
    """
    known = sorted({v for v in values(fovs, column).values() if v is not None})
    if len(known) < 2:
        raise SettingError(
            f"the fields of view name {len(known)} different values of {column}",
            remedy="Choose a group with two values or more, or import with a --clinical table that names it",
        )
    return [leave_out(fovs, column, value, seed, valid=valid) for value in known]


def group_shift(
    fovs: pd.DataFrame,
    column: str,
    train_values: Iterable[str],
    test_values: Iterable[str],
    seed: int = 0,
    *,
    valid: float = 0.20,
    name: str | None = None,
) -> Split:
    """Train and validate on some values of a group, test on others; fields with neither are left out.

    A patient with fields on both sides keeps those of the test side only.

    Args:
        fovs: One row a field of view.
        column: `site`, `patient` or a group.
        train_values: Values that train and validate.
        test_values: Values that test.
        seed: Seed of the choice of validation fields.
        valid: Share of the training side that validates, grouped by patient where known.
        name: Name of the split; `stage-3-to-4` by default.

    Raises:
        SettingError: A value does not occur, occurs on both sides, or too few patients remain to train on.
    """
    train_side, test_side = list(train_values), list(test_values)
    value_of = values(fovs, column)
    _check_sides(column, train_side, test_side, {v for v in value_of.values() if v is not None})
    test = {fov for fov, value in value_of.items() if value in set(test_side)}
    patient_of = values(fovs, together(fovs))
    tested = {patient_of[fov] for fov in test} - {None}
    pool = {fov for fov, value in value_of.items() if value in set(train_side) and patient_of[fov] not in tested}
    name = name or slug(f"{column}-{'+'.join(train_side)}-to-{'+'.join(test_side)}")
    return _test_and_rest(name, fovs, test, test | pool, valid=valid, seed=(seed,), by=None)


def _check_sides(column: str, train_side: list[str], test_side: list[str], known: set[str]) -> None:
    if both := sorted(set(train_side) & set(test_side)):
        raise SettingError(f"{column} {both[0]!r} is to train and to test", remedy="Put each value on one side")
    for value in (*train_side, *test_side):
        if value not in known:
            raise SettingError(
                f"no field of view has {column} {value!r}",
                remedy=f"Choose from: {', '.join(sorted(known)) or 'none, it is unknown everywhere'}",
            )
    if not train_side or not test_side:
        raise SettingError(f"{column} gives nothing to train on or to test on", remedy="Name values for both sides")


def _test_and_rest(
    name: str, fovs: pd.DataFrame, test: set[str], among: set[str], *, valid: float, seed: Sequence[int], by: str | None
) -> Split:
    if not 0 < valid < 1:
        raise SettingError(f"a validation share of {valid} is none", remedy="Choose one between 0 and 1, as 0.2")
    rest = fovs[fovs["fov_id"].astype(str).isin(among - test)]
    try:
        dealt = allocate(units(rest, by), {"train": 1 - valid, "valid": valid}, np.random.default_rng(list(seed)))
    except SettingError as error:
        raise SettingError(
            f"split {name!r} leaves too few patients, sites or fields to train and validate on",
            remedy="Use more fields of view, fewer folds, or group by something finer",
        ) from error
    return in_table_order(name, dealt | dict.fromkeys(test, "test"), fovs)


def subset(split: Split, fraction: float, seed: int = 0) -> Split:
    """The split with a seeded share of its training fields of view; valid and test as they are.

    Whole fields of view, at least one. For one seed the subsets are nested: each holds every smaller one.

    Args:
        split: The full split.
        fraction: Share of the training fields, above 0 and at most 1 (see `FRACTIONS`).
        seed: Seed of the order in which fields are taken, whatever the share.

    Returns:
        The split itself for 1, else one named as `base-5pct-seed0`.

    Raises:
        SettingError: The fraction is outside (0, 1].
    """
    if not 0 < fraction <= 1:
        raise SettingError(f"a training share of {fraction} is none", remedy="Choose one above 0 and at most 1")
    if fraction == 1:
        return split
    train = sorted(split.fovs("train"))
    order = np.random.default_rng(seed).permutation(len(train))
    kept = {train[i] for i in order[: max(1, math.floor(fraction * len(train) + 0.5))]}
    parts = {fov: part for fov, part in split.parts.items() if part != "train" or fov in kept}
    return Split(f"{split.name}-{100 * fraction:g}pct-seed{seed}", parts)
