"""Maps of the nuclei of finished runs, one for each frozen encoder that they share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from cryostat.cells.dataset import CellDataset
from cryostat.cells.runs.embeddings import FROZEN, embeddings
from cryostat.cells.runs.origin import dataset_of
from cryostat.core.errors import SettingError
from cryostat.core.files import safe_name
from cryostat.core.home import Home
from cryostat.report.figures.embedding import Colouring, embedding_map
from cryostat.report.figures.study import Drawing
from cryostat.report.figures.style import WORSE
from cryostat.results.leaderboard import Row
from cryostat.results.predictions import KEY
from cryostat.results.records import RunRecord

RIGHT, WRONG = "right", "wrong"

QUIET = "#a9bccd"
"""Of what is right, so that errors are seen."""

MOST_SITES = 16
"""Sites that a legend can name."""


def embedding_drawings(rows: Iterable[Row], records: Mapping[str, RunRecord]) -> Iterator[Drawing]:
    """A map for each dataset, encoder and protocol; errors are those of its best row on most nuclei.

    Args:
        rows: Rows of a leaderboard of cells, of whole training sets.
        records: Their runs by id.
    """
    best: dict[tuple[str, ...], Row] = {}
    for row in rows:
        if not all(_frozen(records[run]) for run in row.facts["runs"]):
            continue
        key = tuple(str(row.facts[name]) for name in ("dataset", "encoder", "protocol"))
        if key not in best or _weight(row) > _weight(best[key]):
            best[key] = row
    for key, row in best.items():
        yield Drawing(safe_name(f"{'-'.join(key)}-map"), partial(_map, row, records))


def _frozen(record: RunRecord) -> bool:
    return record.settings.get("mode", FROZEN[0]) in FROZEN and "features" in record.identity


def _weight(row: Row) -> tuple[int, float]:
    return row.intervals.cells, row.intervals.macro_f1.value


def _map(row: Row, records: Mapping[str, RunRecord]) -> Figure:
    runs = [records[run] for run in row.facts["runs"]]
    home = home_of(runs[0])
    dataset = dataset_of(runs[0], home)
    pooled = embeddings(runs[0], dataset, home)
    seed = min(int(run.settings.get("seed") or 0) for run in runs)
    judged = _judged(pooled.rows, [run for run in runs if int(run.settings.get("seed") or 0) == seed])
    labels = [*_of_dataset(pooled.rows, dataset)]
    model = f"{row.facts['encoder']} · {row.facts['head']}"
    labels.append(
        Colouring(
            f"errors of {row.facts['head']}",
            judged,
            groups=(RIGHT, WRONG),
            colours={RIGHT: QUIET, WRONG: WORSE},
            mixing=False,
        )
    )
    note = f"Errors: {model} on test nuclei of split {row.facts['split']}, seed {seed}."
    title = f"{row.facts['dataset']}: nuclei as {row.facts['encoder']} sees them"
    return embedding_map(pooled.features, labels, title=title, note=note)


def home_of(record: RunRecord) -> Home:
    """The home folder whose run this is.

    Raises:
        SettingError: The run lies in no home folder.
    """
    if record.folder is None or record.folder.resolve().parent.name != "runs":
        raise SettingError(
            f"run {record.run_id!r} lies in no home folder, so its dataset and features cannot be found",
            where=record.folder,
            remedy="Draw its map from the home folder that it was run in",
        )
    return Home(record.folder.resolve().parent.parent)


def _of_dataset(rows: pd.DataFrame, dataset: CellDataset) -> Iterator[Colouring]:
    """Cell type; patient, or field where patients are not known; site where there are several."""
    names = {c.id: c.name for c in dataset.classes}
    classes = dataset.cells.set_index(["fov_id", "cell_id"])["class_id"]
    own = classes.reindex(pd.MultiIndex.from_frame(rows[["fov_id", "cell_id"]])).map(names)
    yield Colouring("cell type", _texts(own), groups=tuple(names.values()))
    fovs = dataset.fovs.loc[rows["fov_id"]]
    for column, one, named in (("patient_id", "patient", False), ("site", "site", True)):
        values = _texts(fovs[column])
        found = len({value for value in values if value is not None})
        if found > 1:
            yield Colouring(one, values, named=named and found <= MOST_SITES, one=one)
        elif one == "patient":
            yield Colouring("field of view", _texts(rows["fov_id"]), named=False, one="field")


def _texts(values: pd.Series) -> list[str | None]:
    return [None if pd.isna(value) else str(value) for value in values]


def _judged(rows: pd.DataFrame, runs: Sequence[RunRecord]) -> list[str | None]:
    """What became of each nucleus; None where no run had it in its test part."""
    found = pd.concat([run.predictions()[[*KEY, "y_true", "y_pred"]] for run in runs], ignore_index=True)
    right = found.drop_duplicates([*KEY]).set_index([*KEY]).eval("y_true == y_pred")
    known = right.reindex(pd.MultiIndex.from_frame(rows[[*KEY]]))
    return [None if pd.isna(value) else RIGHT if value else WRONG for value in known]
