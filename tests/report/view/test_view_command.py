"""What `cryostat view` prints; nothing is served."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner
from view_samples import write_run

from cryostat.cli.view import command
from cryostat.core.errors import SettingError
from cryostat.report.view import ViewServer

pytestmark = pytest.mark.enable_socket


@pytest.fixture
def said(judged, monkeypatch):
    """Runs the command without serving; gives what it printed, without the key."""
    monkeypatch.setattr(ViewServer, "serve", lambda self: None)

    def run(*words: str) -> str:
        result = CliRunner().invoke(command, [*words, "--no-open"], obj=judged, catch_exceptions=False)
        assert result.exit_code == 0
        return re.sub(r"http\S+", "URL", result.output)

    return run


def test_what_is_shown_is_told(said, tiff, cells):
    assert said("squares", "--all-runs").startswith("Showing 1 dataset with 2 models of 3 runs at URL")
    assert said("--run", "squares-hover").startswith("Showing 1 dataset with 1 model of 1 run at URL")
    assert said(str(tiff), "--cells", str(cells)).startswith("Showing 1 slide at URL")
    assert said().startswith("Showing 1 dataset at URL")


def test_a_large_file_of_cells_is_announced(said, tiff, cells, monkeypatch):
    monkeypatch.setattr("cryostat.cli.view.SLOW", 10)
    assert said(str(tiff), "--cells", str(cells)).startswith("Reading cells.geojson (0 MiB) …\nShowing 1 slide")


def test_what_is_left_out_is_told(said, judged, squares, monkeypatch):
    other = write_run(judged, squares, "of-yesterday", {"a": [1]})
    record = other / "run.json"
    record.write_text(record.read_text().replace(squares.identity, "f" * 16))
    try:
        told = said("squares", "--all-runs")
    finally:
        for file in other.iterdir():
            file.unlink()
        other.rmdir()
    assert "Left out: run 'of-yesterday' was made on dataset 'squares'" in told
    assert "3 runs" in told


def test_an_unknown_run_is_told_with_the_nearest(said):
    with pytest.raises(SettingError, match="The nearest are squares-hover"):
        said("--run", "square-hovr")
