"""A report's files: pages, pictures and tables, each written whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import cryostat
from cryostat.core.errors import InputError, SettingError
from cryostat.core.files import atomic_write, read_json, write_json
from cryostat.core.home import Home
from cryostat.report.site.downloads import Download, downloads
from cryostat.report.site.gallery import Pictures, galleries
from cryostat.report.site.methods import methods_of
from cryostat.report.site.pages import environment, pages, render
from cryostat.report.site.plates import plates
from cryostat.report.site.study import read_study
from cryostat.results.records import BrokenRun, RunRecord

MANIFEST = "files.json"
"""Names of all files of a report, beside it: what the next report in this folder may replace."""


def build_report(
    records: Sequence[RunRecord],
    folder: Path,
    *,
    home: Home | None = None,
    title: str = "",
    patients: bool = False,
    figures: bool = True,
    broken: Iterable[BrokenRun] = (),
) -> Path:
    """Write a report as a static site that opens from a file, with no request of any kind.

    Args:
        records: Finished runs, with their folders.
        folder: Where to; empty, new, or an older report, whose files are replaced.
        home: Where the datasets are imported; pictures need them.
        title: Headline; by default what was tested.
        patients: Name fields of view by their ids, which may tell the patient.
        figures: Add the paper-ready figures that `cryostat figures` draws.
        broken: Folders of runs that could not be read, which the report names.

    Returns:
        Its index page.

    Raises:
        SettingError: There is nothing to report, or the folder holds other files than a report.
    """
    if not records:
        raise SettingError("there is no finished run to report", remedy="Run something first, or loosen the filters")
    before = _before(folder)
    home = home or Home.find()
    study = read_study(records, home, title=title, broken=broken)
    pictures = Pictures()
    shown = galleries(study, records, home, pictures, patients=patients)
    offered = downloads(study, cryostat.__version__)
    files = {**pictures.files, **{d.file: d.text.encode() for d in offered}}
    drawn = plates(records, files) if figures else ()
    env = environment()
    shared = {"study": study, "galleries": shown, "plates": drawn, "downloads": _sizes(offered)}
    shared |= {"version": cryostat.__version__}
    for page in pages(study, methods_of(study), shown, drawn):
        files[page.file] = render(page, shared, env).encode("utf-8", "replace")
    _write(folder, files, before)
    return folder / "index.html"


def _sizes(offered: Sequence[Download]) -> list[tuple[Download, str]]:
    return [(one, f"{max(1, round(len(one.text.encode()) / 1024)):,} kB") for one in offered]


def _before(folder: Path) -> list[str]:
    """Files of the report that stands there.

    Raises:
        SettingError: Something else stands there.
    """
    if folder.exists() and not folder.is_dir():
        raise SettingError("is a file, not a folder", where=folder, remedy="Name a folder for the report")
    if not folder.exists() or not any(folder.iterdir()):
        return []
    try:
        facts = read_json(folder / MANIFEST)
        return [str(name) for name in facts["report"]]
    except (InputError, TypeError, KeyError) as error:
        raise SettingError(
            "holds files that are no report of ours", where=folder, remedy="Name a new or empty folder for the report"
        ) from error


def _write(folder: Path, files: Mapping[str, bytes], before: Sequence[str]) -> None:
    for name, data in files.items():
        with atomic_write(folder / name) as stream:
            stream.write(data)
    write_json(folder / MANIFEST, {"report": sorted(files)})
    root = folder.resolve()
    for name in set(before) - set(files):
        old = (folder / name).resolve()
        if root in old.parents and old.is_file():
            old.unlink()
