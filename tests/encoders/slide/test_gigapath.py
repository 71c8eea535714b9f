from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from slide_examples import small_card, small_network, small_slide

from cryostat.core.errors import CryostatError
from cryostat.core.identity import differences, digest
from cryostat.encoders.slide.base import SlideEmbedding, SlideEncoder
from cryostat.encoders.slide.coordinates import TileCoordinates
from cryostat.encoders.slide.gigapath import READINGS
from cryostat.encoders.slide.registry import load_slide_encoder


def saved(folder: Path) -> Path:
    save_file(small_network().state_dict(), folder / "small.safetensors")
    return folder / "small.safetensors"


def loaded(folder: Path, **settings: str) -> SlideEncoder:
    return load_slide_encoder(small_card(folder), saved(folder), "cpu", **settings)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_parity_from_pixels_to_every_layer(shared: Path, tmp_path: Path, pooling: str) -> None:
    content = load_file(shared / "parity" / "gigapath_slide_encoder_tiny.safetensors")
    weights = {k.removeprefix("weights/"): v for k, v in content.items() if k.startswith("weights/")}
    torch.save({"model": weights}, tmp_path / "slide_encoder.pth")
    text = Path(small_card(tmp_path)).read_text()
    (tmp_path / "tiny.toml").write_text(text.replace("width_in = 6", "width_in = 32").replace("= 96", "= 128"))
    encoder = load_slide_encoder(
        str(tmp_path / "tiny.toml"), tmp_path / "slide_encoder.pth", "cpu", pooling=pooling, order="as-given"
    )
    found = encoder.encode(content["input/tiles"][0], content["input/coords"][0])
    for number in range(3):
        expected = content[f"output/{pooling}/{number}"][0].numpy()
        np.testing.assert_allclose(found.layers[f"state-{number}"], expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.vector, content[f"output/{pooling}/2"][0].numpy(), rtol=0, atol=1e-5)


def embedded(folder: Path, **settings: str) -> SlideEmbedding:
    return loaded(folder, **settings).encode(*small_slide(30))


def test_readings_of_the_final_layer(tmp_path: Path) -> None:
    vectors = {reading: embedded(tmp_path, layer=reading).vector for reading in READINGS}
    layers = embedded(tmp_path).layers
    assert set(layers) == {"state-0", "state-1", "state-2", *READINGS}
    assert np.array_equal(vectors["last-state"], layers["state-2"])
    assert np.array_equal(vectors["penultimate"], layers["state-1"])
    assert np.abs(vectors["encoder-norm"] - vectors["last-state"]).max() > 0.1


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_encoder_norm_comes_before_pooling(tmp_path: Path, pooling: str) -> None:
    network = small_network()
    tiles, corners = small_slide(30)
    *_, state = network.states(torch.from_numpy(tiles), torch.from_numpy(corners / 256).long())
    normed = network.encoder.layer_norm(state)
    expected = network.norm(normed[0] if pooling == "cls" else normed[1:].mean(0)).numpy()
    found = embedded(tmp_path, layer="encoder-norm", pooling=pooling).vector
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_poolings_differ_by_layer_and_agree_on_none(tmp_path: Path) -> None:
    mean, cls = (embedded(tmp_path, pooling=p).layers for p in ("mean", "cls"))
    assert all(np.abs(mean[name] - cls[name]).max() > 0.01 for name in mean)


def test_the_order_in_which_tiles_come_does_not_matter_by_default(tmp_path: Path) -> None:
    tiles, corners = small_slide(1500)
    shuffled = np.random.default_rng(0).permutation(1500)
    encoder = loaded(tmp_path)
    first, second = encoder.encode(tiles, corners), encoder.encode(tiles[shuffled], corners[shuffled])
    assert np.array_equal(first.vector, second.vector)
    as_given = loaded(tmp_path, order="as-given")
    assert np.array_equal(as_given.encode(tiles, corners).vector, first.vector)
    away = as_given.encode(tiles[shuffled], corners[shuffled])
    # As long as no layer has mixed tokens, the order does not matter at all; then it does, slightly.
    np.testing.assert_allclose(away.layers["state-0"], first.layers["state-0"], atol=1e-5)
    distance = np.linalg.norm(away.vector - first.vector) / np.linalg.norm(first.vector)
    assert 1e-5 < distance < 0.1


def test_position_matters(tmp_path: Path) -> None:
    tiles, corners = small_slide(30)
    encoder = loaded(tmp_path)
    moved = encoder.encode(tiles, corners + 256 * 7).vector
    assert np.abs(moved - encoder.encode(tiles, corners).vector).max() > 1e-3


def test_stated_conversions_lead_to_the_same_vector(tmp_path: Path) -> None:
    tiles, corners = small_slide(30)
    encoder = loaded(tmp_path)
    wanted = encoder.encode(tiles, corners).vector
    for where in (TileCoordinates.from_level0(corners * 2, 512), TileCoordinates.from_microns(corners / 2)):
        assert np.array_equal(encoder.encode(tiles, where).vector, wanted)


def test_identity_names_all_that_matters(tmp_path: Path) -> None:
    plain = loaded(tmp_path).identity()
    assert digest(plain) == digest(loaded(tmp_path).identity())
    assert plain["longnet"]["segments"] == (1024, 5792, 32768, 185363, 1048576)
    for name, value in (("layer", "penultimate"), ("pooling", "cls"), ("order", "as-given")):
        other = loaded(tmp_path, **{name: value}).identity()
        assert [line.split(":")[0] for line in differences(plain, other)] == [name]
    panda = load_slide_encoder(small_card(tmp_path, settings="max_slide_px = 250000"), saved(tmp_path), "cpu")
    changed = [line.split(":")[0] for line in differences(plain, panda.identity())]
    assert changed == ["longnet.max_slide_px", "longnet.segments"]


def test_encoding_leaves_the_weights_alone(tmp_path: Path) -> None:
    encoder = loaded(tmp_path)
    before = encoder.weights_hash()
    encoder.encode(*small_slide(30))
    assert encoder.weights_hash() == before == encoder.identity()["weights"]
    assert not any(p.requires_grad for p in encoder.module.parameters())


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"layer": "final"}, "no layer 'final'.*last-state, encoder-norm, penultimate, or state-0 … state-2"),
        ({"layer": "state-3"}, "no layer 'state-3'"),
        ({"pooling": "attention"}, "no pooling 'attention'.*mean, cls"),
        ({"order": "random"}, "no order 'random'.*row-major, as-given"),
    ],
)
def test_choices_that_are_none(tmp_path: Path, settings: dict[str, str], problem: str) -> None:
    with pytest.raises(CryostatError, match=problem):
        loaded(tmp_path, **settings)
