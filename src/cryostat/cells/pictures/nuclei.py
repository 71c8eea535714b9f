"""The nuclei of a field of view as predicted, and how each is painted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cryostat.cells.dataset import CellDataset
from cryostat.cells.drawing import Style
from cryostat.core.errors import IdentityError, SettingError

RIGHT, WRONG, MISSED, UNSCORED = "right", "wrong", "missed", "unscored"
"""What became of a nucleus: missed is a nucleus taken for background, unscored one without prediction or truth."""

CORRECT, GHOST, LOST = "#7f9a86", "#6f6b76", "#3a3640"
"""The grey-green of what is right, the grey of what was not scored, the dark line round what was not seen."""

FILL = 0.28
"""Opacity of a class colour over tissue."""


@dataclass(frozen=True)
class Pen:
    """Widths of lines, pixels of the page.

    Attributes:
        thin: What shall be quiet.
        line: Nuclei of a class.
        bold: Errors.
    """

    thin: float
    line: float
    bold: float

    @classmethod
    def at(cls, mpp: float) -> Pen:
        """Lines that do not drown small nuclei, for a page of so many µm per pixel."""
        thin, line, bold = (
            float(np.clip(um / mpp, *limits)) for um, limits in ((0.2, (1, 1.3)), (0.35, (1.2, 2.2)), (0.6, (1.8, 3.8)))
        )
        return cls(thin, line, bold)


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


def class_style(color: str, pen: Pen) -> Style:
    """A nucleus of a known class."""
    return Style(color, pen.line, fill=color, cover=FILL)


def blank_style(pen: Pen) -> Style:
    """A nucleus without a class: not scored, or nothing but background was predicted."""
    return Style(GHOST, pen.thin, fill=GHOST, cover=0.75, hatched=True)


def right_style(pen: Pen) -> Style:
    """A nucleus that is right: there, but quiet."""
    return Style(CORRECT, pen.thin)


def wrong_style(truth: str, predicted: str, pen: Pen) -> Style:
    """A nucleus that is wrong: filled with what it is, outlined as what it was taken for."""
    return Style(predicted, pen.bold, fill=truth, cover=0.85)


def missed_style(truth: str, pen: Pen) -> Style:
    """A nucleus taken for background: stripes of what it is."""
    return Style(LOST, pen.line, fill=truth, cover=0.95, hatched=True)


def class_styles(cells: Iterable[int], classes: Iterable[int], colors: Mapping[int, str], pen: Pen) -> dict[int, Style]:
    """Each nucleus in the colour of its class, those without one hatched."""
    styles = {c: class_style(color, pen) for c, color in colors.items() if c}
    return {int(cell): styles.get(int(c), blank_style(pen)) for cell, c in zip(cells, classes, strict=True)}


def error_styles(nuclei: pd.DataFrame, colors: Mapping[int, str], pen: Pen) -> dict[int, Style]:
    """Each nucleus of `field_nuclei` by what became of it."""
    return {
        int(cell): _error_style(state, colors.get(truth, GHOST), colors.get(predicted, GHOST), pen)
        for cell, truth, predicted, state in nuclei.itertuples(index=False)
    }


def _error_style(state: str, truth: str, predicted: str, pen: Pen) -> Style:
    return {
        RIGHT: right_style(pen),
        WRONG: wrong_style(truth, predicted, pen),
        MISSED: missed_style(truth, pen),
        UNSCORED: blank_style(pen),
    }[state]
