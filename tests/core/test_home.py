from __future__ import annotations

from pathlib import Path

import pytest

from cryostat.core.home import Home


def test_what_is_asked_for_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYOSTAT_HOME", str(tmp_path / "env"))
    assert Home.find(tmp_path / "asked").root == tmp_path / "asked"
    assert Home.find().root == tmp_path / "env"
    monkeypatch.delenv("CRYOSTAT_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Home.find().root == tmp_path / ".cryostat"


def test_rooms(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert [p.name for p in (home.datasets, home.features, home.runs)] == ["datasets", "features", "runs"]
    assert {p.parent for p in (home.datasets, home.features, home.runs)} == {tmp_path}
