from __future__ import annotations

import pickle
from pathlib import Path

import huggingface_hub.constants
import pytest
import timm
import torch
from torch import nn

from cryostat.core.errors import CryostatError, EncoderError
from cryostat.encoders.registry import load_encoder
from cryostat.encoders.weights import fit_weights, read_weights, weights_sha256


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))


def test_misfits_are_named() -> None:
    state = dict(network().state_dict())
    state["0.bias"] = torch.zeros(7)
    state["head.weight"] = state.pop("1.weight")
    with pytest.raises(EncoderError) as caught:
        fit_weights(network(), state, "file.bin")
    text = str(caught.value)
    assert "1 missing (1.weight)" in text
    assert "1 unexpected (head.weight)" in text
    assert "1 of another shape (0.bias is (7,) not (3,))" in text


def test_a_failed_fit_leaves_the_module_alone() -> None:
    module = network()
    before = weights_sha256(module)
    with pytest.raises(EncoderError):
        fit_weights(module, {"0.weight": torch.ones(3, 2)}, "file.bin")
    assert weights_sha256(module) == before


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "backbone.", "teacher.backbone."])
def test_prefixes_are_taken_off_and_told(prefix: str) -> None:
    source = network()
    target = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    assert fit_weights(target, {prefix + k: v for k, v in source.state_dict().items()}, "file.bin") == prefix
    assert weights_sha256(target) == weights_sha256(source)


def test_a_prefix_on_some_names_only_is_a_misfit() -> None:
    state = dict(network().state_dict())
    state["module.0.bias"] = state.pop("0.bias")
    with pytest.raises(EncoderError, match="1 missing"):
        fit_weights(network(), state, "file.bin")


def test_the_classifier_of_a_checkpoint_is_passed_over_and_nothing_else() -> None:
    state = {f"model.{k}": v for k, v in network().state_dict().items()}
    state |= {"model.head.weight": torch.zeros(2, 1), "model.head.bias": torch.zeros(2)}
    assert fit_weights(network(), state, "file.bin", classifier="head") == "model."
    with pytest.raises(EncoderError, match="2 unexpected"):
        fit_weights(network(), {k.removeprefix("model."): v for k, v in state.items()}, "file.bin")
    extra = {**network().state_dict(), "head.bias": torch.zeros(2), "neck.bias": torch.zeros(2)}
    with pytest.raises(EncoderError, match=r"1 unexpected \(neck.bias\)"):
        fit_weights(network(), extra, "file.bin", classifier="head")


def test_timm_checkpoints_with_their_classifier_load(tmp_path: Path) -> None:
    whole = timm.create_model("test_vit", num_classes=5)
    torch.save(whole.state_dict(), tmp_path / "whole.pth")
    encoder = load_encoder("test_vit", weights=tmp_path / "whole.pth")
    assert torch.equal(encoder.module.patch_embed.proj.weight, whole.patch_embed.proj.weight)


def test_hash_tells_one_bit_a_name_and_a_type_apart() -> None:
    module = network()
    hashes = {weights_sha256(module), weights_sha256(network().double())}
    module[0].bias.data[0] += 1e-3
    hashes |= {weights_sha256(module), weights_sha256(nn.ModuleDict({"a": module[0], "b": module[1]}))}
    assert len(hashes) == 4


def test_bfloat16_weights_have_a_hash() -> None:
    assert len(weights_sha256(network().bfloat16())) == 64


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path("/tmp/cryostat-bomb").touch, ())


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("empty.bin", b"", "is empty"),
        ("text.bin", b"<html>404</html>", "damaged or no file of weights|plain tensors"),
        ("text.safetensors", b"<html>404</html>", "damaged or no file of weights"),
        ("short.safetensors", b"\x10\0\0\0\0\0\0\0{}", "damaged or no file of weights"),
        ("bomb.pth", pickle.dumps({"w": Bomb()}, protocol=2), "run code"),
    ],
)
def test_files_that_are_no_weights(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CryostatError, match=problem):
        read_weights(tmp_path / name)
    assert not Path("/tmp/cryostat-bomb").exists()


def test_truncated_torch_file(tmp_path: Path) -> None:
    torch.save(network().state_dict(), tmp_path / "whole.pth")
    (tmp_path / "half.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:900])
    with pytest.raises(EncoderError, match="damaged"):
        read_weights(tmp_path / "half.pth")


def test_checkpoint_without_tensors(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "epoch.pth")
    with pytest.raises(EncoderError, match="holds no tensors"):
        read_weights(tmp_path / "epoch.pth")


def test_offline_hub_names_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EncoderError, match=r"could not be had from the hub.*hf download .*--weights PATH"):
        load_encoder("timm:test_vit", weights="hub")
    with pytest.raises(EncoderError, match="no repository on the hub"):
        load_encoder("random-vit", weights="hub")
