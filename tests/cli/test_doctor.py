from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cryostat.checkup import CheckUp, Sign
from cryostat.cli import cryostat


def call(home: Path, *words: str) -> Result:
    runner = CliRunner(env={"COLUMNS": "80"})
    return runner.invoke(cryostat, ["--home", str(home), "doctor", "--offline", *words], catch_exceptions=False)


def test_the_doctor_tells_all_parts_within_80_columns(tmp_path: Path) -> None:
    file = tmp_path / "checkup.json"
    ended = call(tmp_path, "--json", str(file))
    assert ended.exit_code == 0
    for part in ("Machine", "Disk", "Packages", "Commands", "Hub", "Cryostat works here"):
        assert part in ended.output
    assert max(map(len, ended.output.partition("The check-up is in")[0].splitlines())) <= 80
    assert json.loads(file.read_text())["works"] is True


def test_what_keeps_it_from_working_ends_with_status_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = Sign("disk", "home", "bad", "cannot be [written] to", "Choose another")
    monkeypatch.setattr("cryostat.checkup.check_up", lambda home, offline: CheckUp((bad,)))
    ended = call(tmp_path)
    assert ended.exit_code == 1
    assert "✗  home" in ended.output
    assert "cannot be [written] to" in ended.output
    assert "→ Choose another." in ended.output
