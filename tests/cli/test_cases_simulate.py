from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cryostat.cli.cases_simulate import command
from cryostat.core.errors import SettingError

SMALL = ["--patients", "60", "--draws", "1000"]


def test_it_says_who_is_there_and_the_best_possible(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["-o", str(tmp_path / "cohort"), *SMALL, "--task", "lgg_hgg"])
    assert result.exit_code == 0, result.output
    assert "60 patients: 48 with mri, 18 with wsi, 18 with report; 12 with nothing" in result.output
    assert "lgg_hgg" in result.output
    assert "Classes: low-grade, high-grade" in result.output
    lines = [line.split() for line in result.output.splitlines()]
    nothing = next(line for line in lines if line[:1] == ["nothing"])
    assert nothing[1:] == ["0.500", "0.788", "0.517"]
    assert (tmp_path / "cohort" / "cohort.toml").exists()


def test_an_unknown_task_is_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"no task 'survival'.*tumour_type"):
        CliRunner().invoke(command, ["-o", str(tmp_path / "c"), *SMALL, "--task", "survival"], catch_exceptions=False)
    assert not (tmp_path / "c").exists()


def test_it_needs_no_torch(tmp_path: Path) -> None:
    arguments = ["-o", str(tmp_path / "c"), *SMALL]
    code = (
        f"import sys; from cryostat.cli.cases_simulate import command\ncommand({arguments!r}, standalone_mode=False)\n"
    )
    code += "assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
