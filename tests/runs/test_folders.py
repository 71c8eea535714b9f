from __future__ import annotations

import pytest

from cryostat.runs.folders import drafted


def test_a_run_that_breaks_off_leaves_nothing(tmp_path):
    def breaking_off():
        with drafted(tmp_path / "run") as draft:
            (draft / "half.txt").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        breaking_off()
    assert list(tmp_path.iterdir()) == []


def test_a_run_finished_meanwhile_by_another_stays(tmp_path):
    with drafted(tmp_path / "run") as draft:
        (draft / "run.json").write_text("ours")
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "run.json").write_text("theirs")
    assert (tmp_path / "run" / "run.json").read_text() == "theirs"


def test_an_unfinished_folder_gives_way(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "half.txt").write_text("half")
    with drafted(tmp_path / "run") as draft:
        (draft / "run.json").write_text("whole")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.json"]
