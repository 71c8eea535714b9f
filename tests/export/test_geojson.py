from __future__ import annotations

import json
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from cryostat.cells.dataset import CellDataset
from cryostat.cells.datasets.importing import ImportOptions, import_dataset
from cryostat.core.errors import IdentityError, SettingError
from cryostat.core.home import Home
from cryostat.export.geojson import export_geojson
from cryostat.results.records import RunRecord


def reimported(folder: Path, what: str, home: Home) -> CellDataset:
    options = ImportOptions(classes=folder / "classes.csv", settings={"annotations": what})
    return import_dataset("qupath", folder, home, name=what, options=options)


@pytest.mark.parametrize("what", ["predicted", "true"])
def test_our_importer_reads_back_what_was_written(
    record: RunRecord, tissue: CellDataset, export_home: Home, tmp_path: Path, what: str
) -> None:
    export_geojson(record, tmp_path / "out", export_home, shown=(what,), images=True)
    again = reimported(tmp_path / "out", what, Home(tmp_path / "home"))
    assert [(c.id, c.name, c.color) for c in again.classes] == [(c.id, c.name, c.color) for c in tissue.classes]
    table = record.predictions()
    assert sorted(again.fovs.index) == sorted(table["fov_id"].unique())
    for fov in again.fovs.index:
        ours, theirs = np.asarray(tissue.instances(fov)), np.asarray(again.instances(fov))
        np.testing.assert_array_equal(tissue.image(fov), again.image(fov))
        np.testing.assert_array_equal(ours > 0, theirs > 0)
        said = table[table["fov_id"] == fov].set_index("cell_id")["y_pred" if what == "predicted" else "y_true"]
        expected = np.where(ours > 0, said.reindex(ours.ravel(), fill_value=0).to_numpy().reshape(ours.shape), 0)
        np.testing.assert_array_equal(again.class_map(fov), expected)
        assert again.fovs.at[fov, "patient_id"] == tissue.fovs.at[fov, "patient_id"]
        assert again.mpp(fov) == tissue.mpp(fov)


def test_an_object_says_what_qupath_shows(
    record: RunRecord, tissue: CellDataset, export_home: Home, tmp_path: Path
) -> None:
    fov = record.predictions()["fov_id"].iloc[0]
    found = export_geojson(record, tmp_path, export_home, fovs=[fov])
    assert [path.name for path in found.files] == [f"{fov}.geojson"]
    content = json.loads(found.files[0].read_text())
    assert content["type"] == "FeatureCollection"
    assert len(content["features"]) == found.nuclei == len(tissue.cells_of(fov))
    row = record.predictions().iloc[0]
    feature = next(f for f in content["features"] if f["properties"]["metadata"]["cell_id"] == str(row["cell_id"]))
    names = {c.id: c.name for c in tissue.classes}
    properties = feature["properties"]
    assert str(uuid.UUID(feature["id"])) == feature["id"]
    assert properties["objectType"] == "detection"
    assert properties["classification"]["name"] == names[row["y_pred"]]
    assert "#{:02x}{:02x}{:02x}".format(*properties["classification"]["color"]) in {c.color for c in tissue.classes}
    assert properties["metadata"]["true"] == names[row["y_true"]]
    assert properties["measurements"] == {
        f"p {name}": pytest.approx(row[f"p_{i}"], abs=1e-4) for i, name in names.items()
    }


def test_nuclei_cut_by_tiles_are_whole_again(
    cut: RunRecord, tissue: CellDataset, export_home: Home, tmp_path: Path
) -> None:
    found = export_geojson(cut, tmp_path, export_home, shown=("predicted", "true"))
    fovs = cut.predictions()["fov_id"].unique()
    assert found.nuclei == 2 * sum(len(tissue.cells_of(fov)) for fov in fovs)
    assert {path.parent.name for path in found.files} == {"predicted", "true"}


def test_images_carry_their_scale(record: RunRecord, tissue: CellDataset, export_home: Home, tmp_path: Path) -> None:
    export_geojson(record, tmp_path, export_home, images=True)
    with tifffile.TiffFile(next((tmp_path / "images").glob("*.tif"))) as file:
        top, bottom = file.pages[0].tags["XResolution"].value
        assert file.pages[0].tags["ResolutionUnit"].value == 3
    assert 1e4 * bottom / top == pytest.approx(tissue.fovs["mpp"].iloc[0])
    assert list(pd.read_csv(tmp_path / "classes.csv").columns) == ["id", "name", "color"]


def test_what_cannot_be_shown_is_refused(record: RunRecord, export_home: Home, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="'guessed' cannot be shown"):
        export_geojson(record, tmp_path, export_home, shown=("guessed",))
    with pytest.raises(SettingError, match="predicted no field of view 'z'"):
        export_geojson(record, tmp_path, export_home, fovs=["z"])
    with pytest.raises(SettingError, match="outlined no nuclei by itself"):
        export_geojson(record, tmp_path, export_home, shown=("found",))


def test_nuclei_that_a_run_outlined_itself(
    record: RunRecord, tissue: CellDataset, export_home: Home, tmp_path: Path
) -> None:
    fov = record.predictions()["fov_id"].iloc[0]
    shape = tissue.image(fov).shape[:2]
    instances = np.zeros(shape, np.int32)
    instances[2:5, 3:6] = 9
    copy = RunRecord.load(_copied(record, tmp_path / "run"))
    (tmp_path / "run" / "segments").mkdir()
    arrays = {"instances": instances, "cell_ids": np.array([9]), "class_ids": np.array([tissue.classes[1].id])}
    np.savez(tmp_path / "run" / "segments" / f"{fov}.npz", **arrays)
    found = export_geojson(copy, tmp_path / "out", export_home, shown=("found",), fovs=[fov])
    (feature,) = json.loads(found.files[0].read_text())["features"]
    assert feature["properties"]["classification"]["name"] == tissue.classes[1].name
    assert feature["properties"]["measurements"] == {}
    assert np.array(feature["geometry"]["coordinates"][0]).mean(0) == pytest.approx([4.5, 3.5], abs=0.2)


def _copied(record: RunRecord, folder: Path) -> Path:
    folder.mkdir()
    assert record.folder
    for path in record.folder.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_another_dataset_of_that_name_is_refused(record: RunRecord, tmp_path: Path) -> None:
    from cryostat.cells.synthetic import make_dataset

    other = Home(tmp_path)
    make_dataset(other, name="tissue", hospitals=1, patients=3, fields=1, size=96, seed=2)
    with pytest.raises(IdentityError, match="was made on dataset 'tissue' of identity"):
        export_geojson(record, tmp_path / "out", other)
