"""HoVer-NeXt as a run: classes only as published, or with nuclei of its own, thresholds chosen on validation."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import numpy as np
import pytest
from tile_runs import STEPS, InterruptedError, die_after, same_result, set_aside

from cryostat.cells.dataset import CellDataset
from cryostat.cells.hovernext.search import FOREGROUND, SEED
from cryostat.cells.pictures.segments import read_segments
from cryostat.cells.runs import hover
from cryostat.cells.runs.bench import Bench
from cryostat.cells.runs.spec import NO_ENCODER, RunSpec
from cryostat.cells.synthetic import make_dataset
from cryostat.cells.training.common import one_thread
from cryostat.core.home import Home
from cryostat.results.records import RunRecord

pytest.importorskip("segmentation_models_pytorch")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module", autouse=True)
def tissue(home: Home) -> Iterator[CellDataset]:
    with one_thread():
        yield make_dataset(home, name="tissue", hospitals=1, patients=3, fields=1, size=96, seed=1)


def spec(encoder: str = NO_ENCODER, **changes: object) -> RunSpec:
    settings = STEPS | {"backbone": "convnextv2_atto", "steps": 2, "validate_every": 1} | changes
    return RunSpec("tissue", encoder, "hovernext", "base", head_settings=settings)


@pytest.fixture(scope="module")
def record(home: Home, tissue: CellDataset) -> RunRecord:
    return Bench(home).run(spec())


def test_the_record_says_supervised_and_names_what_learnt(record: RunRecord) -> None:
    assert record.training["mode"] == record.settings["mode"] == "supervised"
    assert record.settings["layers"] == []
    names = record.training["optimised_parameters"]
    assert any("class_decoder" in name for name in names)
    assert any("instance_decoder" in name for name in names)
    assert not any(name.startswith("encoder.") for name in names)


def test_thresholds_are_those_of_the_grid_and_chosen_on_the_validation_part(
    home: Home, tissue: CellDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = []
    choose = hover.choose_thresholds

    def noted(maps: list, truth: list, *rest: object, **more: object) -> object:
        chosen.append(truth)
        return choose(maps, truth, *rest, **more)

    monkeypatch.setattr(hover, "choose_thresholds", noted)
    training = Bench(home).run(spec(steps=1)).training
    assert training["watershed_chosen_on"] == "valid"
    assert training["watershed"]["foreground"] in FOREGROUND
    assert training["watershed"]["seed"] in SEED
    (truth,) = chosen
    fovs = tissue.split("base").fovs("valid")
    assert len(truth) == len(fovs)
    for (instances, ids, classes), fov in zip(truth, fovs, strict=True):
        cells = tissue.cells_of(fov)
        assert set(ids) == set(cells["cell_id"])
        assert set(np.unique(instances)) == {0, *ids}
        assert dict(zip(ids, classes, strict=True)) == dict(zip(cells["cell_id"], cells["class_id"], strict=True))


def test_the_run_keeps_its_own_nuclei_of_every_test_field(record: RunRecord, tissue: CellDataset) -> None:
    assert record.folder is not None
    fovs = tissue.split("base").fovs("test")
    assert len(list((record.folder / "segments").glob("*.npz"))) == len(fovs)
    for fov in fovs:
        found = read_segments(record.folder, fov, tissue.image(fov).shape[:2])
        assert found is not None
        assert set(np.unique(found.instances)) - {0} == set(found.cell_ids)
        assert set(found.class_ids) <= {c.id for c in tissue.classes}
    scores = record.segmentation()
    assert scores is not None


def test_the_given_nuclei_are_classified_as_by_any_head(record: RunRecord, tissue: CellDataset) -> None:
    table = record.predictions()
    given = tissue.cells[tissue.cells["fov_id"].isin(tissue.split("base").fovs("test"))]
    assert len(table) == len(given)
    probabilities = table.filter(regex=r"^p_\d+$").to_numpy()
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-3)


def test_without_instances_it_classifies_only(home: Home) -> None:
    record = Bench(home).run(spec(instances=False))
    assert record.folder is not None
    assert record.segmentation() is None
    assert not (record.folder / "segments").exists()
    assert "watershed" not in record.training
    assert not any("instance_decoder" in name for name in record.training["optimised_parameters"])


def test_it_ends_the_same_after_a_kill(home: Home, record: RunRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = set_aside(home, record)
    with monkeypatch.context() as patch:
        die_after(patch, 1)
        with pytest.raises(InterruptedError):
            Bench(home).run(spec())
    resumed = Bench(home).run(spec())
    same_result(whole, resumed)
    assert whole.folder is not None
    assert resumed.folder is not None
    for kept in sorted((whole.folder / "segments").glob("*.npz")):
        with np.load(kept) as one, np.load(resumed.folder / "segments" / kept.name) as other:
            assert all(np.array_equal(one[key], other[key]) for key in one.files)
    shutil.rmtree(whole.folder)
