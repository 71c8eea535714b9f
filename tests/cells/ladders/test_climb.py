"""Ladders of real runs on generated tissue."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable, Iterator, Sized
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryostat.cells.dataset import CellDataset, load_dataset
from cryostat.cells.ladders import PERTURBATIONS, PerturbedTiles, climb
from cryostat.cells.ladders.perturbations import Perturbation
from cryostat.cells.runs.bench import Bench
from cryostat.cells.runs.spec import RunSpec
from cryostat.cells.synthetic import make_dataset
from cryostat.core.errors import InputError
from cryostat.core.home import Home
from cryostat.core.identity import sha256_file
from cryostat.encoders.tile.stain import StainBank
from cryostat.features.store import FeatureStore
from cryostat.results.ladder_files import COUNTS, LADDER, ladder_tallies, read_ladder
from cryostat.results.ladders import ladder_rows
from cryostat.results.records import RunRecord
from cryostat.results.tallies import tallies_of

QUICK = {"linear": {"steps": 60, "validate_every": 30}, "cell-probe": {"steps": 100}}
MODULE = importlib.import_module("cryostat.cells.ladders.climb")


def short(name: str, *amounts: float) -> Perturbation:
    return replace(PERTURBATIONS[name], amounts=amounts)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with tissue and a run of each head."""
    home = Home(tmp_path_factory.mktemp("home"))
    make_dataset(home, name="tissue", hospitals=2, patients=3, fields=1, size=192, seed=1)
    for head in QUICK:
        Bench(home).run(spec(head))
    return home


def spec(head: str, **changes: object) -> RunSpec:
    return RunSpec("tissue", "stain-filters", head, "base", head_settings=QUICK[head], **changes)


@pytest.fixture
def home(ran: Home, tmp_path: Path) -> Home:
    """A copy of it, so that tests leave nothing behind."""
    shutil.copytree(ran.root, tmp_path / "home")
    return Home(tmp_path / "home")


def record(home: Home, head: str) -> RunRecord:
    return RunRecord.load(next(home.runs.glob(f"tissue-base-stain-filters-{head}-*")))


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many tiles passed the encoder, a number a pass."""
    seen: list[int] = []
    forward: Callable[..., object] = StainBank.forward

    def counted(self: StainBank, rgb: Sized) -> object:
        seen.append(len(rgb))
        return forward(self, rgb)

    monkeypatch.setattr(StainBank, "forward", counted)
    return seen


@pytest.mark.parametrize("head", QUICK)
def test_untouched_is_the_run_to_the_bit_and_nothing_of_it_changes(home: Home, head: str) -> None:
    run = record(home, head)
    before = {path.name: sha256_file(path) for path in run.folder.iterdir()}
    (found,) = climb([run], home, [short("blur", 0.5)])
    assert found.reason == ""
    assert found.facts.untouched == {"same_bits": True, "largest_difference": 0.0}
    after = {path.name: sha256_file(path) for path in run.folder.iterdir()}
    assert {name: after[name] for name in before} == before
    assert {LADDER, COUNTS} <= set(after) - set(before)


def test_a_neutral_step_counts_as_the_run_does(home: Home) -> None:
    runs = [record(home, head) for head in QUICK]
    climb(runs, home, [short("scale", 1.0), short("brightness", 1.0)])
    for run in runs:
        _, found = ladder_tallies(run)
        for name in ("scale", "brightness"):
            pd.testing.assert_frame_equal(found[name, 1].fields, tallies_of(run).fields)
            np.testing.assert_array_equal(found[name, 1].counts, tallies_of(run).counts)


def test_strong_blur_costs_more_than_weak_and_at_last_nearly_all(home: Home) -> None:
    runs = [record(home, head) for head in QUICK]
    climb(runs, home, [short("blur", 0.5, 2.0, 8.0)])
    rows, broken = ladder_rows(runs)
    assert not broken
    for row in rows:
        curve = row.curves["blur"]
        macro = [step.macro_f1.value for step in curve.steps]
        assert macro[0] == pytest.approx(row.facts["macro_f1"], abs=1e-12)
        assert macro[0] > macro[2] > 0
        assert macro[3] < 0.6 * macro[0]
        assert curve.area.value == pytest.approx(np.mean(macro[1:]) / macro[0])


def test_heads_of_one_encoder_share_a_pass_and_a_second_call_makes_none(home: Home, passes: list[int]) -> None:
    runs = [record(home, head) for head in QUICK]
    ladder = [short("noise", 0.1)]
    test = load_dataset("tissue", home).split("base").fovs("test")
    tiles = Bench(home).features(spec("linear")).tiles
    first = climb(runs, home, ladder)
    # One token more: a new store is tried with one empty tile.
    assert sum(passes) == sum(len(tiles.tiles_of(fov)) for fov in test) + 1
    passes.clear()
    again = climb(runs, home, ladder)
    assert passes == []
    assert [one.new for one in first] == [1, 1]
    assert [one.new for one in again] == [0, 0]
    assert again[0].facts == first[0].facts


def test_the_same_ladder_is_the_same_bytes(home: Home, tmp_path: Path) -> None:
    twin = Home(tmp_path / "twin")
    shutil.copytree(home.root, twin.root)
    ladder = [short("noise", 0.1), short("jpeg", 20), short("scale", 0.7)]
    for one in (home, twin):
        assert climb([record(one, "cell-probe")], one, ladder)[0].reason == ""
    one, two = (record(place, "cell-probe").folder / COUNTS for place in (home, twin))
    assert one.read_bytes() == two.read_bytes()


def test_after_a_kill_it_goes_on_with_the_step_it_was_at(
    home: Home, monkeypatch: pytest.MonkeyPatch, passes: list[int]
) -> None:
    run, ladder = record(home, "linear"), [short("blur", 1.0, 2.0)]
    keep, calls = MODULE.add_rung, []

    def dying(*parts: object) -> None:
        calls.append(parts)
        if len(calls) == 2:
            raise KeyboardInterrupt
        keep(*parts)

    monkeypatch.setattr(MODULE, "add_rung", dying)
    with pytest.raises(KeyboardInterrupt):
        climb([run], home, ladder)
    assert list(read_ladder(run.folder).rungs) == [("blur", 1)]
    monkeypatch.setattr(MODULE, "add_rung", keep)
    passes.clear()
    (found,) = climb([run], home, ladder)
    assert (found.new, found.reason) == (1, "")
    assert passes == []  # the features of the second step were stored already
    untouched = Home(home.root.parent / "other")
    shutil.copytree(home.root, untouched.root)
    other = record(untouched, "linear")
    for name in (LADDER, COUNTS):
        (other.folder / name).unlink()
    climb([other], untouched, ladder)
    assert (other.folder / COUNTS).read_bytes() == (run.folder / COUNTS).read_bytes()


def test_rows_without_their_step_count_for_nothing(home: Home) -> None:
    run = record(home, "linear")
    climb([run], home, [short("blur", 1.0, 2.0)])
    path = run.folder / LADDER
    facts = json.loads(path.read_text())
    whole = (run.folder / COUNTS).read_bytes()
    path.write_text(json.dumps(facts | {"rungs": facts["rungs"][:1]}))  # as if killed between the two files
    assert set(ladder_tallies(run)[1]) == {("blur", 0), ("blur", 1)}
    assert climb([run], home, [short("blur", 1.0, 2.0)])[0].new == 1
    assert (run.folder / COUNTS).read_bytes() == whole


def test_features_can_be_forgotten(home: Home) -> None:
    before = set(home.features.iterdir())
    (found,) = climb([record(home, "cell-probe")], home, [short("blur", 1.0)], keep_features=False)
    assert found.new == 1
    assert {path for path in home.features.iterdir() if not path.name.startswith(".")} == before


def test_a_changed_perturbation_is_climbed_anew(home: Home) -> None:
    run = record(home, "linear")
    climb([run], home, [short("blur", 1.0)])
    assert climb([run], home, [short("blur", 1.5)])[0].new == 1
    assert [rung.amount for rung in read_ladder(run.folder).of("blur")] == [1.5]


def test_runs_that_cannot_climb_say_why_and_the_others_climb(home: Home) -> None:
    headless, fine = record(home, "linear"), record(home, "cell-probe")
    (headless.folder / "head.safetensors").unlink()
    first, second = climb([headless, fine], home, [short("jpeg", 10)])
    assert "has no fitted head" in first.reason
    assert (first.new, second.new, second.reason) == (0, 1, "")
    assert not (headless.folder / LADDER).exists()


@pytest.mark.parametrize("change", [{"head": "unetr"}, {"mode": "live"}, {"mode": "lora:4"}])
def test_heads_that_read_more_than_vectors_are_refused(home: Home, change: dict[str, str]) -> None:
    run = record(home, "linear")
    other = replace(run, settings={**run.settings, **change})
    assert "reads more than feature vectors" in climb([other], home, [short("jpeg", 10)])[0].reason


def test_a_dataset_that_changed_since_is_refused(home: Home) -> None:
    make_dataset(home, name="tissue", hospitals=2, patients=3, fields=1, size=192, seed=2, overwrite=True)
    reason = climb([record(home, "linear")], home, [short("jpeg", 10)])[0].reason
    assert "dataset 'tissue' is not the one" in reason
    assert "Run it again" in reason


def test_a_split_that_changed_since_is_refused(home: Home, tissue_split: Callable[[CellDataset], None]) -> None:
    tissue_split(load_dataset("tissue", home))
    assert "split:" in climb([record(home, "linear")], home, [short("jpeg", 10)])[0].reason


@pytest.fixture
def tissue_split() -> Callable[[CellDataset], None]:
    """Exchanges the validation and the test part of `base`."""

    def change(dataset: CellDataset) -> None:
        path = dataset.folder / "splits" / "base.parquet"
        table = pd.read_parquet(path)
        table["part"] = table["part"].replace({"valid": "test", "test": "valid"})
        table.to_parquet(path)

    return change


@pytest.mark.parametrize("damage", [b"", b"not safetensors at all", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_damaged_heads_are_told(home: Home, damage: bytes) -> None:
    run = record(home, "linear")
    (run.folder / "head.safetensors").write_bytes(damage)
    reason = climb([run], home, [short("jpeg", 10)])[0].reason
    assert "head.safetensors" in reason
    assert "Run it again" in reason or "Download" in reason


def test_another_head_than_the_predictions_are_of_is_refused(home: Home) -> None:
    run = record(home, "linear")
    table = run.predictions()
    columns = [name for name in table if name.startswith("p_")]
    table[columns] = table[columns].to_numpy()[:, ::-1]
    table.to_parquet(run.folder / "predictions.parquet")
    reason = climb([run], home, [short("jpeg", 10)])[0].reason
    assert "do not give the predictions" in reason


def test_a_damaged_ladder_is_told_and_not_overwritten(home: Home) -> None:
    run = record(home, "linear")
    climb([run], home, [short("jpeg", 10)])
    (run.folder / COUNTS).write_bytes(b"PAR1 no more")
    assert "cannot be read" in climb([run], home, [short("jpeg", 10), short("blur", 1.0)])[0].reason
    with pytest.raises(InputError, match="cannot be read"):
        ladder_tallies(run)
    _, broken = ladder_rows([run])
    assert [one.folder for one in broken] == [run.folder]


def test_under_paper_tiles_keep_their_numbers_and_scale_is_refused(home: Home) -> None:
    run = Bench(home).run(replace(spec("cell-probe"), protocol="paper"))
    ladder = [short("brightness", 0.5), short("scale", 0.5)]
    (found,) = climb([run], home, ladder)
    assert "scores nuclei as tiles cut them" in found.reason
    # `paper` scales every tile by its own maximum, so less light changes nothing but the last bits.
    (rung,) = found.facts.of("brightness")
    assert rung.macro_f1 == pytest.approx(run.cell_scores().macro_f1, abs=0.01)


def test_perturbed_tiles_are_of_the_chosen_fields_and_scale_makes_them_fewer(home: Home) -> None:
    whole = Bench(home).features(spec("linear")).tiles
    fov = load_dataset("tissue", home).split("base").fovs("test")[0]
    small, dark = (PerturbedTiles(whole, [fov], short(name, 0.5), 1) for name in ("scale", "brightness"))
    assert set(small.index()["fov_id"]) == {fov} == set(dark.index()["fov_id"])
    assert small.field_shape(fov) == (96, 96)
    np.testing.assert_array_equal(dark.numbers_in_whole(dark.index()["tile"].to_numpy()), whole.tiles_of(fov))
    np.testing.assert_array_equal(dark.load([0]), whole.load(whole.tiles_of(fov)[:1].tolist()) * np.float32(0.5))
    assert small.identity() != dark.identity() != whole.identity()


def test_stores_of_steps_are_apart(home: Home) -> None:
    before = set(home.features.glob("[!.]*"))
    climb([record(home, "linear")], home, [short("blur", 1.0, 2.0)])
    stores = [FeatureStore(path) for path in set(home.features.glob("[!.]*")) - before]
    assert sorted(store.identity["tiles"]["perturbation"]["amount"] for store in stores) == [1, 2]
