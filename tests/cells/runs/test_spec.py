"""Study files: what they mean, and how they refuse what nothing would read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cryostat.cells.runs.spec import RunSpec, expand_split, read_study
from cryostat.core.errors import InputError, SettingError

STUDY = """
[study]
name = "shift"
protocol = "paper"
seeds = [0, 1]
[cells]
datasets = ["toy"]
splits = ["base", "5fold"]
encoders = ["a", "b"]
heads = ["linear", "cell-probe"]
fractions = [1.0, 0.1]
[encoders.b]
weights = "b.safetensors"
[heads.cell-probe]
hidden = 64
"""


class Toy:
    """As much of a dataset as the expansion of splits looks at."""

    def split_names(self) -> list[str]:
        return ["base", "5fold-0", "5fold-1", "5fold-10", "5fold-2", "other"]

    def split(self, name: str) -> Any:
        raise SettingError(f"no split {name}", remedy="none")


def write(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text)
    return path


def test_a_study_is_the_product_of_its_lists(tmp_path: Path) -> None:
    specs = read_study(write(tmp_path, STUDY)).specs({"toy": Toy()})
    # 2 encoders × 2 heads × (1 + 4 folds) × 2 fractions × 2 seeds
    assert len(specs) == 2 * 2 * 5 * 2 * 2
    assert len(set(map(repr, specs))) == len(specs)
    assert [s.encoder for s in specs] == ["a"] * 40 + ["b"] * 40
    assert {s.weights for s in specs if s.encoder == "b"} == {"b.safetensors"}
    assert {s.weights for s in specs if s.encoder == "a"} == {None}
    assert {s.protocol for s in specs} == {"paper"}
    assert all((s.head_settings == {"hidden": 64}) == (s.head == "cell-probe") for s in specs)


def test_a_family_stands_for_its_folds_in_order() -> None:
    assert expand_split(Toy(), "5fold") == ["5fold-0", "5fold-1", "5fold-2", "5fold-10"]
    assert expand_split(Toy(), "other") == ["other"]
    with pytest.raises(SettingError):
        expand_split(Toy(), "nothing")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "shift"', "", "lacks 'name'"),
        ("seeds =", "sedes =", "study.sedes that nothing reads"),
        ("[heads.cell-probe]", "[head.cell-probe]", "section 'head' that nothing reads"),
        ('datasets = ["toy"]', "datasets = []", "datasets is not a list"),
        ('weights = "b.safetensors"', 'wieghts = "b"', "encoders.b.wieghts"),
        ("[study]", "[study", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_study(write(tmp_path, STUDY.replace(old, new)))


@pytest.mark.parametrize("fraction", [0, -0.1, 1.5])
def test_fractions_lie_between_0_and_1(fraction: float) -> None:
    with pytest.raises(SettingError, match="fraction"):
        RunSpec("d", "e", "linear", "s", fraction=fraction)


def test_unknown_heads_are_refused() -> None:
    with pytest.raises(SettingError, match="no head 'unet'"):
        RunSpec("d", "e", "unet", "s")
