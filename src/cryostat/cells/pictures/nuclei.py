"""The nuclei of a field of view as predicted, and how each is painted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cryostat.cells.dataset import CellDataset
from cryostat.cells.drawing import Style
from cryostat.core.errors import IdentityError, SettingError

RIGHT, WRONG, MISSED, UNSCORED = "right", "wrong", "missed", "unscored"
"""What became of a nucleus: missed is a nucleus taken for background, unscored one without prediction or truth."""

CORRECT, GHOST = "#7f9a86", "#6f6b76"
"""The grey-green of what is right, and the grey of what was not seen."""

FILL, BOLD, THIN = 0.28, 3.4, 1.2
"""Opacity of a class colour over tissue, and widths of lines in pixels of the page."""


def field_nuclei(dataset: CellDataset, table: pd.DataFrame, fov: str) -> pd.DataFrame:
    """The nuclei of one field with truth, prediction and what became of them.

    A nucleus with several rows (cut by tile borders under the `paper` protocol) gets the commonest class of its rows,
    the lowest of equals.

    Args:
        dataset: The dataset.
        table: Predictions table; other fields' rows are passed over.
        fov: The field of view.

    Returns:
        A row a nucleus of the dataset: cell_id; truth and predicted, 0 where there is none; state, one of `RIGHT`,
        `WRONG`, `MISSED`, `UNSCORED`.

    Raises:
        SettingError: The dataset has no such field.
        IdentityError: The table names nuclei that the dataset has not.
    """
    if fov not in dataset.fovs.index:
        raise SettingError(
            f"dataset {dataset.name!r} has no field of view {fov!r}",
            remedy=f"Its fields are named like {dataset.fovs.index[0]!r}",
        )
    rows = table.loc[table["fov_id"] == fov, ["cell_id", "y_true", "y_pred"]]
    cells = dataset.cells_of(fov)[["cell_id", "class_id"]]
    if strangers := sorted(set(rows["cell_id"]) - set(cells["cell_id"])):
        raise IdentityError(
            f"the predictions for {fov!r} name nucleus {strangers[0]}, which dataset {dataset.name!r} has not",
            remedy="Import the dataset that the run was made on, or run it again",
        )
    voted = rows.groupby("cell_id").agg(_commonest) if rows["cell_id"].duplicated().any() else rows.set_index("cell_id")
    nuclei = cells.merge(voted, left_on="cell_id", right_index=True, how="left")
    seen = nuclei["y_pred"].notna()
    truth = nuclei["y_true"].where(seen, nuclei["class_id"]).astype(int)
    predicted = nuclei["y_pred"].fillna(0).astype(int)
    state = np.select(
        [~seen | (truth == 0), truth == predicted, predicted == 0], [UNSCORED, RIGHT, MISSED], default=WRONG
    )
    columns = {"cell_id": nuclei["cell_id"].astype(int), "truth": truth, "predicted": predicted, "state": state}
    return pd.DataFrame(columns).reset_index(drop=True)


def _commonest(values: pd.Series) -> int:
    return int(values.mode().iloc[0])


def class_style(color: str) -> Style:
    """A nucleus of a known class."""
    return Style(color, width=1.6, fill=color, cover=FILL)


BLANK = Style(GHOST, width=THIN, fill=GHOST, cover=0.75, hatched=True)
"""A nucleus without a class: not scored, or nothing but background was predicted."""


def truth_styles(nuclei: pd.DataFrame, colors: Mapping[int, str]) -> dict[int, Style]:
    """Each nucleus in the colour of its true class."""
    return _by_class(nuclei["cell_id"], nuclei["truth"], colors)


def predicted_styles(nuclei: pd.DataFrame, colors: Mapping[int, str]) -> dict[int, Style]:
    """Each nucleus in the colour of its predicted class, those without a prediction hatched."""
    return _by_class(nuclei["cell_id"], nuclei["predicted"], colors)


def _by_class(cells: pd.Series, classes: pd.Series, colors: Mapping[int, str]) -> dict[int, Style]:
    styles = {c: class_style(color) for c, color in colors.items() if c}
    return {int(cell): styles.get(int(c), BLANK) for cell, c in zip(cells, classes, strict=True)}


def right_style() -> Style:
    """A nucleus that is right: there, but quiet."""
    return Style(CORRECT, width=THIN)


def wrong_style(truth: str, predicted: str) -> Style:
    """A nucleus that is wrong: filled with what it is, outlined as what it was taken for."""
    return Style(predicted, width=BOLD, fill=truth, cover=0.85)


def missed_style(truth: str) -> Style:
    """A nucleus taken for background: stripes of what it is."""
    return Style(GHOST, width=THIN, fill=truth, cover=0.95, hatched=True)


def error_styles(nuclei: pd.DataFrame, colors: Mapping[int, str]) -> dict[int, Style]:
    """Each nucleus by what became of it."""
    styles = {}
    for cell, truth, predicted, state in nuclei.itertuples(index=False):
        true_color, color = colors.get(truth, GHOST), colors.get(predicted, GHOST)
        styles[int(cell)] = {
            RIGHT: right_style(),
            WRONG: wrong_style(true_color, color),
            MISSED: missed_style(true_color),
            UNSCORED: BLANK,
        }[state]
    return styles
