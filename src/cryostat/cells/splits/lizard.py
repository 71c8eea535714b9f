"""Lizard: the published base split by its ids, and leave-one-centre-out by the published rule."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from importlib.resources import files

import numpy as np
import pandas as pd

from cryostat.cells.dataset import Split
from cryostat.cells.splits.grouping import whole

CENTRES = ("dpath", "glas", "consep", "pannuke", "crag")
"""The centres in the row order of the published table; a field is named `crag_17`."""


def base_rows() -> dict[str, str]:
    """The published base split in its row order: 238 field names to train (98), valid (70), test (70)."""
    text = files("cryostat.cells.splits").joinpath("lizard_base.csv").read_text(encoding="utf-8")
    return {row["sample_name"]: row["train_test_val_split"] for row in csv.DictReader(text.splitlines())}


def published_splits(fovs: pd.DataFrame) -> list[Split]:
    """`base`, and a split for each centre: `glas` tests on GlaS, and so on.

    With fields missing there is no `base`, and the centre splits follow the same rule over what is there under another
    name (`glas-partial`): their validation fields are then not the published ones.
    """
    base, here = base_rows(), set(fovs["fov_id"].astype(str))
    if set(base) <= here:
        return [Split("base", base), *(leave_centre_out(list(base), centre, centre) for centre in CENTRES)]
    rows = sorted((fov for fov in here if _centre(fov) in CENTRES), key=_row)
    return whole(leave_centre_out(rows, centre, f"{centre}-partial") for centre in CENTRES)


def leave_centre_out(rows: Sequence[str], centre: str, name: str) -> Split:
    """All fields of a centre test; a fifth of the others, drawn as scikit-learn draws it, validates.

    The draw is that of `train_test_split(rows, test_size=0.2, random_state=42)` over the rows of other centres in their
    order: the first ceil(n / 5) of a Mersenne-Twister permutation.

    Args:
        rows: Field names in the order of the published table.
        centre: Prefix of the names that test.
        name: Name of the split.
    """
    others = [fov for fov in rows if _centre(fov) != centre]
    order = np.random.RandomState(42).permutation(len(others))
    valid = {others[i] for i in order[: math.ceil(0.2 * len(others))]}
    parts = {fov: "test" if _centre(fov) == centre else "valid" if fov in valid else "train" for fov in rows}
    return Split(name, parts)


def _centre(fov: str) -> str:
    return fov.rsplit("_", 1)[0]


def _row(fov: str) -> tuple[int, int, str]:
    number = re.search(r"(\d+)$", fov)
    return CENTRES.index(_centre(fov)), int(number[1]) if number else 0, fov
