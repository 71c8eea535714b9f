from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryostat.cases.cohort import load_cohort
from cryostat.cases.labels import targets
from cryostat.cases.simulated import Simulated, load_simulated, simulate
from cryostat.core.errors import InputError, SettingError, StoreError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    return simulate(tmp_path_factory.mktemp("simulated") / "cohort", draws=2000)


@pytest.fixture(scope="module")
def table(made: Simulated) -> pd.DataFrame:
    return pd.read_csv(made.folder / "cohort.csv", dtype=str, keep_default_na=False)


def test_availability_is_that_of_the_paper(made: Simulated, table: pd.DataFrame) -> None:
    has = table[["mri", "wsi", "report"]].ne("")
    assert len(table) == 310
    assert has.value_counts().to_dict() == {
        (True, False, False): 155, (True, True, True): 95, (False, False, False): 60,
    }  # fmt: skip
    assert sum(len(cell.split(";")) for cell in table["wsi"] if cell) == 597
    assert len(list((made.folder / "wsi").iterdir())) == 597
    assert (has.to_numpy() == made.patients.present).all()


def test_labels_have_the_papers_numbers(made: Simulated, table: pd.DataFrame) -> None:
    sizes = {name: list(targets(task, table, "cohort.csv").counts().values()) for name, task in made.tasks.items()}
    assert sizes["tumour_type"] == [176, 71, 31, 13]
    assert sizes["tumour_type_other"] == [176, 71, 31, 32]
    assert sizes["tumour_type6"] == [176, 71, 31, 13, 9, 6]
    assert sizes["tumour_type8"] == [176, 71, 31, 13, 9, 6, 1, 3]
    assert sizes["subtype"] == [153, 17, 1, 1, 4, 71, 30, 1, 8, 3, 2, 8, 1, 3, 2, 1, 1, 1, 1, 1]
    assert sizes["who_grade"] == [45, 37, 204]
    assert sizes["lgg_hgg"] == [65, 241]


def test_classes_are_spread_in_proportion(table: pd.DataFrame) -> None:
    complete = table[table["wsi"] != ""]
    assert abs((complete["subtype"] == "glioblastoma").sum() - 153 * 95 / 310) < 1.5
    assert (table["split"] == "test").sum() == 29
    assert (table.loc[table["split"] == "test", "wsi"] != "").all()


def test_slides_average_to_the_embedding(made: Simulated, table: pd.DataFrame) -> None:
    row = int(np.flatnonzero(table["wsi"].str.contains(";"))[0])
    slides = np.stack([np.load(made.folder / path) for path in table["wsi"][row].split(";")])
    assert slides.dtype == np.float32
    np.testing.assert_allclose(slides.mean(0), made.patients.embeddings["wsi"][row], atol=1e-5)


def test_dirt_is_where_it_says_nothing(made: Simulated) -> None:
    mri = pd.read_csv(made.folder / "mri_features.csv")
    signal = mri.filter(like="radiomic_").to_numpy()
    assert signal.shape == (250, 96)
    assert np.isfinite(signal).all()
    assert np.isinf(mri["ratio_enhancing_to_rest"]).any()
    assert mri["volume_cyst_ml"].isna().any()
    assert mri["scan_date"].str.match(r"202[345]-\d\d-\d\d").all()


def test_files_have_the_posterior_that_is_claimed(made: Simulated, table: pd.DataFrame) -> None:
    mri = pd.read_csv(made.folder / "mri_features.csv", dtype={"patient_id": str}).set_index("patient_id")
    report = pd.read_parquet(made.folder / "report_embeddings.parquet").set_index("patient_id")
    both = np.flatnonzero(table["report"] != "")
    values = {
        "mri": mri.loc[table["mri"][both]].filter(like="radiomic_").to_numpy(),
        "report": report.loc[table["report"][both]].to_numpy(),
    }
    found = made.model.posterior(values, ("mri", "report"), made.task("who_grade"))
    np.testing.assert_allclose(found, made.posterior("who_grade", ("mri", "report"))[both], atol=1e-4)


def test_posterior_looks_at_what_is_there(made: Simulated) -> None:
    everything = made.posterior("tumour_type", ("mri", "wsi", "report"))
    mri = made.posterior("tumour_type", ("mri",))
    only_mri = made.patients.present.sum(1) == 1
    nothing = made.patients.present.sum(1) == 0
    assert (everything[only_mri] == mri[only_mri]).all()
    np.testing.assert_allclose(everything[nothing], np.tile(np.array([176, 71, 31, 13]) / 291, (60, 1)))
    np.testing.assert_allclose(everything.sum(1), 1)


def test_the_manifest_loads(made: Simulated) -> None:
    cohort = load_cohort(made.manifest)
    assert cohort.patients == made.patients.ids
    assert list(cohort.modalities) == ["mri", "wsi", "report"]
    assert list(cohort.tasks) == list(made.tasks)
    assert {name: task.classes for name, task in cohort.tasks.items()} == {n: t.classes for n, t in made.tasks.items()}


def test_it_is_found_again(made: Simulated) -> None:
    again = load_simulated(made.folder)
    assert again.bayes == made.bayes
    assert again.best("tumour_type", ("report", "mri")).offered == ("mri", "report")
    np.testing.assert_array_equal(again.patients.signals, made.patients.signals)
    assert simulate(made.folder, draws=2000).bayes == made.bayes
    with pytest.raises(InputError, match=r"another simulated cohort.*seed: 1 / 0"):
        simulate(made.folder, seed=1, draws=2000)


def test_another_seed_is_another_cohort(made: Simulated, tmp_path: Path) -> None:
    other = simulate(tmp_path, seed=1, patients=100, draws=2000)
    assert len(other.patients.ids) == 100
    assert other.patients.present.sum(0).tolist() == [81, 31, 31]
    assert not np.allclose(other.patients.signals[:100], made.patients.signals[:100])


def test_the_same_seed_writes_the_same_bytes(made: Simulated, tmp_path: Path) -> None:
    simulate(tmp_path, draws=2000)
    for name in ("cohort.csv", "cohort.toml", "mri_features.csv", "bayes.json"):
        assert (tmp_path / name).read_bytes() == (made.folder / name).read_bytes()


def test_all_patients_may_have_all(tmp_path: Path) -> None:
    made = simulate(tmp_path, patients=60, mri=60, pathology=60, draws=1000)
    assert made.patients.present.all()


def test_no_patient_may_have_pathology(tmp_path: Path) -> None:
    made = simulate(tmp_path, patients=50, mri=20, pathology=0, draws=1000)
    assert made.patients.present.sum(0).tolist() == [20, 0, 0]
    assert not list((tmp_path / "wsi").iterdir())


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not an empty folder"):
        simulate(tmp_path, draws=1000)
    with pytest.raises(SettingError, match="too few"):
        simulate(tmp_path / "new", draws=10)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_damaged_record_is_told(made: Simulated, tmp_path: Path) -> None:
    record = json.loads((made.folder / "bayes.json").read_text())

    def load(**changes: object) -> None:
        (tmp_path / "bayes.json").write_text(json.dumps(record | changes))
        load_simulated(tmp_path)

    with pytest.raises(InputError, match="not the record"):
        load(version=0)
    with pytest.raises(InputError, match="damaged"):
        load(tasks={"tumour_type": {}})
    with pytest.raises(StoreError, match="another random generator"):
        load(first_patient=[[0.0] * 10] * 3)
    with pytest.raises(InputError, match="does not exist"):
        load_simulated(tmp_path / "nowhere")
    with pytest.raises(SettingError, match="no task 'survival'"):
        made.task("survival")
