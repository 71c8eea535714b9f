"""Which runs a user means."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from cryostat.core.errors import InputError, SettingError
from cryostat.core.home import Home
from cryostat.results.records import CELLS, PREDICTIONS, RECORD, FoundRuns, RunRecord, find_runs

NEAR = 3
"""How many names are told that are nearest to an unknown one."""


def choose_runs(names: Sequence[str], home: Home) -> list[RunRecord]:
    """The runs of some names: folders, ids, parts of one id, or patterns with `*` that may fit several.

    Raises:
        SettingError: No run has such a name, or several have; the message has the nearest.
        InputError: The run is unfinished or damaged.
    """
    if not names:
        return []
    known = find_runs(home)
    chosen = [record for name in names for record in _chosen(name, known, home)]
    return list({record.run_id: record for record in chosen}.values())


def all_runs(home: Home) -> FoundRuns:
    """All finished runs of cells in a home folder, and folders of runs that cannot be read."""
    return find_runs(home, benchmark=CELLS)


def _chosen(name: str, known: FoundRuns, home: Home) -> list[RunRecord]:
    if (Path(name) / RECORD).is_file():
        return [_from_folder(Path(name))]
    by_id = {record.run_id: record for record in known.records}
    if name in by_id:
        return [by_id[name]]
    for broken in known.broken:
        if broken.folder.name == name:
            raise InputError(
                f"cannot be shown: {broken.reason}", where=broken.folder, remedy="Delete the folder and run it again"
            )
    if "*" in name:
        fitting = [record for run, record in by_id.items() if fnmatchcase(run, name)]
        return fitting or _unknown(name, list(by_id), home)
    fitting = [record for run, record in by_id.items() if name in run]
    if len(fitting) > 1:
        some = ", ".join(record.run_id for record in fitting[:NEAR])
        raise SettingError(
            f"{name!r} is part of the names of {len(fitting)} runs ({some}{', …' if len(fitting) > NEAR else ''})",
            remedy=f"Give more of the name, or all of them with --run '*{name}*'",
        )
    return fitting or _unknown(name, list(by_id), home)


def _from_folder(folder: Path) -> RunRecord:
    if not (folder / PREDICTIONS).is_file():
        raise InputError(f"has no {PREDICTIONS}", where=folder, remedy="Run it again, or copy the whole folder")
    return RunRecord.load(folder)


def _unknown(name: str, known: Sequence[str], home: Home) -> list[RunRecord]:
    near = difflib.get_close_matches(name, known, NEAR, 0.4)
    raise SettingError(
        f"there is no run {name!r} among the {len(known)} of this home folder",
        where=home.runs,
        remedy=f"The nearest are {', '.join(near)}" if near else "List the runs with: cryostat results",
    )
