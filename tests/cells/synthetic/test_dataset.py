from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryostat.cells.dataset import CellDataset
from cryostat.cells.synthetic import CLASSES, make_dataset, make_field
from cryostat.cells.synthetic.dataset import splits
from cryostat.core.errors import SettingError
from cryostat.core.home import Home


@pytest.fixture(scope="module")
def tissue(tmp_path_factory: pytest.TempPathFactory) -> CellDataset:
    home = Home(tmp_path_factory.mktemp("home"))
    return make_dataset(home, name="small", hospitals=3, patients=2, fields=2, size=96, seed=4)


def table(hospitals: int, patients: int) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "fov_id": f"h{h}-p{p}-f{f}",
                "patient_id": f"h{h}-p{p}",
                "site": f"hospital-{h}",
                "group_architecture": ("healthy", "inflamed", "tumour")[(h + p) % 3],
            }
            for h in range(1, hospitals + 1)
            for p in range(1, patients + 1)
            for f in (1, 2)
        ]
    )


def test_a_dataset_holds_the_fields_that_make_field_makes(tissue: CellDataset) -> None:
    assert len(tissue.fovs) == 12
    field = make_field(4, 2, 1, 2, size=96)
    assert np.array_equal(tissue.image("h2-p01-f2"), field.image)
    assert np.array_equal(tissue.instances("h2-p01-f2"), field.instances)
    assert tissue.cells_of("h2-p01-f2")["class_id"].tolist() == field.class_ids.tolist()
    assert tissue.classes == CLASSES
    assert tissue.mpp("h2-p01-f2") == 0.5
    assert tissue.fovs.at["h2-p01-f2", "group_architecture"] == field.groups["architecture"]


def test_field_does_not_depend_on_how_many_are_made(tissue: CellDataset, tmp_path: Path) -> None:
    fewer = make_dataset(Home(tmp_path), hospitals=1, patients=3, fields=1, size=96, seed=4)
    assert np.array_equal(fewer.image("h1-p02-f1"), tissue.image("h1-p02-f1"))


def test_the_same_seed_gives_the_same_identity(tissue: CellDataset, tmp_path: Path) -> None:
    options = {"hospitals": 3, "patients": 2, "fields": 2, "size": 96}
    assert make_dataset(Home(tmp_path), name="small", seed=4, **options).identity == tissue.identity
    assert make_dataset(Home(tmp_path), name="small", seed=5, overwrite=True, **options).identity != tissue.identity


def test_the_splits_are_stored(tissue: CellDataset) -> None:
    assert tissue.split_names() == ["base", *(f"shift-hospital-{k}" for k in (1, 2, 3))]
    assert set(tissue.split("shift-hospital-2").fovs("test")) == {f for f in tissue.fovs.index if f.startswith("h2")}


@pytest.mark.parametrize(("hospitals", "patients"), [(3, 4), (3, 1), (2, 2), (1, 3), (5, 7)])
def test_no_patient_is_in_two_parts(hospitals: int, patients: int) -> None:
    fovs = table(hospitals, patients)
    owner = dict(zip(fovs["fov_id"], fovs["patient_id"], strict=True))
    made = splits(fovs, seed=1)
    assert len(made) == (1 + hospitals if hospitals > 1 else 1)
    for split in made:
        parts = [{owner[fov] for fov in split.fovs(part)} for part in ("train", "valid", "test")]
        assert all(parts)
        assert sum(map(len, parts)) == len(set.union(*parts)) == hospitals * patients


def test_base_deals_60_20_20_and_mixes_hospitals_and_architectures() -> None:
    fovs = table(3, 10)
    (base, *_) = splits(fovs, seed=2)
    assert [len(base.fovs(part)) for part in ("train", "valid", "test")] == [36, 12, 12]
    test = fovs[fovs["fov_id"].isin(base.fovs("test"))]
    assert test["site"].value_counts().tolist() == [4, 4, 4]
    assert test["group_architecture"].value_counts().tolist() == [4, 4, 4]


def test_a_shift_tests_on_one_hospital_alone() -> None:
    fovs = table(3, 4)
    shift = splits(fovs, seed=0)[3]
    assert shift.name == "shift-hospital-3"
    assert {fov[:2] for fov in shift.fovs("test")} == {"h3"}
    assert {fov[:2] for fov in shift.fovs("train") + shift.fovs("valid")} == {"h1", "h2"}


def test_the_dealing_depends_on_the_seed_alone() -> None:
    fovs = table(3, 6)
    shuffled = splits(fovs.sample(frac=1, random_state=0), seed=0)
    assert shuffled[0].parts == splits(fovs, seed=0)[0].parts
    assert splits(fovs, seed=0) != splits(fovs, seed=1)


@pytest.mark.parametrize("numbers", [(0, 4, 1), (1, 2, 1), (3, 1, 0)])
def test_too_few_to_split_is_refused(numbers: tuple[int, int, int], tmp_path: Path) -> None:
    hospitals, patients, fields = numbers
    with pytest.raises(SettingError, match="three patients"):
        make_dataset(Home(tmp_path), hospitals=hospitals, patients=patients, fields=fields)
    assert not (tmp_path / "datasets").exists()


def test_a_dataset_is_replaced_only_when_asked(tissue: CellDataset) -> None:
    home = Home(tissue.folder.parent.parent)
    with pytest.raises(SettingError, match="overwrite"):
        make_dataset(home, name="small")
