from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cryostat.cli.encoders import command
from cryostat.core.errors import EncoderError


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def test_list_names_the_floors_first_and_needs_no_torch() -> None:
    result = CliRunner().invoke(command, ["list"])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    rows = [line for line in lines if line.startswith("│")]
    assert [row.split()[1] for row in rows[:4]] == ["none", "random-vit", "rcf", "stain-filters"]
    assert "needs none" in rows[0]
    assert any("uni2-h" in row and "gated" in row and "1536" in row for row in rows)
    code = "import sys; from cryostat.cli.encoders import command\ncommand(['list'], standalone_mode=False)\n"
    code += "assert 'torch' not in sys.modules and 'timm' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_show_tells_the_card() -> None:
    output = CliRunner().invoke(command, ["show", "UNI2_h"]).output
    for text in (
        "16×16 of 14 px, 1536 channels",
        "block-1 … block-24, final",
        "MahmoodLab/UNI2-h (gated",
        "681,394,176",
    ):
        assert text in output


def test_check_passes_and_says_so() -> None:
    result = CliRunner().invoke(command, ["check", "test_vit", "--device", "cpu", "--batch", "1"])
    assert result.exit_code == 0
    assert "test_vit@random0 (cpu, fp32, batches of 1)" in result.output
    assert "10 of 10 dots" in result.output
    assert "images a second" in result.output
    assert "Fit for use" in result.output


CARD = """
[card]
name = "mine"
title = "Mine"
architecture = "ViT"
input_size = 160
patch_size = 16
width = 60
depth = 0
[timm]
model = "resnet18+stage2"
"""


def test_check_of_a_wrong_card_fails_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(CARD)
    result = CliRunner().invoke(command, ["check", str(tmp_path / "mine.toml"), "--weights", "random"])
    assert result.exit_code == 1
    assert "its card says (10, 10, 60)" in result.output
    assert "→ Correct patch_size, width or prefix_tokens in the card." in result.output
    assert "Not fit for use" in result.output


def test_check_without_weights_is_our_error() -> None:
    result = CliRunner().invoke(command, ["check", "virchow2"])
    assert isinstance(result.exception, EncoderError)
    assert "--weights PATH" in result.exception.remedy
