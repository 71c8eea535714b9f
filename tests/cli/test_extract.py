"""`cryostat features extract` fills a store that the next call finds."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from cryostat.cells.synthetic import make_dataset
from cryostat.cli import cryostat
from cryostat.core.home import Home


def test_extract_twice_makes_one_store(tmp_path: Path) -> None:
    make_dataset(Home(tmp_path), name="tissue", hospitals=1, patients=3, fields=1, size=256)
    call = ["--home", str(tmp_path), "features", "extract", "--dataset", "tissue", "--encoder", "stain-filters"]
    first, second = (CliRunner().invoke(cryostat, call, catch_exceptions=False) for _ in range(2))
    assert first.exit_code == 0
    assert "tiles in" in first.output
    assert first.output == second.output
    assert len(list((tmp_path / "features").glob("tissue--stain-filters--final--*"))) == 1
