from __future__ import annotations

from pathlib import Path

import pytest

from cryostat.core.errors import CryostatError, EncoderError, SettingError
from cryostat.encoders import catalogue
from cryostat.encoders.card import EncoderCard
from cryostat.encoders.reading import nearest
from cryostat.encoders.registry import load_encoder, torch_device
from cryostat.encoders.shelf import all_encoders
from cryostat.encoders.volume.registry import load_volume_encoder

CARD = """
[card]
name = "mine"
title = "Mine"
architecture = "ViT"
input_size = 160
patch_size = 16
width = 192
depth = 12
prefix_tokens = 1
{fact}
[{way}]
{settings}
"""


def written(folder: Path, fact: str = "", way: str = "timm", settings: str = 'model = "vit_tiny_patch16_224"') -> str:
    path = folder / "mine.toml"
    path.write_text(CARD.format(fact=fact, way=way, settings=settings))
    return str(path)


@pytest.mark.parametrize(
    ("fact", "problem"),
    [
        ("std = [0.5, 0.0, 0.5]", "std and mpp must be positive"),
        ("std = [0.5, inf, 0.5]", "std = .* is not tuple"),
        ("mean = [0.5, 0.5]", "mean = .* is not tuple"),
        ("mean = [0.5, 0.5, true]", "mean = .* is not tuple"),
        ("mpp = nan", "mpp = nan is not float"),
        ("mpp = -0.5", "std and mpp must be positive"),
        ("parameters = 0", "parameters = 0 is not positive"),
        ('access = "secret"', "access 'secret' is not one of"),
        ('trained_on = "TCGA"', "trained_on = 'TCGA' is not tuple"),
        ("notes = [1]", "notes = .* is not tuple"),
        ("wings = 2", "unknown field 'wings'"),
    ],
)
def test_impossible_facts_are_told(tmp_path: Path, fact: str, problem: str) -> None:
    with pytest.raises(SettingError, match=problem) as caught:
        catalogue.read_recipe(Path(written(tmp_path, fact)))
    assert caught.value.remedy == "Compare it with a card of cryostat/encoders/cards"


def test_negative_counts_are_told() -> None:
    facts = {"name": "m", "title": "", "architecture": "", "input_size": 8, "patch_size": 8, "width": 3, "depth": -1}
    with pytest.raises(SettingError, match="depth or prefix_tokens is negative"):
        catalogue.card_of(facts, Path("mine.py"))


def test_nothing_may_be_stated_where_nothing_is_a_value() -> None:
    facts = {"name": "m", "title": "", "architecture": "", "input_size": 8, "patch_size": 8, "width": 3, "depth": 0}
    assert catalogue.card_of({**facts, "mpp": None}, Path("mine.py")) == EncoderCard("m", "", "", 8, 8, 3, 0)
    with pytest.raises(SettingError, match="width = None is not int"):
        catalogue.card_of({**facts, "width": None}, Path("mine.py"))


@pytest.mark.parametrize(
    ("way", "settings", "problem"),
    [
        ("builtin", 'factory = "os:abort"', "no factory 'os:abort'"),
        ("builtin", 'factory = "cryostat.encoders.tile.pixels:nn"', "no factory"),
        ("timm", 'model = "hf-hub:nobody/model"', "timm has no model"),
        ("timm", 'model = "vit_tiny_patch16_224"\nargs = {checkpoint_path = "evil.pth"}', "load weights by itself"),
        ("timm", 'model = "vit_tiny_patch16_224"\nargs = {pretrained = true}', "load weights by itself"),
        ("timm", 'model = "vit_tiny_patch16_224"\nargs = {mlp_layer = "nonesuch"}', "timm cannot build"),
        ("hf", 'model_type = "vit"\nconfig = "x"', "lacks everything"),
        ("hf", 'model_type = "vit"\nconfig = {hidden_size = 8}', "lacks num_hidden_layers"),
        ("conch", 'trunk = "t."\nargs = {wings = 2}', "timm cannot build the trunk"),
        ("musk", 'scales = "9"', "cannot see the scales"),
    ],
)
def test_cards_run_nothing_and_end_in_our_errors(tmp_path: Path, way: str, settings: str, problem: str) -> None:
    with pytest.raises(CryostatError, match=problem):
        load_encoder(written(tmp_path, way=way, settings=settings), weights="random", device="cpu")


HF = "hidden_size = 192, num_hidden_layers = 1, num_attention_heads = 3, image_size = 160, patch_size = 16"


@pytest.mark.parametrize("key", ["patch_size = 16", "num_attention_heads = 3", "hidden_size = 192"])
def test_configurations_of_nonsense(tmp_path: Path, key: str) -> None:
    for value in ("0", '"many"', "-3", "1e9", "true"):
        config = HF.replace(key, f"{key.partition(' = ')[0]} = {value}")
        path = written(tmp_path, way="hf", settings=f'model_type = "vit"\nconfig = {{{config}}}')
        with pytest.raises(EncoderError, match="is no positive number"):
            load_encoder(path, weights="random", device="cpu")


@pytest.mark.parametrize("device", ["quantum", "meta", "cuda:-1", ""])
def test_devices_that_there_are_not(device: str) -> None:
    with pytest.raises(SettingError):
        torch_device(device)


def test_nearest_names() -> None:
    assert nearest("UNI2 H", ["uni2-h", "uni"]) == "Did you mean uni2-h? "
    assert nearest("zzz", ["uni2-h"]) == ""


def test_every_card_tells_what_it_was_trained_on_and_under_which_licence() -> None:
    for entry in all_encoders():
        assert entry.card.trained_on, entry.name
        assert entry.card.licence, entry.name
        assert entry.overlap("lizard").why
    levels = {entry.name: entry.overlap("TCGA-GBM").level for entry in all_encoders()}
    assert levels["lunit-dino-s8"] == "certain"
    assert levels["gigapath-slide"] == levels["neurovfm"] == levels["biomedbert"] == "none known"


def test_statistics_refuse_settings_of_tokens() -> None:
    with pytest.raises(SettingError, match="makes no tokens"):
        load_volume_encoder("volume-stats", mode="compat")
