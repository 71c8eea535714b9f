from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cryostat.cli.encoders import command
from cryostat.core.errors import EncoderError, SettingError


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def rows(output: str) -> list[list[str]]:
    return [line.split() for line in output.splitlines() if re.match("  [a-z]", line)]


def test_list_names_the_floors_first_and_needs_no_torch() -> None:
    result = CliRunner().invoke(command, ["list"])
    assert result.exit_code == 0
    found = rows(result.output)
    assert [row[0] for row in found if row[0] != "name"][:4] == ["none", "random-vit", "rcf", "stain-filters"]
    assert "needs none" in " ".join(found[1])
    uni = next(" ".join(row) for row in found if row[0] == "uni2-h")
    assert uni.endswith("224/14 1,536 681.4 M 0.5 gated CC BY-NC-ND 4.0")
    for name in ("gigapath-slide", "neurovfm", "biomedbert", "timm:NAME"):
        assert name in result.output
    code = "import sys; from cryostat.cli.encoders import command\ncommand(['list'], standalone_mode=False)\n"
    code += "assert 'torch' not in sys.modules and 'timm' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_without_a_command_encoders_are_listed() -> None:
    assert CliRunner().invoke(command, []).output == CliRunner().invoke(command, ["list"]).output


def test_list_of_one_kind_with_overlap(tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    result = CliRunner().invoke(command, ["list", "--kind", "tile", "--dataset", "pannuke", "--json", str(file)])
    found = {row[0]: " ".join(row) for row in rows(result.output)}
    assert "biomedbert" not in found
    assert found["stain-filters"].endswith("none known")
    assert found["rcf"].endswith("certain")
    assert found["phikon"].endswith("possible")
    told = {entry["name"]: entry for entry in json.loads(file.read_text())}
    assert told["phikon"]["overlap"]["level"] == "possible"
    assert "TCGA" in told["phikon"]["overlap"]["why"]
    assert told["rcf"]["access"] == "needs none"


@pytest.mark.parametrize("words", [["list"], ["list", "--dataset", "consep"]])
def test_the_list_fits_80_columns(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    output = CliRunner().invoke(command, words).output
    assert "CC BY-NC-ND" in output
    assert "prov-gigapath" in output
    table = output.partition("Slide encoders")[0]
    assert "…" not in table
    assert max(map(len, table.splitlines())) <= 80


def test_kinds_that_are_none() -> None:
    result = CliRunner().invoke(command, ["list", "--kind", "sound"])
    assert isinstance(result.exception, SettingError)


@pytest.mark.parametrize(("name", "line"), [("tfidf", "text encoder"), ("GigaPath-Slide", "slide encoder")])
def test_show_of_other_kinds(name: str, line: str) -> None:
    assert line in CliRunner().invoke(command, ["show", name]).output


def test_show_tells_why_images_may_have_been_seen() -> None:
    output = CliRunner().invoke(command, ["show", "rcf", "--dataset", "mine"]).output
    assert "certain: rcf takes its filters from unlabelled images of the dataset itself" in output


def test_show_tells_the_card() -> None:
    output = CliRunner().invoke(command, ["show", "UNI2_h"]).output
    for text in (
        "16×16 of 14 px, 1536 channels",
        "block-1 … block-24, final",
        "MahmoodLab/UNI2-h at d517a8dd47902dd7c308b3c36f63bce47e7b9a43 (gated",
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


def test_the_report_is_written_as_json(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    result = CliRunner().invoke(command, ["check", "none", "--device", "cpu", "--batch", "1", "--json", str(file)])
    assert result.exit_code == 0
    told = json.loads(file.read_text())
    assert (told["encoder"], told["passed"], told["device"], told["batch"]) == ("none", True, "cpu", 1)


FAINT = """
import cryostat
from torch import nn
@cryostat.tile_encoder(name="mine", width=3, patch_size=8, input_size=64)
class Mine(nn.Module):
    def forward(self, images):
        return nn.functional.avg_pool2d(images, 8) * {scale} + 1
"""


@pytest.mark.parametrize(
    ("scale", "code", "said"), [("1", 0, "Fit for use."), ("1e-3", 0, "Fit for use, with 1 doubt.")]
)
def test_check_of_a_file_of_ones_own(tmp_path: Path, scale: str, code: int, said: str) -> None:
    (tmp_path / "mine.py").write_text(FAINT.format(scale=scale))
    result = CliRunner().invoke(command, ["check", str(tmp_path / "mine.py"), "--device", "cpu", "--batch", "1"])
    assert result.exit_code == code
    assert said in result.output


def test_the_template_is_printed_as_it_is(tmp_path: Path) -> None:
    output = CliRunner().invoke(command, ["template"]).output
    compile(output, "my_model.py", "exec")
    assert "@cryostat.tile_encoder(" in output
