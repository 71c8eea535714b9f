from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryostat.cells.dataset import CellDataset
from cryostat.cells.runs.embeddings import embeddings
from cryostat.core.errors import MissingExtraError, SettingError, StoreError
from cryostat.core.home import Home
from cryostat.export import optional
from cryostat.export.anndata import export_anndata, to_anndata
from cryostat.results.records import RunRecord

pytest.importorskip("anndata")


@pytest.fixture(scope="module")
def read(record: RunRecord, export_home: Home, tmp_path_factory: pytest.TempPathFactory):
    from anndata import read_h5ad

    path = tmp_path_factory.mktemp("h5ad") / "sub" / "cells.h5ad"
    export_anndata(record, path, export_home)
    assert [p.name for p in path.parent.iterdir()] == ["cells.h5ad"]
    return read_h5ad(path)


def test_a_row_is_a_nucleus_with_its_prediction(read, record: RunRecord, tissue: CellDataset) -> None:
    table = record.predictions().assign(name=lambda t: t["fov_id"] + ":" + t["cell_id"].astype(str)).set_index("name")
    assert sorted(read.obs_names) == sorted(table.index)
    table = table.loc[read.obs_names]
    for column in ("y_true", "y_pred", "cell_id", "p_1"):
        np.testing.assert_array_equal(read.obs[column], table[column])
    names = {c.id: c.name for c in tissue.classes}
    assert list(read.obs["true"]) == [names[i] for i in table["y_true"]]
    assert list(read.obs["predicted"]) == [names[i] for i in table["y_pred"]]
    assert set(read.obs["part"]) == {"test"}
    patients = tissue.fovs["patient_id"]
    assert list(read.obs["patient_id"]) == [patients[fov] for fov in table["fov_id"]]


def test_x_is_the_mean_of_the_stored_features_over_the_nucleus(
    read, record: RunRecord, tissue: CellDataset, export_home: Home
) -> None:
    pooled = embeddings(record, tissue, export_home)
    at = {f"{f}:{c}": i for i, (f, c) in enumerate(zip(pooled.rows["fov_id"], pooled.rows["cell_id"], strict=True))}
    expected = pooled.features[[at[name] for name in read.obs_names]]
    np.testing.assert_array_equal(read.X, expected)
    assert list(read.var_names) == [f"final_{i}" for i in range(expected.shape[1])]


def test_places_are_centres_in_px_and_micrometres(read, tissue: CellDataset) -> None:
    fov, cell = read.obs["fov_id"].iloc[0], read.obs["cell_id"].iloc[0]
    rows, columns = np.nonzero(np.asarray(tissue.instances(fov)) == cell)
    centre = [columns.mean() + 0.5, rows.mean() + 0.5]
    np.testing.assert_allclose(read.obsm["spatial_px"][0], centre, rtol=1e-5)
    np.testing.assert_allclose(read.obsm["spatial"][0], np.array(centre) * tissue.mpp(fov), rtol=1e-5)
    assert read.obs["area_um2"].iloc[0] == pytest.approx(len(rows) * tissue.mpp(fov) ** 2)


def test_it_says_where_it_comes_from(read, record: RunRecord, tissue: CellDataset) -> None:
    about = read.uns["cryostat"]
    assert about["run_id"] == record.run_id
    assert about["encoder"] == "stain-filters"
    assert about["protocol"] == "standard"
    assert json.loads(about["identity"]) == record.identity
    assert about["classes"] == {str(c.id): c.name for c in tissue.classes}
    assert list(read.uns["true_colors"]) == [c.color for c in tissue.classes]
    assert list(read.obs["true"].cat.categories) == [c.name for c in tissue.classes]


def test_all_nuclei_on_request(record: RunRecord, tissue: CellDataset, export_home: Home) -> None:
    cells = to_anndata(record, export_home, everything=True)
    assert cells.n_obs == len(tissue.cells)
    assert set(cells.obs["part"]) == {"train", "valid", "test"}
    unseen = cells.obs[cells.obs["part"] != "test"]
    assert (unseen["y_pred"] == 0).all()
    assert unseen["predicted"].isna().all()
    assert unseen["true"].notna().all()
    assert unseen["p_1"].isna().all()


def test_a_ring_of_context_doubles_the_features(record: RunRecord, export_home: Home) -> None:
    plain, ringed = to_anndata(record, export_home), to_anndata(record, export_home, ring_um=4)
    assert ringed.n_vars == 2 * plain.n_vars
    np.testing.assert_array_equal(ringed.X[:, : plain.n_vars], plain.X)


def test_nuclei_cut_by_tiles_are_named_with_their_tile(cut: RunRecord, export_home: Home) -> None:
    cells = to_anndata(cut, export_home)
    table = cut.predictions()
    assert set(cells.obs_names) == {
        f"{f}:{t}:{c}" for f, t, c in table[["fov_id", "tile", "cell_id"]].itertuples(index=False)
    }


def test_features_that_are_not_stored_are_named_with_the_command(record: RunRecord, export_home: Home) -> None:
    about = dict(record.settings) | {"encoder": "x@random0", "weights": None}
    facts = json.loads(json.dumps(record.identity))
    facts["features"]["final"]["encoder"]["weights"] = "other"
    other = dataclasses.replace(record, identity=facts, settings=about)
    with pytest.raises(StoreError, match="cryostat features extract --dataset tissue --encoder x --precision fp32"):
        to_anndata(other, export_home)
    with pytest.raises(StoreError, match="layer 'block-1'"):
        to_anndata(record, export_home, layer="block-1")


@pytest.mark.parametrize("mode", ["finetune", "lora:16", "supervised", ""])
def test_runs_without_a_frozen_encoder_are_refused(record: RunRecord, export_home: Home, mode: str) -> None:
    tuned = dataclasses.replace(record, settings=dict(record.settings) | {"mode": mode})
    with pytest.raises(SettingError, match="has no frozen encoder"):
        to_anndata(tuned, export_home)


def test_cases_and_other_endings_are_refused(
    record: RunRecord, case_run: RunRecord, export_home: Home, tmp_path: Path
) -> None:
    with pytest.raises(SettingError, match="is of the benchmark 'cases'"):
        to_anndata(case_run, export_home)
    with pytest.raises(SettingError, match=r"ends in \.h5ad"):
        export_anndata(record, tmp_path / "x.csv", export_home)


def test_a_missing_package_is_named_with_its_extra(
    record: RunRecord, export_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optional.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'cryostat\[anndata\]'"):
        to_anndata(record, export_home)


def test_fields_without_a_patient_are_categories_with_gaps() -> None:
    from cryostat.export.anndata import _categories

    found = _categories(pd.Series(["b", None, "a"]))
    assert list(found.categories) == ["a", "b"]
    assert list(found.codes) == [1, -1, 0]
