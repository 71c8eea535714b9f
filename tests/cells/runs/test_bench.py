"""Runs from end to end on generated tissue: scored, recorded, found again, repeated to the bit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

import cryostat as cs
from cryostat.cells.dataset import CellDataset, Split, load_dataset
from cryostat.cells.runs.bench import Bench
from cryostat.cells.runs.spec import RunSpec
from cryostat.cells.runs.study import run_specs
from cryostat.cells.synthetic import make_dataset
from cryostat.cells.writer import write_split
from cryostat.core.errors import EncoderError, SettingError
from cryostat.core.home import Home

QUICK = {"linear": {"steps": 60, "validate_every": 30}, "cell-probe": {"steps": 100}}
OF_TILES = {"steps": 8, "validate_every": 4, "batch": 4}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def tissue(home: Home) -> CellDataset:
    return make_dataset(home, name="tissue", hospitals=2, patients=3, fields=1, size=256, seed=1)


def spec(head: str, **changes: object) -> RunSpec:
    settings = {"split": "base", "head_settings": QUICK[head]} | changes
    return RunSpec("tissue", "stain-filters", head, **settings)


@pytest.mark.parametrize("protocol", ["standard", "paper"])
@pytest.mark.parametrize("head", ["linear", "cell-probe"])
def test_a_run_scores_every_nucleus_of_the_test_part(home: Home, tissue: CellDataset, head: str, protocol: str) -> None:
    on_tiles = head == "linear" and protocol == "paper"
    record = Bench(home).run(spec(head, protocol=protocol, head_settings=OF_TILES if on_tiles else QUICK[head]))
    table, scores = record.predictions(), record.scores()
    fovs = tissue.split("base").fovs("test")
    nuclei = tissue.cells[tissue.cells["fov_id"].isin(fovs)]
    assert set(zip(table["fov_id"], table["cell_id"], strict=True)) == set(
        zip(nuclei["fov_id"], nuclei["cell_id"], strict=True)
    )
    assert len(table) >= len(nuclei)
    assert (len(table) == len(nuclei)) == (protocol == "standard")
    labels = sorted(set(table["y_true"]) | (set(table["y_pred"]) if protocol == "paper" else set()))
    counted = [c for c in labels if c]
    expected = f1_score(table["y_true"], table["y_pred"], labels=counted, average="macro", zero_division=0)
    assert scores.macro_f1 == pytest.approx(expected, abs=1e-9)
    probabilities = table.filter(regex=r"^p_\d+$").to_numpy()
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-3)


def test_the_record_proves_that_the_encoder_was_frozen(home: Home, tissue: CellDataset) -> None:
    record = Bench(home).run(spec("cell-probe"))
    training = record.training
    assert training["encoder_weights_before"] == training["encoder_weights_after"]
    assert all(name.startswith("classify") for name in training["optimised_parameters"])
    stored = json.loads((home.runs / record.run_id / "run.json").read_text())
    assert stored["settings"]["seed"] == 0
    assert stored["environment"]["packages"]["torch"]


def test_a_finished_run_is_found_and_not_run_again(home: Home, tissue: CellDataset) -> None:
    first = Bench(home).run(spec("cell-probe"))
    before = (home.runs / first.run_id / "run.json").stat().st_mtime_ns
    assert Bench(home).run(spec("cell-probe")).run_id == first.run_id
    assert (home.runs / first.run_id / "run.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("head", ["linear", "cell-probe"])
def test_same_seed_same_bits_other_seed_other_run(home: Home, tissue: CellDataset, tmp_path: Path, head: str) -> None:
    again = Home(tmp_path)
    make_dataset(again, name="tissue", hospitals=2, patients=3, fields=1, size=256, seed=1)
    first, second = Bench(home).run(spec(head)), Bench(again).run(spec(head))
    pd.testing.assert_frame_equal(first.predictions(), second.predictions())
    assert Bench(home).run(spec(head, seed=1)).run_id != first.run_id


def test_what_fails_becomes_a_row_and_the_rest_goes_on(home: Home, tissue: CellDataset) -> None:
    specs = [spec("cell-probe", split="nowhere"), spec("cell-probe")]
    outcomes = run_specs(specs, home, study="partly broken")
    assert "nowhere" in outcomes[0].reason
    assert outcomes[0].record is None
    assert outcomes[1].record is not None
    kept = json.loads((home.root / "studies" / "partly broken.json").read_text())
    assert [row["run_id"] is None for row in kept] == [True, False]


def test_an_encoder_that_changed_is_an_error(home: Home, tissue: CellDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(home)
    features = bench.features(spec("cell-probe"))
    hashes = iter(["a" * 64, "b" * 64])
    monkeypatch.setattr(type(features.encoder), "weights_hash", lambda self: next(hashes))
    with pytest.raises(EncoderError, match="changed during the run"):
        bench.run(spec("cell-probe", seed=99))
    assert not list(home.runs.glob("*seed99*"))


def test_the_public_names_do_what_the_readme_shows(home: Home, tissue: CellDataset) -> None:
    features = cs.encode(cs.load_encoder("stain-filters"), cs.load_dataset("tissue", home), home=home)
    run = cs.fit(features, head="cell-probe", split="base", seed=0, settings=QUICK["cell-probe"], home=home)
    assert run.run_id == Bench(home).run(spec("cell-probe")).run_id
    assert 0 <= run.scores().macro_f1 <= 1


def test_unknown_protocols_are_named(home: Home, tissue: CellDataset) -> None:
    with pytest.raises(SettingError, match="no protocol 'papers'"):
        Bench(home).run(spec("cell-probe", protocol="papers"))


def test_a_patient_in_two_parts_is_refused_unless_the_protocol_allows_it(home: Home, tissue: CellDataset) -> None:
    make_dataset(home, name="tissue2", hospitals=1, patients=3, fields=2, size=256)
    two = load_dataset("tissue2", home)
    first, second, *rest = map(str, two.fovs.index)
    parts = {first: "train", second: "test", rest[0]: "valid", rest[2]: "train"}
    write_split(two.folder, Split("torn", parts), two.fovs.index)
    torn = RunSpec("tissue2", "stain-filters", "cell-probe", "torn", head_settings=QUICK["cell-probe"])
    with pytest.raises(SettingError, match="split 'torn' has patients in two parts"):
        Bench(home).run(torn)
    assert Bench(home).run(replace(torn, protocol="paper")).scores()


def test_the_record_names_random_weights_and_writes_defaults_out(home: Home, tissue: CellDataset) -> None:
    given = RunSpec("tissue", "test_vit", "cell-probe", "base", weights="random", head_settings=QUICK["cell-probe"])
    record = Bench(home).run(given)
    assert record.settings["encoder"] == "test_vit@random0"
    assert record.settings["precision"] == "fp32"
    assert record.settings["mpp"] == 0.5
    assert "test_vit@random0" in record.run_id
