from __future__ import annotations

import json
from pathlib import Path

import pytest

from cryostat.checkup import CheckUp, Sign, check_up, machine, packages
from cryostat.core.extras import EXTRAS
from cryostat.core.home import Home


def absent(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    real = packages.importlib.util.find_spec
    for module in (packages, machine):
        monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None if name in names else real(name))


def test_a_whole_check_up_is_plain_data_and_writes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "not" / "there"
    found = check_up(Home(home), offline=True)
    assert found.works
    assert not home.exists()
    told = json.loads(json.dumps(found.as_json()))
    assert {sign["part"] for sign in told["signs"]} == {"machine", "disk", "packages", "commands", "hub"}
    assert all(sign["remedy"] for sign in told["signs"] if sign["state"] in ("lacking", "bad"))


def test_only_what_is_bad_keeps_it_from_working() -> None:
    lacking, bad = Sign("hub", "a", "lacking", ""), Sign("disk", "b", "bad", "")
    assert CheckUp((lacking,)).works
    assert not CheckUp((lacking, bad)).works
    assert CheckUp((lacking, bad)).of("disk") == (bad,)


def test_missing_packages_name_their_command(monkeypatch: pytest.MonkeyPatch) -> None:
    absent(monkeypatch, "timm", "peft", "h5py")
    extras = {sign.name: sign for sign in packages.packages()}
    assert extras["encoders"].state == "lacking"
    assert extras["encoders"].detail.startswith("lacks timm; has ")
    assert extras["encoders"].remedy == "Run: pip install 'cryostat[encoders]'"
    found = {sign.name: sign for sign in packages.commands()}
    assert found["data, score, segmentation, results"].state == "good"
    assert found["run with --mode lora:R"].remedy == "Run: pip install 'cryostat[encoders,training]'"
    assert found["data import of .h5, .lmdb, .xlsx"].detail == "lacks h5py"


def test_a_base_that_is_not_whole_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    absent(monkeypatch, "sklearn")
    base = next(sign for sign in packages.packages() if sign.name == "base")
    assert (base.state, base.detail) == ("bad", "lacks scikit-learn")


def test_every_optional_package_is_one_of_an_extra() -> None:
    wanted = {package for needed in packages.COMMANDS.values() for package in needed}
    assert wanted <= set(EXTRAS)


def test_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 3e9})()
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda place: usage)
    home, temporary = machine.disks(Home(tmp_path))
    assert home.state == "lacking"
    assert home.detail.endswith("3 GB free")
    assert "CRYOSTAT_HOME" in home.remedy
    assert temporary.state == "good"
    monkeypatch.setattr(machine.os, "access", lambda place, mode: False)
    assert next(machine.disks(Home(tmp_path))).state == "bad"


def test_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_memory", lambda: (int(16e9), int(2e9)))
    assert machine.memory().state == "lacking"
    assert machine.memory().detail == "16 GB, 2 GB free"
    monkeypatch.setattr(machine, "_memory", lambda: (None, None))
    assert machine.memory().state == "unknown"


def test_machines_without_torch_or_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(machine.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    assert "CUDA build" in machine.gpus()[0].remedy
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    assert machine.gpus()[0].detail == "none"
    absent(monkeypatch, "torch")
    assert machine.gpus()[0].state == "unknown"


def test_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = type("Facts", (), {"name": "H200", "major": 9})()
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda number: facts)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda number: (140_000_000_000, 150_000_000_000))
    assert machine.gpus() == [Sign("machine", "GPU 0", "good", "H200, 150 GB, 140 GB free, bf16")]
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda number: (10_000_000_000, 150_000_000_000))
    assert "nvidia-smi" in machine.gpus()[0].remedy


def test_an_old_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(machine, "_flags", lambda: frozenset({"sse2"}))
    assert machine.processor().state == "lacking"
    monkeypatch.setattr(machine, "_flags", lambda: frozenset({"avx2"}))
    assert machine.processor().state == "good"
