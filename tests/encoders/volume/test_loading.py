from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cryostat.core.errors import CryostatError, EncoderError, InputError, SettingError
from cryostat.core.identity import differences
from cryostat.encoders.volume.base import VolumeEncoder
from cryostat.encoders.volume.card import read_recipe, shipped
from cryostat.encoders.volume.neurovfm import NeuroVfm
from cryostat.encoders.volume.registry import load_volume_encoder, volume_card, volume_encoder_names
from cryostat.encoders.volume.transformer import VolumeTransformer
from cryostat.encoders.volume.volume import Volume

Phantom = Callable[..., Volume]

CARD = """
[card]
name = "tiny"
title = "Tiny"
architecture = "ViT"
width = 48
mean = 0.3141
std = 0.2623
hub_id = "nobody/tiny"
access = "gated"
[build]
factory = "cryostat.encoders.volume.transformer:build"
args = { width = 48, depth = 1, heads = 4 }
"""


@pytest.fixture
def tiny_card(tmp_path: Path) -> str:
    (tmp_path / "tiny.toml").write_text(CARD)
    return str(tmp_path / "tiny.toml")


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(NeuroVfm(48, 1, 4).state_dict())


@pytest.fixture
def tiny(tiny_card: str) -> VolumeEncoder:
    return load_volume_encoder(tiny_card, "random", "cpu")


def test_cards_are_read_without_torch_or_nibabel() -> None:
    code = (
        "import sys; from cryostat.encoders.volume.registry import volume_card, volume_encoder_names as names\n"
        "print([volume_card(n).name for n in names()] == names(), 'torch' in sys.modules, 'nibabel' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True", "False", "False"]


def test_statistics_need_no_torch() -> None:
    code = (
        "import sys; from cryostat.encoders.volume.registry import load_volume_encoder\n"
        "print(load_volume_encoder('Volume Stats').card.name, 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["volume-stats", "False"]


def test_the_card_of_neurovfm_describes_its_network() -> None:
    recipe = read_recipe(shipped()["neurovfm"])
    with torch.device("meta"):
        network = NeuroVfm(**recipe.args)
    assert recipe.card.parameters == sum(p.numel() for p in network.parameters()) == 85_803_234
    assert recipe.card.width == network.width == 768
    assert (recipe.card.mean, recipe.card.std) == (0.3141, 0.2623)
    assert recipe.card.gated


def test_names_are_forgiving_and_unknown_ones_are_told() -> None:
    assert volume_card(" Volume_Stats").name == "volume-stats"
    assert volume_encoder_names() == ["neurovfm", "volume-stats"]
    with pytest.raises(SettingError, match="Did you mean neurovfm"):
        load_volume_encoder("neurovmf")


def test_no_weights_no_encoder() -> None:
    with pytest.raises(EncoderError, match=r"neurovfm needs its weights.*--weights PATH.*gated"):
        load_volume_encoder("neurovfm")


def test_without_network_the_remedy_says_what_to_do(tiny_card: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderError, match=r"accept its terms.*hf download nobody/tiny"):
        load_volume_encoder(tiny_card, "hub")


@pytest.mark.parametrize("prefix", ["", "module.", "vision_encoder.", "student.vision_encoder.", "encoder."])
@pytest.mark.parametrize("suffix", ["bin", "safetensors"])
def test_released_names_load_strictly(
    tiny_card: str, state: dict[str, torch.Tensor], tmp_path: Path, prefix: str, suffix: str
) -> None:
    path, named = tmp_path / f"w.{suffix}", {prefix + name: value for name, value in state.items()}
    save_file(named, path) if suffix == "safetensors" else torch.save({"state_dict": named}, path)
    encoder = load_volume_encoder(tiny_card, path, "cpu")
    assert isinstance(encoder, VolumeTransformer)
    assert torch.equal(encoder.module.blocks[0].mixer.qkv.weight, state["blocks.0.mixer.qkv.weight"])
    assert (repr(prefix) in encoder.card.notes[0] if prefix else not encoder.card.notes) is True
    assert encoder.card.name == "tiny"


def test_misfits_are_named(tiny_card: str, state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    state["blocks.0.mixer.proj.bias"] = torch.zeros(48)
    state["norm.bias"] = torch.zeros(7)
    del state["token_embed.proj.bias"]
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(EncoderError) as caught:
        load_volume_encoder(tiny_card, tmp_path / "w.safetensors", "cpu")
    for part in ("1 missing (token_embed.proj.bias)", "1 unexpected (blocks.0.mixer.proj.bias)", "(7,) not (48,)"):
        assert part in str(caught.value)


def test_random_weights_follow_from_the_seed_and_show(tiny_card: str) -> None:
    first, again, other = (load_volume_encoder(tiny_card, "random", "cpu", seed=seed) for seed in (0, 0, 1))
    assert first.card.name == "tiny@random0"
    assert first.weights_hash() == again.weights_hash() != other.weights_hash()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[card]", r"needs a section \[card\] and \[build\]"),
        (CARD.replace("width = 48\nmean", 'width = "x"\nmean'), "width = 'x' is not int"),
        (CARD.replace("title", "tilte"), "unknown field 'tilte'"),
        (CARD.replace('title = "Tiny"\n', ""), "lacks 'title'"),
        (CARD.replace('"gated"', '"secret"'), "access 'secret'"),
        (CARD.replace("depth = 1", 'depth = "os"'), "whole numbers only"),
        (CARD.replace("cryostat.encoders.volume.transformer:build", "os:system"), "no builder 'os'"),
        (CARD.replace("width = 48\nmean", "width = 49\nmean"), "says width = 49, the network has 48"),
    ],
)
def test_cards_that_are_wrong_are_told(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "card.toml").write_text(text)
    with pytest.raises(CryostatError, match=problem):
        load_volume_encoder(str(tmp_path / "card.toml"), "random", "cpu")


def test_an_embedding_is_the_mean_of_series(tiny: VolumeEncoder, phantom: Phantom) -> None:
    one, two = phantom(), phantom(shape=(48, 48, 32), name="flair")
    found = tiny.encode([one, two])
    assert found.series == ("t1c", "flair")
    assert [facts["series"] for facts in found.facts] == ["t1c", "flair"]
    assert found.per_series.shape == (2, 48)
    np.testing.assert_allclose(found.vector, found.per_series.mean(0), atol=1e-6)
    np.testing.assert_allclose(found.per_series[0], tiny.encode([one]).vector, atol=1e-5)
    np.testing.assert_array_equal(tiny.encode([two, one]).vector, found.vector)


def test_token_mean_weighs_series_by_their_tokens(tiny_card: str, phantom: Phantom) -> None:
    encoder = load_volume_encoder(tiny_card, "random", "cpu", pooling="token-mean")
    found = encoder.encode([phantom(), phantom(shape=(48, 48, 32), name="flair")])
    counts = np.array([facts["tokens"] for facts in found.facts])
    np.testing.assert_allclose(found.vector, counts @ found.per_series / counts.sum(), atol=1e-5)


def test_tumour_pooling_reads_the_tokens_of_the_tumour(tiny_card: str, phantom: Phantom) -> None:
    tumour = np.zeros((64, 80, 48), np.uint8)
    tumour[32:48, 32:48, 16:32] = 1
    encoder = load_volume_encoder(tiny_card, "random", "cpu", pooling="tumour")
    assert isinstance(encoder, VolumeTransformer)
    tokens = encoder.preprocessing.tokenise(phantom(tumour=tumour))
    assert tokens.tumour is not None
    wanted = encoder.token_features([tokens])[0][tokens.tumour.argmax()]
    np.testing.assert_allclose(encoder.encode([phantom(tumour=tumour)]).vector, wanted, atol=1e-6)
    with pytest.raises(InputError, match="t1c has no tumour mask"):
        encoder.encode([phantom()])
    with pytest.raises(InputError, match="marks nothing"):
        encoder.encode([phantom(tumour=np.zeros_like(tumour))])


def test_encoding_is_repeatable_and_leaves_the_encoder_as_it_was(tiny: VolumeEncoder, phantom: Phantom) -> None:
    before = tiny.weights_hash()
    first = tiny.encode([phantom()]).vector
    np.testing.assert_array_equal(tiny.encode([phantom()]).vector, first)
    assert tiny.weights_hash() == before


def test_bf16_stays_near_fp32(tiny_card: str, tiny: VolumeEncoder, phantom: Phantom) -> None:
    half = load_volume_encoder(tiny_card, "random", "cpu", precision="bf16")
    drift = np.abs(half.encode([phantom()]).vector - tiny.encode([phantom()]).vector).max()
    assert 0 < drift < 0.05


def test_wrong_requests_are_told(tiny: VolumeEncoder, tiny_card: str, phantom: Phantom) -> None:
    with pytest.raises(InputError, match="no series to encode"):
        tiny.encode([])
    with pytest.raises(InputError, match="two series are named 't1c'"):
        tiny.encode([phantom(), phantom()])
    for setting, problem in (
        ({"pooling": "max"}, "no pooling 'max'"),
        ({"mode": "fast"}, "no preprocessing mode"),
        ({"precision": "fp8"}, "no precision"),
        ({"keep": 2.0}, "part of a token"),
    ):
        with pytest.raises(SettingError, match=problem):
            load_volume_encoder(tiny_card, "random", "cpu", **setting)
    with pytest.raises(SettingError, match="no device"):
        load_volume_encoder(tiny_card, "random", "quantum")


def test_spoilt_weights_are_found_out(tiny: VolumeEncoder, phantom: Phantom) -> None:
    assert isinstance(tiny, VolumeTransformer)
    tiny.module.norm.bias[0] = float("nan")
    with pytest.raises(EncoderError, match="not finite"):
        tiny.encode([phantom()])


def test_identities_tell_settings_apart(tiny_card: str, tiny: VolumeEncoder) -> None:
    tumour = load_volume_encoder(tiny_card, "random", "cpu", pooling="tumour", keep=0.5)
    assert differences(tiny.identity(), tumour.identity()) == [
        "pooling: 'series-mean' / 'tumour'",
        "preprocessing.keep: 0.25 / 0.5",
    ]
    other = load_volume_encoder(tiny_card, "random", "cpu", seed=1)
    assert [line.split(":")[0] for line in differences(tiny.identity(), other.identity())] == ["encoder", "weights"]


def test_statistics_refuse_what_they_lack() -> None:
    for setting in ({"weights": "w.bin"}, {"precision": "bf16"}, {"pooling": "tumour"}):
        with pytest.raises(SettingError):
            load_volume_encoder("volume-stats", **setting)


def test_one_patient_of_real_series(shared: Path, tiny: VolumeEncoder) -> None:
    from cryostat.encoders.volume.nifti import read_volume

    folder = shared / "data/mri/TCGA-FG-6692/native"
    volumes = [read_volume(folder / f"{name}.nii.gz") for name in ("t1", "flair")]
    found = tiny.encode(volumes)
    assert [facts["background"] for facts in found.facts] == ["otsu", "otsu"]
    assert np.isfinite(found.vector).all()
    renamed = [replace(volume, name=f"series-{i}") for i, volume in enumerate(volumes)]
    np.testing.assert_allclose(tiny.encode(renamed).per_series, found.per_series, atol=1e-5)
