"""Runs trained on tiles: what their records prove, and that a killed one ends with the same result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tile_runs import InterruptedError, die_after, same_result, set_aside, tile_spec

from cryostat.cells.dataset import CellDataset
from cryostat.cells.runs import pupils
from cryostat.cells.runs.bench import Bench
from cryostat.cells.runs.spec import RunSpec
from cryostat.cells.synthetic import make_dataset
from cryostat.cells.training.common import one_thread
from cryostat.cells.training.tiles.checkpoints import Checkpoint
from cryostat.core.errors import EncoderError
from cryostat.core.home import Home
from cryostat.encoders.tile.base import TileEncoder
from cryostat.results.records import RunRecord


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module", autouse=True)
def tissue(home: Home) -> Iterator[CellDataset]:
    with one_thread():
        yield make_dataset(home, name="tissue", hospitals=2, patients=3, fields=1, size=256, seed=1)


def left(home: Home) -> list[Path]:
    return list((home.root / "training").glob("*"))


MODES = ["cached", "cached:2", "live", "finetune", "lora:2"]
HEADS_AND_MODES = [("dpt-lean", mode) for mode in MODES] + [("cell-probe", mode) for mode in MODES[2:]]


@pytest.mark.parametrize(("head", "mode"), [pair for pair in HEADS_AND_MODES if pair[1] != "cached:2"])
def test_a_record_proves_its_mode(home: Home, head: str, mode: str) -> None:
    bench, spec = Bench(home), tile_spec(head, mode)
    record = bench.run(spec)
    encoder, training = bench.features(spec).encoder, record.training
    names = training["optimised_parameters"]
    learnt = [name for name in names if name.startswith("encoder.")]
    assert training["mode"] == record.settings["mode"] == mode
    assert training["encoder_weights_before"] == training["encoder_weights_after"] == encoder.weights_hash()
    assert any(name.startswith("head.") for name in names)
    assert bool(learnt) == (mode in ("finetune", "lora:2"))
    assert ("tuned_weights" in training) == bool(learnt)
    if learnt:
        assert training["tuned_weights"] != training["encoder_weights_before"]
    if mode == "lora:2":
        assert training["tuned_base_weights"] == training["encoder_weights_before"]
        assert all(".lora_" in name for name in learnt)
    assert (record.folder / "head.safetensors").stat().st_size > 0
    assert not left(home)


def test_the_settings_say_all_that_was_resolved(home: Home) -> None:
    settings = Bench(home).run(tile_spec("dpt-lean", "live")).settings
    assert settings["mode"] == "live"
    assert settings["layers"] == ["block-2", "block-3", "block-4", "block-6"]
    assert settings["head_settings"]["features"] == 8
    assert settings["head_settings"]["lr"] == 1e-3
    assert settings["quirks"] == []
    quirks = Bench(home).run(tile_spec("linear", None, protocol="paper")).settings
    assert quirks["mode"] == "live"
    assert quirks["head_settings"]["weight_decay"] == 0.03
    assert quirks["head_settings"]["period"] == 30000
    assert "training.train_mode_encoder: True / False" in quirks["quirks"]


def test_adapters_begin_at_the_seed_of_the_run(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds, tuned = [], pupils.tuned

    def noted(encoder: TileEncoder, *, lora: int = 0, seed: int = 0) -> TileEncoder:
        seeds.append((lora, seed))
        return tuned(encoder, lora=lora, seed=seed)

    monkeypatch.setattr(pupils, "tuned", noted)
    Bench(home).run(tile_spec("cell-probe", "lora:3", seed=7, steps=1))
    assert seeds == [(3, 7)]


def test_a_frozen_encoder_that_changed_in_training_is_an_error_and_nothing_is_kept(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, spec = Bench(home), tile_spec("linear", "live", seed=31)
    encoder = bench.features(spec).encoder
    maps = encoder._maps

    def drifting(images: torch.Tensor, layers: object) -> object:
        with torch.no_grad():
            next(encoder.module.parameters()).add_(1e-3)
        return maps(images, layers)

    monkeypatch.setattr(encoder, "_maps", drifting)
    before = set(home.runs.iterdir())
    with pytest.raises(EncoderError, match="changed during the run"):
        bench.run(spec)
    assert set(home.runs.iterdir()) == before
    assert not left(home)


@pytest.mark.parametrize("held", ["inside the head", "beside the head"])
def test_a_head_that_trains_the_frozen_encoder_is_an_error(
    home: Home, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    bench, spec = Bench(home), tile_spec("linear", "live", seed=32, lr=1e-12, weight_decay=0.0)
    encoder, build = bench.features(spec).encoder, pupils.build_head

    def build_thief(*arguments: object) -> torch.nn.Module:
        head = build(*arguments)
        if held == "inside the head":
            head.thief = encoder.module
        else:
            head.register_parameter("thief", next(encoder.module.parameters()))
        return head

    monkeypatch.setattr(pupils, "build_head", build_thief)
    before = set(home.runs.iterdir())
    with pytest.raises(EncoderError, match="does not prove its mode live"):
        bench.run(spec)
    assert set(home.runs.iterdir()) == before


@pytest.mark.parametrize(("head", "mode"), [*HEADS_AND_MODES[1:5], ("cell-probe", "live")])
def test_a_killed_run_ends_with_the_same_result(
    home: Home, monkeypatch: pytest.MonkeyPatch, head: str, mode: str
) -> None:
    spec = tile_spec(head, mode, steps=5, seed=3)
    whole = set_aside(home, Bench(home).run(spec))
    for looks in (1, 1):
        with monkeypatch.context() as patch:
            die_after(patch, looks)
            with pytest.raises(InterruptedError):
                Bench(home).run(spec)
        assert [path.stem for path in left(home)] == [whole.run_id]
    resumed = Bench(home).run(spec)
    assert [look["step"] for look in resumed.training["looks"]] == [2, 4, 5]
    same_result(whole, resumed)
    assert not left(home)


def test_learners_that_were_killed_at_different_steps_end_with_the_same_results(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [tile_spec("dpt-lean", "live", seed=seed, steps=6) for seed in (11, 12)]
    whole = [set_aside(home, one) for one in Bench(home).run_together(specs) if isinstance(one, RunRecord)]
    with monkeypatch.context() as patch:
        die_after(patch, 3)  # the first learner has looked twice, the second once
        with pytest.raises(InterruptedError):
            Bench(home).run_together(specs)
    assert len(left(home)) == 2
    for one, other in zip(whole, Bench(home).run_together(specs), strict=True):
        assert isinstance(other, RunRecord)
        same_result(one, other)
    assert not left(home)


@pytest.mark.parametrize("damage", [0, 1000])
def test_a_damaged_checkpoint_costs_time_only(home: Home, monkeypatch: pytest.MonkeyPatch, damage: int) -> None:
    spec = tile_spec("linear", "live", seed=4)
    whole = set_aside(home, Bench(home).run(spec))
    with monkeypatch.context() as patch:
        die_after(patch, 1)
        with pytest.raises(InterruptedError):
            Bench(home).run(spec)
    (file,) = left(home)
    file.write_bytes(file.read_bytes()[:damage])
    same_result(whole, Bench(home).run(spec))
    assert not left(home)


KILLED = """
import os, signal, sys, torch
from pathlib import Path
from cryostat.cells.runs.bench import Bench
from cryostat.cells.training.tiles.checkpoints import Checkpoint
from cryostat.core.home import Home
sys.path.insert(0, sys.argv[2])
from tile_runs import tile_spec
torch.set_num_threads(1)
keep = Checkpoint.keep
def kept(self, learner):
    keep(self, learner)
    os.kill(os.getpid(), signal.SIGKILL)
Checkpoint.keep = kept
Bench(Home(Path(sys.argv[1]))).run(tile_spec("dpt-lean", "cached", seed=5))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_process_killed_at_once_is_made_good_by_another(home: Home) -> None:
    spec = tile_spec("dpt-lean", "cached", seed=5)
    whole = set_aside(home, Bench(home).run(spec))
    command = [sys.executable, "-c", KILLED, str(home.root), str(Path(__file__).parent)]
    killed = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert [path.stem for path in left(home)] == [whole.run_id]
    assert not (home.runs / whole.run_id).exists()
    same_result(whole, Bench(home).run(spec))
    assert not left(home)


def test_a_seed_repeats_and_another_differs(home: Home) -> None:
    first = set_aside(home, Bench(home).run(tile_spec("cell-probe", "live", seed=21)))
    same_result(first, Bench(home).run(tile_spec("cell-probe", "live", seed=21)))
    other = Bench(home).run(tile_spec("cell-probe", "live", seed=22))
    assert other.run_id != first.run_id
    assert not other.predictions().filter(regex="^p_").equals(first.predictions().filter(regex="^p_"))


def test_checkpoints_of_other_settings_are_other_files(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(Checkpoint, "keep", lambda self, learner: seen.append(self.path.name))
    for lr in (1e-3, 2e-3):
        Bench(home).run(RunSpec(**{**vars(tile_spec("linear", "live", seed=6, lr=lr, steps=1))}))
    assert len(set(seen)) == 2
