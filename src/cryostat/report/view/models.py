"""Runs whose predictions are laid over the fields of a dataset; the folds of one cross-validation as one model."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

import pandas as pd

from cryostat.cells.dataset import CellDataset
from cryostat.cells.pictures.segments import FOLDER
from cryostat.cells.runs.origin import check_made_on
from cryostat.core.errors import CryostatError, IdentityError, InputError, SettingError
from cryostat.core.files import safe_name
from cryostat.core.identity import digest
from cryostat.results.predictions import probability_columns, read_predictions
from cryostat.results.records import PREDICTIONS, RunRecord, split_family
from cryostat.results.tables import pooled_scores, told_apart

PART = {"train": "was trained on it", "valid": "was stopped by its score on it", "left": "left it out"}
"""Part of a split to what a run did with a field of it; `left` is none."""

KEY, CLASSES = ["fov_id", "cell_id"], ["y_true", "y_pred"]
"""Columns of predictions that name a nucleus, and those with its classes."""


class Model:
    """What a run, or the runs of all folds of one cross-validation, said of a dataset's nuclei.

    Args:
        key: Its short name in addresses.
        title: Its name for people.
        dataset: The dataset.
        records: The runs; each field is taken from the first that tested it.
    """

    def __init__(self, key: str, title: str, dataset: CellDataset, records: Sequence[RunRecord]) -> None:
        self.key, self.title, self.records = key, title, tuple(records)
        self._dataset = dataset
        self._lock = threading.Lock()

    @cached_property
    def macro_f1(self) -> float | None:
        """Of the predictions of all its runs together, as in `cryostat results`; None where they cannot be read."""
        try:
            return pooled_scores(self.records).macro_f1
        except InputError:
            return None

    def check(self) -> None:
        """Read the predictions, so that what is wrong with them is told at once.

        Raises:
            InputError: A table is missing or damaged.
            IdentityError: It names fields that the dataset has not.
        """
        self.run_of("")

    @property
    def table(self) -> pd.DataFrame:
        """The predictions of all fields that were tested: nuclei, classes, probabilities.

        Raises:
            InputError: A table is missing or damaged.
            IdentityError: It names fields that the dataset has not.
        """
        with self._lock:
            return self._read[0]

    @cached_property
    def _read(self) -> tuple[pd.DataFrame, dict[str, RunRecord]]:
        tables: list[pd.DataFrame] = []
        tested: dict[str, RunRecord] = {}
        for record in self.records:
            table = self._table_of(record)
            table = table[~table["fov_id"].isin(tested)]
            tested |= dict.fromkeys(map(str, table["fov_id"].unique()), record)
            tables.append(table)
        return pd.concat(tables, ignore_index=True), tested

    def _table_of(self, record: RunRecord) -> pd.DataFrame:
        path = record.folder_of("cells") / PREDICTIONS
        table = read_predictions(path, [c.id for c in self._dataset.classes])
        if strangers := sorted(set(table["fov_id"]) - set(self._dataset.fovs.index)):
            raise IdentityError(
                f"predicts nuclei of the field {strangers[0]!r}, which dataset {self._dataset.name!r} has not",
                where=path,
                remedy="Import the dataset that the run was made on, or run it again",
            )
        # All models that were looked at stay in memory, so what is not shown is left out.
        return table[[*KEY, *CLASSES, *probability_columns(table.columns)]]

    @cached_property
    def errors(self) -> Mapping[str, tuple[int, int]]:
        """Field to how many of its nuclei are wrong, and how many were scored; fields without a scored one are absent.

        Raises:
            InputError: As from `table`.
            IdentityError: As from `table`.
        """
        nuclei = voted(self.table)
        scored = nuclei[nuclei["y_true"] > 0]
        wrong = (scored["y_true"] != scored["y_pred"]).groupby(scored["fov_id"].astype(str))
        counts = wrong.agg(["sum", "size"])
        return {str(fov): (int(bad), int(all_)) for fov, bad, all_ in counts.itertuples()}

    def run_of(self, fov: str) -> RunRecord | None:
        """The run in whose test part a field is.

        Raises:
            InputError: As from `table`.
            IdentityError: As from `table`.
        """
        with self._lock:
            return self._read[1].get(fov)

    def absence(self, fov: str) -> str:
        """Why there are no predictions of a field, as a sentence."""
        if len(self.records) > 1:
            return "This field is not in the test part of any of these runs."
        done = PART.get(self._part(self.records[0], fov) or "")
        return f"This field is not in the test part of this run{f': it {done}' if done else ''}."

    def _part(self, record: RunRecord, fov: str) -> str | None:
        """Part of a field in the split of a run; None where the split is not kept as it was then."""
        try:
            parts = self._dataset.split(str(record.settings.get("split"))).parts
        except CryostatError:
            return None
        same = digest(dict(parts)) == record.identity.get("split")
        return parts.get(fov, "left") if same else None

    def segments_of(self, fov: str) -> bool:
        """Whether the run that tested a field kept the nuclei that it found there by itself."""
        record = self.run_of(fov)
        return bool(record and record.folder and (record.folder / FOLDER / f"{safe_name(fov)}.npz").is_file())


def voted(table: pd.DataFrame) -> pd.DataFrame:
    """A row a nucleus: fov_id, cell_id, y_true, y_pred; of several rows the commonest class, the lowest of equals."""
    rows = table[[*KEY, *CLASSES]]
    if not rows.duplicated(KEY).any():
        return rows
    return pd.concat([_commonest(rows, name) for name in CLASSES], axis=1).reset_index()


def _commonest(rows: pd.DataFrame, name: str) -> pd.Series:
    counts = rows.groupby([*KEY, name]).size().rename("n").reset_index()
    first = counts.sort_values([*KEY, "n", name], ascending=[True, True, False, True]).drop_duplicates(KEY)
    return first.set_index(KEY)[name]


def models_of(dataset: CellDataset, records: Iterable[RunRecord], *, ranked: bool) -> tuple[Model, ...]:
    """The models behind some runs.

    Args:
        dataset: The dataset that all were made on.
        records: The runs.
        ranked: Put the best macro F1 first; else they stand in the order of the runs.
    """
    families: dict[str, list[RunRecord]] = {}
    for record in records:
        families.setdefault(_family(record), []).append(record)
    found = [Model("", title, dataset, runs) for title, runs in _titled(list(families.values()))]
    if ranked:
        found.sort(key=lambda model: (-(model.macro_f1 or 0), model.title))
    for number, model in enumerate(found, 1):
        model.key = f"m{number}"
    return tuple(found)


def _family(record: RunRecord) -> str:
    """What the folds of one cross-validation share, and nothing else."""
    family, folds, _ = split_family(str(record.settings.get("split")))
    if folds is None:
        return record.run_id
    return digest({**record.identity, "split": family, "protocol": record.settings.get("protocol")})


def _titled(families: Sequence[Sequence[RunRecord]]) -> Iterator[tuple[str, Sequence[RunRecord]]]:
    """Families of runs with their titles; those that would share one say what sets them apart."""
    alike: dict[str, list[int]] = {}
    for place, runs in enumerate(families):
        alike.setdefault(_title(runs), []).append(place)
    titles = {}
    for title, places in alike.items():
        told = told_apart([families[place][0] for place in places])
        for place, apart in zip(places, told, strict=True):
            unlike = apart if told.count(apart) == 1 else families[place][0].run_id.rpartition("-")[2]
            titles[place] = f"{title} · {unlike}" if len(places) > 1 else title
    return ((titles[place], runs) for place, runs in enumerate(families))


def _title(runs: Sequence[RunRecord]) -> str:
    about = runs[0].settings
    split = str(about.get("split"))
    family, folds, _ = split_family(split)
    fraction, seed, protocol = (about.get(name) for name in ("fraction", "seed", "protocol"))
    told = [
        *(str(about[name]) for name in ("encoder", "head") if about.get(name) not in (None, "", "none")),
        family if len(runs) > 1 else split,
        f"{len(runs)} of {folds} folds" if folds is not None and 1 < len(runs) < folds else "",
        f"{fraction:.3g} of training" if isinstance(fraction, int | float) and fraction < 1 else "",
        f"seed {seed}" if seed is not None else "",
        str(protocol) if protocol not in (None, "standard") else "",
    ]
    return " · ".join(text for text in told if text) or runs[0].run_id


def runs_by_dataset(datasets: Mapping[str, CellDataset], records: Iterable[RunRecord]) -> dict[str, list[RunRecord]]:
    """The runs of each dataset that is shown.

    Raises:
        SettingError: A run is of another benchmark, or its dataset is not shown.
        IdentityError: Its dataset has changed since.
    """
    found: dict[str, list[RunRecord]] = {}
    for record in records:
        record.folder_of("cells")
        found.setdefault(_dataset_of(datasets, record), []).append(record)
    return found


def _dataset_of(datasets: Mapping[str, CellDataset], record: RunRecord) -> str:
    same = [name for name, one in datasets.items() if one.identity == record.identity.get("dataset")]
    if same:
        return same[0]
    named = record.settings.get("dataset")
    for name, dataset in datasets.items():
        if named in (name, dataset.name):
            check_made_on(record, dataset)
    raise SettingError(
        f"run {record.run_id!r} is of dataset {named!r}, and shown are {', '.join(map(repr, datasets)) or 'none'}",
        remedy=f"Show its dataset too: cryostat view {named} --run {record.run_id}",
    )


def usable_runs(
    datasets: Mapping[str, CellDataset], records: Iterable[RunRecord]
) -> tuple[dict[str, list[RunRecord]], list[str]]:
    """The runs of each dataset that is shown, runs of other datasets passed over.

    Returns:
        Name of a dataset to its runs, and a sentence on each run that was made on the dataset as it was before.
    """
    found: dict[str, list[RunRecord]] = {}
    left_out = []
    for record in records:
        try:
            found.setdefault(_dataset_of(datasets, record), []).append(record)
        except IdentityError as error:
            left_out.append(f"{error.problem}.")
        except SettingError:
            continue
    return found, left_out


def datasets_of(records: Iterable[RunRecord]) -> list[str]:
    """Names of the datasets of some runs of cells.

    Raises:
        SettingError: A run is of another benchmark.
    """
    return list(dict.fromkeys(str(record.settings.get("dataset")) for record in records if record.folder_of("cells")))
