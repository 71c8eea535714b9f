"""Per-cell tables of predictions that were made elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cryostat.cells.dataset import CellDataset
from cryostat.cells.field import CellClass
from cryostat.cells.scoring.names import ClassNames, FieldNames
from cryostat.cells.scoring.winners import most_probable
from cryostat.core.errors import InputError
from cryostat.core.files import read_table

PREFIXES = ("p_", "prob_", "probability_", "")
"""What may stand before a class id or name in the name of a probability column; an id needs one."""


def read_cell_table(path: Path, dataset: CellDataset, *, background_may_win: bool) -> pd.DataFrame:
    """Read a table with a row a nucleus.

    Args:
        path: CSV, TSV or Parquet with `fov_id`, `cell_id`, and `y_pred` (class id or name) or a probability column a
            class (`p_3`, `p_Plasma`, `Plasma` …), or both, where `y_pred` wins.
        dataset: The dataset that it speaks of.
        background_may_win: A probability of background takes part in the argmax.

    Returns:
        fov_id, cell_id, y_pred (float, NaN where there is none), and `p_<class id>` where given.

    Raises:
        InputError: The table is damaged, lacks a column, names an unknown field or class, or a nucleus twice.
    """
    table: pd.DataFrame = read_table(path, text=("fov_id", "y_pred"))
    table.columns = table.columns.astype(str)
    if lacking := [name for name in ("fov_id", "cell_id") if name not in table.columns]:
        raise InputError(
            f"lacks the column {lacking[0]!r} (there are: {', '.join(table.columns)})",
            where=path,
            remedy="Name the columns fov_id, cell_id and y_pred, or one probability column a class",
        )
    given = pd.DataFrame({"fov_id": _fields(table["fov_id"], dataset, path), "cell_id": _ids(table["cell_id"], path)})
    sources = _probability_sources(list(table.columns), dataset.classes, path)
    probabilities = pd.DataFrame(
        {f"p_{key}": pd.to_numeric(table[name], errors="coerce") for key, name in sources.items()}, index=table.index
    )
    if "y_pred" in table.columns:
        given["y_pred"] = _classes(table["y_pred"], dataset, path)
    elif sources:
        given["y_pred"] = _winners(probabilities, background_may_win=background_may_win)
    else:
        raise InputError(
            f"has neither y_pred nor a probability column of a class (there are: {', '.join(table.columns)})",
            where=path,
            remedy=f"Add y_pred, or columns such as p_{dataset.classes[0].id} or p_{dataset.classes[0].name}",
        )
    return _checked(pd.concat([given, probabilities], axis=1), dataset, path)


def _fields(names: pd.Series, dataset: CellDataset, path: Path) -> pd.Series:
    fields = FieldNames(map(str, dataset.fovs.index))
    found = {name: fields.find(str(name)) for name in names.unique()}
    if strangers := [str(name) for name, fov in found.items() if fov is None]:
        raise InputError(
            f"names {len(strangers)} fields of view that dataset {dataset.name!r} does not have, or not uniquely "
            f"(first: {strangers[0]!r})",
            where=path,
            remedy=f"Use the dataset's ids, for example {str(dataset.fovs.index[0])!r}",
        )
    return names.map(found)


def _ids(values: pd.Series, path: Path) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce")
    wrong = ~np.isfinite(numbers.to_numpy(np.float64, na_value=np.nan)) | (numbers % 1 != 0).to_numpy(
        bool, na_value=True
    )
    if wrong.any():
        raise InputError(
            f"has the cell_id {values[wrong].iloc[0]!r}",
            where=path,
            remedy="Use the whole numbers of the dataset's instance maps",
        )
    return numbers.astype(np.int64)


def _classes(values: pd.Series, dataset: CellDataset, path: Path) -> pd.Series:
    texts = values.astype(object).where(values.notna(), "").map(str).str.strip()
    ids = ClassNames(dataset.classes).require((text for text in texts.unique() if text), path)
    return texts.map({"": np.nan, **ids}).astype(np.float64)


def _probability_sources(columns: Sequence[str], classes: Sequence[CellClass], path: Path) -> Mapping[int, str]:
    """Class id to the column that holds its probability; all classes or none."""
    folded = {name.casefold(): name for name in columns}
    names = {0: ("0", "background"), **{c.id: (str(c.id), c.name.casefold()) for c in classes}}
    found: dict[int, str] = {}
    for key, forms in names.items():
        candidates = [prefix + form for prefix in PREFIXES for form in forms if prefix or form != forms[0]]
        if (hit := next((folded[c] for c in candidates if c in folded), None)) is not None:
            found[key] = hit
    lacking = [c.name for c in classes if c.id not in found]
    if found and lacking:
        raise InputError(
            f"has probability columns ({', '.join(found.values())}) but none for {', '.join(map(repr, lacking))}",
            where=path,
            remedy="Give a probability for every class of the dataset, or name only y_pred",
        )
    return found


def _winners(probabilities: pd.DataFrame, *, background_may_win: bool) -> pd.Series:
    """Class id of the highest probability, NaN where a row has none."""
    ids = np.array([float(name.removeprefix("p_")) for name in probabilities.columns])
    values = probabilities.to_numpy(np.float64)
    winners = most_probable(np.nan_to_num(values, nan=-2.0), ids, background_may_win=background_may_win)
    return pd.Series(np.where(np.isnan(values).all(1), np.nan, winners), probabilities.index)


def _checked(given: pd.DataFrame, dataset: CellDataset, path: Path) -> pd.DataFrame:
    twice = given.duplicated(["fov_id", "cell_id"])
    if twice.any():
        first = given[twice].iloc[0]
        raise InputError(
            f"names {int(twice.sum())} cells twice (first: {first['cell_id']} of {first['fov_id']!r})",
            where=path,
            remedy="Keep one row a cell",
        )
    known = pd.MultiIndex.from_frame(dataset.cells[["fov_id", "cell_id"]].astype({"fov_id": str, "cell_id": "int64"}))
    strange = ~pd.MultiIndex.from_frame(given[["fov_id", "cell_id"]].astype({"fov_id": str})).isin(known)
    if strange.any():
        first = given[strange].iloc[0]
        raise InputError(
            f"names {int(strange.sum())} cells that the dataset does not have (first: {first['cell_id']} of "
            f"{first['fov_id']!r})",
            where=path,
            remedy="Predict the given nuclei, under the ids of the dataset's instance maps",
        )
    return given
