from __future__ import annotations

import json
from pathlib import Path

import pytest

from cryostat.core.errors import CryostatError, InputError, SettingError
from cryostat.encoders.inspection import Wish, inspect
from cryostat.encoders.shelf import find_encoder, kind_of

SLIDE = '[card]\nname = "mine"\ntitle = "Mine"\narchitecture = "mean"\n[pooling]\nrule = "mean"\n'


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("uni2-h", "tile"),
        ("UNI2_H", "tile"),
        ("GigaPath Slide", "slide"),
        ("mean", "slide"),
        ("neurovfm", "volume"),
        ("BiomedBERT", "text"),
        ("timm:resnet18", "tile"),
        ("test_vit", "tile"),
        ("my/model.py", "tile"),
        ("sentence-transformers/all-MiniLM-L6-v2", "text"),
    ],
)
def test_names_tell_the_kind(name: str, kind: str) -> None:
    assert kind_of(name) == kind


def test_files_and_folders_tell_the_kind(tmp_path: Path) -> None:
    (tmp_path / "slide.toml").write_text(SLIDE)
    (tmp_path / "volume.toml").write_text("[card]\n[build]\n")
    (tmp_path / "tile.toml").write_text("[card]\n[timm]\n")
    found = [kind_of(str(tmp_path / f"{name}.toml")) for name in ("slide", "volume", "tile")]
    assert found == ["slide", "volume", "tile"]
    assert find_encoder(str(tmp_path / "slide.toml")).reads == "any"
    for name, config in (("bert", {"vocab_size": 9}), ("vit", {"image_size": 9})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    assert [kind_of(str(tmp_path / name)) for name in ("bert", "vit")] == ["text", "tile"]
    with pytest.raises(InputError, match="does not exist"):
        kind_of("nowhere.toml")


def test_each_kind_has_its_passport(tmp_path: Path) -> None:
    (tmp_path / "slide.toml").write_text(SLIDE)
    names = ("none", "mean", str(tmp_path / "slide.toml"), "tfidf")
    found = [inspect(name, Wish(device="cpu", batch=1, seconds=0)) for name in names]
    assert [(i.kind, i.report.unit, i.report.passed) for i in found] == [
        ("tile", "images", True),
        ("slide", "tiles", True),
        ("slide", "tiles", True),
        ("text", "texts", True),
    ]
    told = found[1].as_json()
    assert (told["kind"], told["encoder"], told["device"], told["precision"]) == ("slide", "mean", "cpu", "fp32")
    json.dumps(told)


@pytest.mark.parametrize("name", ["mean", "tfidf", "volume-stats"])
def test_precisions_that_there_are_not(name: str) -> None:
    with pytest.raises(SettingError):
        inspect(name, Wish(precision="fp16"))


@pytest.mark.parametrize("name", ["gigapath-slide", "neurovfm"])
def test_weights_are_asked_for(name: str) -> None:
    with pytest.raises(CryostatError, match="needs its weights"):
        inspect(name)
