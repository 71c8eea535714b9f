"""What the options of `cryostat data split` say, turned into splits."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryostat.core.errors import SettingError

if TYPE_CHECKING:
    from cryostat.cells.dataset import CellDataset, Split


@dataclass(frozen=True)
class Wish:
    """What all ways of splitting share: seed, what stays together, and a name, where the user chose one."""

    seed: int = 0
    by: str | None = None
    name: str | None = None


def make_splits(dataset: CellDataset, asked: Mapping[str, Any], wish: Wish) -> list[Split]:
    """The splits that the options ask for.

    Args:
        dataset: The dataset to divide.
        asked: Option (`--kfold` ...) to its value, None where not given.
        wish: Seed, grouping and name.

    Raises:
        SettingError: None or several options are given, one cannot be understood, or `--by` does not go with it.
    """
    given = {option: value for option, value in asked.items() if value is not None}
    if len(given) != 1:
        what = f"{', '.join(given)} are several ways of splitting" if given else "no way of splitting was asked for"
        raise SettingError(what, remedy=f"Give one of {', '.join(MAKERS)}")
    ((option, value),) = given.items()
    if wish.by is not None and option not in ("--kfold", "--holdout"):
        raise SettingError(
            f"--by does not go with {option}", remedy="Leave it out: a patient's fields stay together where known"
        )
    return MAKERS[option](dataset, value, wish)


def _kfold(dataset: CellDataset, k: int, wish: Wish) -> list[Split]:
    from cryostat.cells.splits import kfold

    splits = kfold(dataset.fovs, k, wish.seed, by=wish.by)
    return splits if wish.name is None else [replace(s, name=f"{wish.name}-{i}") for i, s in enumerate(splits)]


def _holdout(dataset: CellDataset, text: str, wish: Wish) -> list[Split]:
    from cryostat.cells.splits import holdout

    try:
        shares = [float(share) for share in text.split("/")]
    except ValueError as error:
        raise SettingError(
            f"--holdout {text!r} is not three shares", remedy="Write for example --holdout 70/15/15"
        ) from error
    return [holdout(dataset.fovs, shares, wish.seed, by=wish.by, name="holdout" if wish.name is None else wish.name)]


def _leave_out(dataset: CellDataset, text: str, wish: Wish) -> list[Split]:
    from cryostat.cells.splits import leave_one_site_out, leave_out

    column, sign, value = text.partition("=")
    if sign:
        return [leave_out(dataset.fovs, column, value, wish.seed, name=wish.name)]
    if wish.name is not None:
        raise SettingError(
            "--split-name names one split, but each value makes one", remedy=f"Name one: --leave-out {column}=VALUE"
        )
    return leave_one_site_out(dataset.fovs, wish.seed, column=column)


def _shift(dataset: CellDataset, text: str, wish: Wish) -> list[Split]:
    from cryostat.cells.splits import group_shift

    column, sign, sides = text.partition("=")
    train, colon, test = sides.partition(":")
    if not (sign and colon and train and test):
        raise SettingError(
            f"--shift {text!r} is not GROUP=A:B", remedy="Write for example --shift stage=3:4 or site=north,south:west"
        )
    return [group_shift(dataset.fovs, column, train.split(","), test.split(","), wish.seed, name=wish.name)]


def _csv(dataset: CellDataset, path: Path, wish: Wish) -> list[Split]:
    from cryostat.cells.splits import read_split_csv

    # The file's own name stays recognisable: the audit knows published tables by it.
    own = re.sub(r"[^A-Za-z0-9._+-]+", "-", path.stem)
    return [read_split_csv(path, own if wish.name is None else wish.name, dataset)]


MAKERS: Mapping[str, Callable[[CellDataset, Any, Wish], list[Split]]] = {
    "--kfold": _kfold,
    "--holdout": _holdout,
    "--leave-out": _leave_out,
    "--shift": _shift,
    "--csv": _csv,
}
"""Option to what makes its splits."""
