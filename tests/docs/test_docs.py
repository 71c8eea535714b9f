"""What the documentation says of settings, parameters and rules is what the code has."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
import torch

from cryostat.cells.heads import HEADS, head_settings
from cryostat.cells.heads.build import build_head
from cryostat.cells.heads.probe import CellProbe
from cryostat.cells.heads.settings import (
    CellProbeSettings,
    HoverNeXtSettings,
    LeanDPTSettings,
    LinearSettings,
    ProbeTileSettings,
    TileSettings,
)
from cryostat.cells.protocols import load_protocol
from cryostat.cells.runs.modes import KINDS
from cryostat.cells.studies import study_names
from cryostat.cli import cryostat

DOCS = Path(__file__).resolve().parents[2] / "docs"
OUTPUTS = 15


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def explained(kind: type[Any]) -> dict[str, str]:
    """Name to what the docstring of a dataclass says of it."""
    _, _, attributes = (kind.__doc__ or "").partition("Attributes:")
    joined = re.sub(r"\n {12,}", " ", attributes)
    return dict(re.findall(r"^\s*(\w+): (.+?)\.?\s*$", joined, flags=re.MULTILINE))


def settings_rows() -> list[str]:
    """Rows of the table of settings: those of all heads trained on tiles, then those that some have besides."""
    rows = [row(TileSettings, f.name, "all") for f in fields(TileSettings)]
    for head, kind in (
        ("cell-probe", ProbeTileSettings),
        ("dpt-lean", LeanDPTSettings),
        ("hovernext", HoverNeXtSettings),
    ):
        rows += [row(kind, name, head) for name in explained(kind)]
    return rows


def row(kind: type[Any], name: str, heads: str) -> str:
    default = next(f.default for f in fields(kind) if f.name == name)
    shown = str(default).lower() if isinstance(default, bool) else str(default)
    return f"| `{name}` | {heads} | {shown or '–'} | {explained(kind)[name]} |"


def test_every_setting_of_training_on_tiles_is_documented_as_the_code_has_it() -> None:
    training = page("training.md")
    assert [row for row in settings_rows() if row not in training] == []
    assert len(re.findall(r"^\| `\w+` \| (?:all|cell-probe|dpt-lean|hovernext) \|", training, re.MULTILINE)) == len(
        settings_rows()
    )


def test_heads_with_a_learning_rate_of_their_own_are_named() -> None:
    probe, hovernext = ProbeTileSettings().lr, HoverNeXtSettings().lr
    assert f"`cell-probe` has `lr` {probe} and `hovernext` {hovernext}." in page("training.md")
    assert LeanDPTSettings().lr == TileSettings().lr


@pytest.mark.parametrize("kind", [LinearSettings, CellProbeSettings])
def test_every_setting_of_fitting_on_vectors_is_named(kind: type[Any]) -> None:
    assert [f.name for f in fields(kind) if not re.search(rf"\b{f.name}\b", page("training.md"))] == []


def test_every_head_and_mode_is_named() -> None:
    assert [name for name in (*HEADS, *KINDS) if f"| `{name}" not in page("training.md")] == []


@pytest.mark.parametrize("width", [384, 768, 1024, 1280, 1536])
def test_the_parameters_of_heads_are_those_that_they_have(width: int) -> None:
    with torch.device("meta"):
        counts = [size(build_head("linear", width, OUTPUTS, None)), size(CellProbe(2 * width, OUTPUTS, 0, 0.0))]
        counts += [size(build_head(h, width, OUTPUTS, head_settings(h))) for h in ("unetr", "dpt", "dpt-lean")]
    assert f"| {width} | {' | '.join(f'{count:,}' for count in counts)} |" in page("training.md")


def size(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_every_rule_that_differs_between_the_protocols_is_in_the_table() -> None:
    names = [quirk.split(":")[0] for quirk in load_protocol("paper").quirks()]
    documented = re.findall(r"^\| `(\w+\.\w+)` \|", page("methodology.md"), re.MULTILINE)
    assert sorted(documented) == sorted(names)


def test_every_command_in_the_documentation_exists_with_its_options() -> None:
    pages = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]
    for path in pages:
        for line in commands(path.read_text(encoding="utf-8")):
            found, rest = resolve(cryostat, line)
            known = {option for parameter in found.params for option in parameter.opts} | {"--help", "-h"}
            asked = {word.split("=")[0] for word in rest if word.startswith("-")}
            assert asked <= known, f"{path.name}: cryostat {line}"


def commands(text: str) -> list[str]:
    """All that follows `cryostat` on a line of its own or in backticks."""
    whole = re.sub(r"\\\n\s*", " ", text)
    found = re.findall(r"^(?: {4})?cryostat ([^\n#]+)", whole, re.MULTILINE) + re.findall(r"`cryostat ([^`]+)`", whole)
    return [line.strip() for line in found]


def resolve(command: click.Command, line: str) -> tuple[click.Command, list[str]]:
    """The command that a line calls, and what is left of the line."""
    words = line.split()
    while words and not words[0].startswith("-") and isinstance(command, click.Group):
        inner = command.get_command(click.Context(command), words[0])
        assert inner is not None, f"cryostat {line}"
        command, words = inner, words[1:]
    return command, words


def test_studies_named_in_the_documentation_ship() -> None:
    texts = [
        (DOCS.parent / "README.md").read_text(encoding="utf-8"),
        *(p.read_text("utf-8") for p in DOCS.glob("*.md")),
    ]
    named = {name for text in texts for name in re.findall(r"pathocellbench-[\w-]+", text)}
    assert named
    assert named <= set(study_names())
