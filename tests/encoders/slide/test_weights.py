from __future__ import annotations

from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import save_file
from slide_examples import small_card, small_network, small_slide

from cryostat.core.errors import CryostatError, EncoderError
from cryostat.encoders.slide.registry import load_slide_encoder, slide_card
from cryostat.encoders.weights import download_weights


def test_every_form_of_file_is_the_same_encoder(tmp_path: Path) -> None:
    state = small_network().state_dict()
    save_file(state, tmp_path / "plain.safetensors")
    torch.save({"model": state}, tmp_path / "released.pth")
    torch.save({f"module.{k}": v for k, v in state.items()}, tmp_path / "parallel.pth")
    path = small_card(tmp_path)
    files = ("plain.safetensors", "released.pth", "parallel.pth")
    found = [load_slide_encoder(path, tmp_path / name, "cpu") for name in files]
    assert found[0].identity() == found[1].identity() == found[2].identity()
    assert found[0].card.notes == found[1].card.notes == ()
    assert "'module.' was taken off" in found[2].card.notes[-1]


def test_misfits_are_named_with_the_cure(tmp_path: Path) -> None:
    state = small_network().state_dict()
    del state["norm.bias"]
    state["cls_token"] = torch.zeros(1, 1, 32)
    state["decoder.weight"] = torch.zeros(3)
    torch.save({"model": state}, tmp_path / "other.pth")
    with pytest.raises(EncoderError) as caught:
        load_slide_encoder(small_card(tmp_path), tmp_path / "other.pth", "cpu")
    text = str(caught.value)
    for part in ("1 missing (norm.bias)", "1 unexpected (decoder.weight)", "(cls_token is (1, 1, 32) not (1, 1, 64))"):
        assert part in text
    assert "names as released" in text


def test_a_tile_encoders_file_is_recognised(tmp_path: Path) -> None:
    torch.save({"blocks.0.attn.qkv.weight": torch.zeros(3, 1), "norm.bias": torch.zeros(2)}, tmp_path / "tile.bin")
    path = small_card(tmp_path, extra='hub_id = "a/b"\nhub_file = "slide_encoder.pth"')
    with pytest.raises(EncoderError, match=r"looks like the file of a tile encoder; supply slide_encoder.pth of a/b"):
        load_slide_encoder(path, tmp_path / "tile.bin", "cpu")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("empty.pth", b"", "is empty"),
        ("page.pth", b"<html>404</html>", "damaged or no file of weights|plain tensors"),
        ("page.safetensors", b"<html>404</html>", "damaged or no file of weights"),
        ("absent.pth", None, "does not exist"),
    ],
)
def test_files_that_are_no_weights(tmp_path: Path, name: str, content: bytes | None, problem: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CryostatError, match=problem):
        load_slide_encoder(small_card(tmp_path), tmp_path / name, "cpu")


def test_weights_that_are_not_finite_give_no_vector(tmp_path: Path) -> None:

    state = small_network().state_dict()
    state["norm.bias"][3] = torch.nan
    save_file(state, tmp_path / "nan.safetensors")
    with pytest.raises(EncoderError, match=r"norm\.bias holds NaN or infinity"):
        load_slide_encoder(small_card(tmp_path), tmp_path / "nan.safetensors", "cpu")
    encoder = load_slide_encoder(small_card(tmp_path), "random", "cpu")
    encoder.module.get_parameter("norm.bias")[3] = torch.nan
    with pytest.raises(EncoderError, match="gave a vector that is not finite"):
        encoder.encode(*small_slide(4))


def test_offline_hub_names_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    facts = slide_card("gigapath-slide")
    wanted = r"hf download prov-gigapath/prov-gigapath slide_encoder.pth --revision eba85dd.*--weights PATH"
    with pytest.raises(EncoderError, match=wanted):
        download_weights(facts, facts.revision)
    with pytest.raises(EncoderError, match="no repository on the hub"):
        download_weights(slide_card("mean"))
