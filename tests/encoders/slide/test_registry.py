from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from slide_examples import SMALL, small_card

from cryostat.core.errors import CryostatError, EncoderError, SettingError
from cryostat.encoders.registry import card
from cryostat.encoders.slide.registry import load_slide_encoder, require_pair, slide_card, slide_names


def test_cards_are_read_without_torch() -> None:
    code = (
        "import sys; from cryostat.encoders.slide.registry import slide_card, slide_names\n"
        "print([slide_card(n).name for n in slide_names()] == slide_names(), 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True", "False"]


def test_what_there_is() -> None:
    assert slide_names() == ["geometric-median", "gigapath-slide", "max", "mean", "mean-std"]
    facts = slide_card("GigaPath Slide")
    assert (facts.tile_encoder, facts.width_in, facts.width_out) == ("prov-gigapath", 1536, 768)
    assert facts.parameters == 86_330_880
    assert slide_card("mean-std").output_width(10) == 20


def test_unknown_names_are_told_with_the_nearest() -> None:
    with pytest.raises(SettingError, match="Did you mean gigapath-slide"):
        load_slide_encoder("gigapath-slid")


def test_the_published_encoder_is_described_by_its_card() -> None:
    import torch

    from cryostat.encoders.slide.catalogue import read_recipe, shipped
    from cryostat.encoders.slide.gigapath import require_sense
    from cryostat.encoders.slide.longnet import GigaPathNetwork, LongNetSettings
    from cryostat.encoders.slide.registry import longnet_settings

    recipe = read_recipe(shipped()["gigapath-slide"])
    settings = longnet_settings(recipe)
    assert settings == LongNetSettings()
    with torch.device("meta"):
        require_sense(recipe.card, GigaPathNetwork(settings), "last-state", "mean")


def test_pairs_that_belong_together() -> None:
    require_pair("prov-gigapath", "gigapath-slide")
    require_pair(replace(card("prov-gigapath"), name="prov-gigapath@random0"), "gigapath-slide")
    for name in ("mean", "max", "mean-std", "geometric-median"):
        require_pair(card("uni2-h"), name)


def test_equal_width_is_not_enough() -> None:
    assert card("uni2-h").width == slide_card("gigapath-slide").width_in
    problem = "trained on features of prov-gigapath and means nothing on those of uni2-h.*Encode the tiles with"
    with pytest.raises(SettingError, match=problem):
        require_pair(card("uni2-h"), "gigapath-slide")
    with pytest.raises(SettingError, match="means nothing on those of uni2-h"):
        load_slide_encoder("gigapath-slide", "random", tile_encoder="uni2-h")


def test_the_right_name_of_another_width_is_refused() -> None:
    narrow = replace(card("prov-gigapath"), width=1024)
    with pytest.raises(SettingError, match="takes tiles of 1536 channels, prov-gigapath gives 1024"):
        require_pair(narrow, "gigapath-slide")


def test_no_weights_no_encoder() -> None:
    with pytest.raises(
        EncoderError, match=r"gigapath-slide needs its weights.*--weights PATH.*prov-gigapath/prov-gigapath.*gated"
    ):
        load_slide_encoder("gigapath-slide")


def test_random_weights_show_in_the_name(tmp_path: Path) -> None:
    path = small_card(tmp_path)
    first, again, other = (load_slide_encoder(path, "random", "cpu", seed=s) for s in (0, 0, 7))
    assert (first.card.name, other.card.name) == ("small-slide@random0", "small-slide@random7")
    assert first.identity() == again.identity()
    assert first.weights_hash() != other.weights_hash()


@pytest.mark.parametrize(
    ("name", "settings", "problem"),
    [
        ("mean", {"weights": "some.pth"}, "mean has no weights to choose.*Leave weights out"),
        ("mean", {"weights": "hub"}, "mean has no weights to choose"),
        ("max", {"pooling": "cls"}, "max has no pooling to choose"),
        ("max", {"layer": "last-state"}, "max has no layer to choose"),
        ("mean", {"order": "sideways"}, "no order 'sideways'"),
        ("mean", {"device": "quantum"}, "no device 'quantum'"),
        ("mean", {"device": "meta"}, "no device 'meta'"),
        ("gigapath-slide", {"weights": "nowhere.pth", "layer": "final"}, "no layer 'final'"),
    ],
)
def test_refused_settings(name: str, settings: dict[str, str], problem: str) -> None:
    with pytest.raises(CryostatError, match=problem):
        load_slide_encoder(name, **settings)


@pytest.mark.parametrize(
    ("extra", "settings", "problem"),
    [
        ("parameters = 5", "", r"says parameters = 5, the network has \d+"),
        ('colour = "red"', "", r"\[card\] has an unknown field 'colour'"),
        ("width_multiple = -1", "", "width_multiple = -1 is not positive"),
        ("notes = [1]", "", "notes = .* is not tuple"),
        ("parameters = -1", "", "parameters = -1 is not positive"),
        ("", "wings = 2", r"\[longnet\] has an unknown field 'wings'"),
        ("", "heads = 12", "width 64 is no multiple of 4 and of heads 12"),
        ("", "heads = 8", "heads 8 is no multiple of every one of the ratios"),
        ("", "ratios = [1, 2]", "needs 5 ratios"),
        ("", "heads = 0", "heads = 0 is not positive"),
    ],
)
def test_cards_that_are_wrong(tmp_path: Path, extra: str, settings: str, problem: str) -> None:
    with pytest.raises(CryostatError, match=problem):
        load_slide_encoder(small_card(tmp_path, extra, settings), "random")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("[card", "not valid TOML"),
        ("[card]\nname='x'\n", r"one of \[pooling\], \[longnet\]"),
        ("[card]\nname='x'\n[longnet]\n", r"\[card\] lacks 'title'"),
        ("[card]\n[pooling]\n[weights]\n", "unknown section"),
        ("[card]\nname='x'\ntitle='x'\narchitecture='x'\n[pooling]\n", "does not name its rule"),
    ],
)
def test_files_that_are_no_cards(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(CryostatError, match=problem):
        load_slide_encoder(str(tmp_path / "bad.toml"))


def test_small_card_is_the_small_network(tmp_path: Path) -> None:
    encoder = load_slide_encoder(small_card(tmp_path), "random", "cpu")
    assert encoder.identity()["longnet"] | {"segments": None} == vars(SMALL) | {"segments": None}
