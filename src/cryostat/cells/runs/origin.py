"""The dataset that a run of cells was made on, checked to be the same."""

from __future__ import annotations

from cryostat.cells.dataset import CellDataset, load_dataset
from cryostat.core.errors import IdentityError, InputError
from cryostat.core.home import Home
from cryostat.results.records import CELLS, RECORD, RunRecord


def dataset_of(record: RunRecord, home: Home | None) -> CellDataset:
    """The dataset that a run of cells was made on.

    Raises:
        SettingError: The run is of another benchmark, or its dataset is not imported.
        InputError: The record names no dataset.
        IdentityError: The dataset of that name is another one.
    """
    folder = record.folder_of(CELLS)
    name = record.settings.get("dataset")
    if not isinstance(name, str):
        raise InputError("does not name its dataset", where=folder / RECORD, remedy="Run it again")
    dataset = load_dataset(name, home)
    check_made_on(record, dataset)
    return dataset


def check_made_on(record: RunRecord, dataset: CellDataset) -> None:
    """Refuse a dataset that is not, or no longer, the one that a run was made on.

    Raises:
        IdentityError: It is another one, by its identity.
    """
    made_on = record.identity.get("dataset")
    if made_on != dataset.identity:
        raise IdentityError(
            f"run {record.run_id!r} was made on dataset {record.settings.get('dataset')!r} of identity {made_on}; the "
            f"one imported is {dataset.identity}",
            where=dataset.folder,
            remedy="Import that dataset again as it was, or run again on this one",
        )
