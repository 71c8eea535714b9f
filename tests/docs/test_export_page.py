"""The page on exports names every command, place and record set there is, and what it says of them holds."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from cryostat.cells.dataset import CellDataset
from cryostat.cells.runs.bench import Bench
from cryostat.cells.runs.spec import RunSpec
from cryostat.cells.synthetic import make_dataset
from cryostat.cli.export import command
from cryostat.core.home import Home
from cryostat.export.croissant import export_croissant
from cryostat.results.records import RunRecord

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def tissue(home: Home) -> CellDataset:
    return make_dataset(home, name="tissue", hospitals=1, patients=3, fields=1, size=96, seed=1)


@pytest.fixture(scope="module")
def record(home: Home, tissue: CellDataset) -> RunRecord:
    return Bench(home).run(RunSpec("tissue", "stain-filters", "cell-probe", "base", head_settings={"steps": 5}))


def test_every_command_is_in_the_table_with_its_extra() -> None:
    rows = dict(re.findall(r"^\| `cryostat export (\w+) [^`]*` \| .+? \|(.*)\|$", PAGE, re.MULTILINE))
    assert set(rows) == set(command.commands)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {name for name, needs in rows.items() if needs.strip()} == set(rows) & set(extras)
    assert all(needs.strip() in ("", f"`{name}`") for name, needs in rows.items())


def test_every_place_in_the_anndata_is_named(home: Home, record: RunRecord) -> None:
    pytest.importorskip("anndata")
    from cryostat.export.anndata import to_anndata

    cells = to_anndata(record, home)
    named = set(re.findall(r'^\| `(\w+\["\w+"\])` \|', PAGE, re.MULTILINE))
    columns = [name for name in cells.obs if not name.startswith(("p_", "group_"))]
    parts = (("obs", columns), ("obsm", cells.obsm), ("uns", cells.uns))
    assert named == {f'{part}["{name}"]' for part, names in parts for name in names}
    assert {"`p_<class id>`", "`group_*`"} <= set(re.findall(r"`[^`\n]+`", PAGE))


def test_record_sets_are_those_named(tissue: CellDataset, tmp_path: Path) -> None:
    metadata = export_croissant(tissue, tmp_path / "croissant.json")
    found = {re.sub("/.*", "/NAME", node["@id"]) for node in metadata["recordSet"]}
    (told,) = re.findall(r"record sets\n(.+?) The last", PAGE, re.DOTALL)
    assert set(re.findall(r"`([\w/]+)`", told)) == found


def test_the_index_links_the_page() -> None:
    assert "(export.md)" in (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
