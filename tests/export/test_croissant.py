from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pandas as pd
import pytest

from cryostat.cells.dataset import CellDataset
from cryostat.core.identity import sha256_file
from cryostat.export.croissant import CONFORMS_TO, export_croissant

REQUIRED = ("@context", "@type", "conformsTo", "description", "license", "name", "url", "citeAs", "version")
"""What the specification asks of a dataset, but for its creator and date, which no dataset of ours tells."""


@pytest.fixture
def copied(tissue: CellDataset, tmp_path: Path) -> CellDataset:
    shutil.copytree(tissue.folder, tmp_path / "tissue")
    return CellDataset(tmp_path / "tissue")


def test_the_published_structure(copied: CellDataset) -> None:
    path = copied.folder / "croissant.json"
    export_croissant(copied, path)
    metadata = json.loads(path.read_text())
    assert [name for name in REQUIRED if not metadata.get(name)] == []
    assert (metadata["@type"], metadata["conformsTo"]) == ("sc:Dataset", CONFORMS_TO)
    assert metadata["license"] == copied.facts["licence"]
    ids = [node["@id"] for node in (*metadata["distribution"], *metadata["recordSet"])]
    fields = [field for records in metadata["recordSet"] for field in records["field"]]
    assert len({*ids, *(f["@id"] for f in fields)}) == len(ids) + len(fields)
    named = {field["references"]["field"]["@id"] for field in fields if "references" in field}
    assert named == {"fovs/fov_id", "classes/id"}
    assert named <= {field["@id"] for field in fields}


def test_every_file_has_its_checksum(copied: CellDataset) -> None:
    metadata = export_croissant(copied, copied.folder / "croissant.json")
    objects = [node for node in metadata["distribution"] if node["@type"] == "cr:FileObject"]
    for node in objects:
        assert node["sha256"] == sha256_file(copied.folder / node["contentUrl"])
    listed = pd.read_csv(copied.folder / "croissant-files.csv").set_index("path")["sha256"]
    arrays = [f"{kind}/{p.name}" for kind in ("images", "instances") for p in (copied.folder / kind).glob("*.npy")]
    assert {*arrays, "dataset.toml", "fovs.parquet", "cells.parquet", "splits/base.parquet"} <= set(listed.index)
    assert all(listed[path] == sha256_file(copied.folder / path) for path in listed.index)


def test_mlcroissant_accepts_and_reads_it(copied: CellDataset, caplog: pytest.LogCaptureFixture) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    path = copied.folder / "croissant.json"
    with caplog.at_level(logging.WARNING):
        export_croissant(copied, path)
        found = mlcroissant.Dataset(jsonld=path)
    warned = [line for record in caplog.records for line in record.getMessage().splitlines() if line.startswith("  -")]
    assert [line for line in warned if "datePublished" not in line and "creator" not in line] == []
    rows = list(found.records("cells"))
    assert len(rows) == len(copied.cells)
    first = copied.cells.iloc[0]
    assert rows[0]["cells/fov_id"] == first["fov_id"].encode()
    assert rows[0]["cells/class_id"] == first["class_id"]
    assert len(list(found.records("classes"))) == 1 + len(copied.classes)
    parts = {
        row["splits/base/fov_id"].decode(): row["splits/base/part"].decode() for row in found.records("splits/base")
    }
    assert parts == dict(copied.split("base").parts)


def test_from_elsewhere_files_are_named_by_path_or_address(copied: CellDataset, tmp_path: Path) -> None:
    metadata = export_croissant(copied, tmp_path / "elsewhere.json")
    assert "tissue/cells.parquet" in {node.get("contentUrl") for node in metadata["distribution"]}
    published = export_croissant(copied, tmp_path / "elsewhere.json", url="https://example.org/t/")
    assert "https://example.org/t/cells.parquet" in {node.get("contentUrl") for node in published["distribution"]}
    assert published["distribution"][-1]["contentUrl"] == "elsewhere-files.csv"
