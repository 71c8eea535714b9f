from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cryostat.core.errors import CryostatError, EncoderError, SettingError
from cryostat.core.identity import differences
from cryostat.encoders.plugins import TEMPLATE
from cryostat.encoders.registry import card, load_encoder
from cryostat.encoders.tile.selftest import check

FILE = '''
"""Patch means, and a scale that can be trained."""
import torch
import cryostat
from torch import nn
{extra}
@cryostat.tile_encoder(name="mine", width=3, patch_size=8, input_size=64{facts})
class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.randn(3))

    def forward(self, images):
        # Tokens, row by row.
        maps = nn.functional.avg_pool2d(images, 8) * self.scale.view(3, 1, 1)
        return {result}
'''
TOKENS = "maps.flatten(2).transpose(1, 2)"


def written(
    folder: Path,
    *,
    result: str = TOKENS,
    facts: str = "",
    extra: str = "",
    name: str = "mine.py",
    old: str = "",
    new: str = "",
) -> str:
    path = folder / name
    path.write_text(FILE.format(result=result, facts=facts, extra=extra).replace(old or "\0", new))
    return str(path)


def weights(folder: Path, *values: float) -> Path:
    path = folder / "mine.safetensors"
    save_file({"scale": torch.tensor(values)}, path)
    return path


def test_the_template_has_fifteen_lines_and_passes(tmp_path: Path) -> None:
    text = TEMPLATE.read_text()
    assert len([line for line in text.splitlines() if line.strip() and not line.startswith('"""')]) <= 15
    small = text.replace("vit_small_patch16_224", "test_vit").replace("width=384", "width=64")
    small = small.replace("input_size=224", "input_size=160").replace("depth=12", "depth=6")
    (tmp_path / "my_model.py").write_text(small)
    encoder = load_encoder(str(tmp_path / "my_model.py"), weights="random", device="cpu")
    report = check(encoder, layers=["block-1", "block-6", "final"], batch=1, seconds=0)
    assert report.passed
    assert encoder.card.parameters == card("timm:test_vit").parameters == 306_240
    image = torch.rand(1, 3, 96, 96)
    found = encoder.encode(image, ("block-6", "final"))
    expected = encoder.module.vit.norm(found["block-6"])
    torch.testing.assert_close(found["final"], expected)


@pytest.mark.parametrize("result", [TOKENS, "maps", "maps.permute(0, 2, 3, 1)", f"({TOKENS}, 0)"])
def test_tokens_and_maps_of_either_order_are_the_same(tmp_path: Path, result: str) -> None:
    weights(tmp_path, 1.0, 2.0, 3.0)
    file = written(tmp_path, result=result, facts=', weights="mine.safetensors", mean=(0, 0, 0), std=(1, 1, 0.5)')
    image = torch.zeros(2, 3, 64, 64)
    image[:, :, 16:24, 40:48] = 0.5
    tokens = load_encoder(file, device="cpu").encode(image)["final"]
    assert tokens.shape == (2, 8, 8, 3)
    assert tokens[1, 2, 5].tolist() == [0.5, 1.0, 3.0]
    assert float(tokens.sum()) == 9.0


def test_weights_come_from_the_option_then_from_the_file(tmp_path: Path) -> None:
    weights(tmp_path, 1.0, 2.0, 3.0)
    other = tmp_path / "other.safetensors"
    save_file({"module.scale": torch.ones(3)}, other)
    file = written(tmp_path, facts=', weights="mine.safetensors"')
    assert load_encoder(file).module.scale.tolist() == [1.0, 2.0, 3.0]
    found = load_encoder(file, weights=other)
    assert found.module.scale.tolist() == [1.0, 1.0, 1.0]
    assert found.card.name == "mine"
    assert not any(p.requires_grad for p in found.module.parameters())
    assert load_encoder(file, weights="random", seed=2).card.name == "mine@random2"


def test_no_weights_no_encoder(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"mine.py: mine needs its weights.*--weights PATH.*loads_weights=True"):
        load_encoder(written(tmp_path))
    own = load_encoder(written(tmp_path, facts=", loads_weights=True"))
    assert own.identity() == load_encoder(written(tmp_path, facts=", loads_weights=True")).identity()
    with pytest.raises(SettingError, match="loads its own weights"):
        load_encoder(written(tmp_path, facts=", loads_weights=True"), weights="random")


def test_the_identity_follows_logic_helpers_and_weights_but_not_comments(tmp_path: Path) -> None:
    weights(tmp_path, 1.0, 2.0, 3.0)
    (tmp_path / "helper.py").write_text("OFFSET = 0\n")
    settings = {"facts": ', weights="mine.safetensors"', "extra": "from helper import OFFSET"}

    def identity(**changes: str) -> dict[str, object]:
        return dict(load_encoder(written(tmp_path, **settings, **changes)).identity())

    first = identity()
    assert identity(old="# Tokens, row by row.", new="# Said otherwise.") == first
    assert differing(first, identity(old="images, 8)", new="images, 8) + 1")) == ["file"]
    (tmp_path / "helper.py").write_text("OFFSET = 1\n")
    assert differing(first, identity()) == ["file"]
    (tmp_path / "helper.py").write_text("OFFSET = 0  # none\n")
    assert identity() == first
    weights(tmp_path, 1.0, 2.0, 4.0)
    assert differing(first, identity()) == ["weights"]


def differing(a: dict[str, object], b: dict[str, object]) -> list[str]:
    return [line.split(":")[0] for line in differences(a, b)]


def test_two_folders_have_helpers_of_one_name(tmp_path: Path) -> None:
    for folder, offset in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "helper.py").write_text(f"OFFSET = {offset}\n")
        written(
            tmp_path / folder,
            extra="from helper import OFFSET",
            facts=", loads_weights=True",
            old="randn(3)",
            new="ones(3) * OFFSET",
        )
    path = list(sys.path)
    found = [load_encoder(str(tmp_path / folder / "mine.py")).module.scale.tolist() for folder in "ab"]
    assert found == [[1.0] * 3, [2.0] * 3]
    assert sys.path == path
    assert "helper" not in sys.modules


def test_a_function_that_builds_and_a_name_among_several(tmp_path: Path) -> None:
    more = """
@cryostat.tile_encoder(name="the-other", width=3, patch_size=16, input_size=64)
def other():
    return nn.AvgPool2d(16)
"""
    path = Path(written(tmp_path))
    path.write_text(path.read_text() + more)
    assert load_encoder(f"{path}:other").encode(torch.ones(1, 3, 64, 64))["final"].shape == (1, 4, 4, 3)
    assert card(f"{path}:the-other").patch_size == 16
    assert card(f"{path}:mine").patch_size == 8
    with pytest.raises(SettingError, match=r"has 2 encoders: mine, the-other. Name one, as .*mine.py:mine"):
        card(str(path))
    with pytest.raises(SettingError, match="called 'third'"):
        card(f"{path}:third")


def test_a_class_derived_from_a_marked_one_is_not_marked(tmp_path: Path) -> None:
    path = Path(written(tmp_path))
    path.write_text(path.read_text() + "\nclass Better(Mine):\n    pass\n")
    assert card(str(path)).name == "mine"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("def f(:\n", r"is not Python \(line 1"),
        ("\0", "is not"),
        ("x = 1\n", "has no class or function marked"),
        ("x = 1\n\ny = nowhere\n", "running it ended at line 3 in NameError: name 'nowhere'"),
        ("import sys\nsys.exit(3)\n", "running it ended at line 2 in SystemExit: 3"),
        ("import not_a_package\n", "Install not_a_package"),
        ("import cryostat\n@cryostat.tile_encoder(width=1, patch_size=8)\ndef f(): ...", "missing .* 'name'"),
    ],
)
def test_files_that_are_no_encoders(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(CryostatError, match=problem) as found:
        load_encoder(str(tmp_path / "bad.py"))
    assert found.value.where == str(tmp_path / "bad.py")
    assert found.value.remedy


def test_a_file_that_is_missing() -> None:
    with pytest.raises(CryostatError, match=r"nowhere.py: does not exist"):
        card("nowhere.py")


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        (", colour=3", "unknown field 'colour'"),
        (", precision='fp8'", "'fp8' is not one of"),
        (", mean=(1, 2)", "mean = .* is not tuple"),
        (", depth=2", "states depth = 2 and blocks = ''"),
        (", depth=2, blocks='layers'", "'layers' is a list of 2 blocks, the model has no such list"),
        (", weights='gone.safetensors'", "gone.safetensors: does not exist"),
    ],
)
def test_facts_that_are_wrong(tmp_path: Path, facts: str, problem: str) -> None:
    with pytest.raises(CryostatError, match=problem):
        load_encoder(written(tmp_path, facts=facts))


def test_names_of_shipped_encoders_are_taken(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="'UNI', which is the name of one"):
        card(written(tmp_path, old='"mine"', new='"UNI"'))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("torch.randn(3))", "torch.randn(3)); 1 / 0", "building the model ended at line 11 in ZeroDivisionError"),
        ("nn.Parameter(torch.randn(3))", "torch.ones(3)", "neither parameter nor buffer: scale"),
        ("class Mine(nn.Module):", "def mine():\n    return [1]\nclass Mine(nn.Module):", "gave a list where"),
    ],
)
def test_models_that_cannot_be_built(tmp_path: Path, old: str, new: str, problem: str) -> None:
    with pytest.raises(EncoderError, match=problem):
        load_encoder(written(tmp_path, old=old, new=new), weights="random")


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        ("maps.nowhere", "encoding images of shape .* ended at line 16 in AttributeError"),
        ("maps.mean((2, 3))", "gives \\(1, 3\\) for final.*\\(1, 0 \\+ 64, 3\\)"),
        ("maps[:, :2]", "state width and patch_size"),
        (f"torch.cat([{TOKENS}, {TOKENS}[:, :5]], 1)", "State prefix_tokens=5"),
        (f"{TOKENS}[:, 1:]", "Return all patch tokens"),
        ("'tokens'", "gives str for final, not a tensor"),
        ("maps.int()", "not a tensor of floats"),
    ],
)
def test_outputs_that_are_wrong(tmp_path: Path, result: str, problem: str) -> None:
    encoder = load_encoder(written(tmp_path, result=result), weights="random", device="cpu")
    with pytest.raises(EncoderError, match=problem) as found:
        encoder.encode(torch.zeros(1, 3, 64, 64))
    assert "mine.py" in str(found.value)


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    save_file({"scale": torch.ones(4), "shift": torch.ones(1)}, tmp_path / "mine.safetensors")
    with pytest.raises(EncoderError, match=r"1 unexpected \(shift\).*scale is \(4,\) not \(3,\)"):
        load_encoder(written(tmp_path), weights=tmp_path / "mine.safetensors")


def test_the_documentation_shows_the_template() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "own-encoder.md").read_text()
    _, _, code = TEMPLATE.read_text().partition("\n\n")
    assert "\n".join(f"    {line}" if line else "" for line in code.splitlines()) in page
