from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import huggingface_hub.constants
import pytest
import timm
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

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


def test_prefixes_of_any_framework_are_taken_off() -> None:
    for prefix in ("module.backbone.", "student.vision_encoder.", "a.b.c."):
        named = {prefix + k: v for k, v in network().state_dict().items()}
        assert fit_weights(network(), named, "file.bin") == prefix


def test_a_misfit_is_told_without_the_prefix() -> None:
    state = {f"module.{k}": v for k, v in network().state_dict().items() if k != "1.bias"}
    with pytest.raises(EncoderError, match=r"encoder: 1 missing \(1.bias\)\. Supply"):
        fit_weights(network(), state, "file.bin")


def test_a_file_of_several_networks_names_the_part_that_fits() -> None:
    parts = {f"teacher.{k}": v for k, v in network().state_dict().items()} | {"head.weight": torch.zeros(1)}
    with pytest.raises(EncoderError, match=r"tensors under 'teacher\.' fit: save these alone"):
        fit_weights(network(), parts, "file.bin")


def test_other_kinds_of_files_are_recognised() -> None:
    with pytest.raises(EncoderError, match="looks like the file of a text encoder; supply"):
        fit_weights(network(), {"bert.embeddings.word_embeddings.weight": torch.zeros(2)}, "file.bin")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda t: t.to(torch.int8), "1.weight holds int8 numbers"),
        (lambda t: t.to(torch.float8_e4m3fn), "1.weight holds float8_e4m3fn numbers"),
        (lambda t: t.to(torch.complex64), "1.weight holds complex64 numbers"),
        (lambda t: t.to_sparse(), "1.weight holds sparse float32 numbers"),
        (lambda t: t * float("nan"), "1.weight holds NaN"),
    ],
)
def test_tensors_that_are_no_plain_finite_floats(change: Callable[[Tensor], Tensor], problem: str) -> None:
    state = dict(network().state_dict())
    state["1.weight"] = change(state["1.weight"])
    with pytest.raises(EncoderError, match=problem):
        fit_weights(network(), state, "file.bin")


def test_a_dictionary_that_holds_itself(tmp_path: Path) -> None:
    content: dict[str, object] = {}
    content["model"] = content
    torch.save(content, tmp_path / "ring.pth")
    with pytest.raises(EncoderError, match="holds no tensors"):
        read_weights(tmp_path / "ring.pth")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 2**20), byte=st.integers(0, 255), legacy=st.booleans(), cut=st.integers(0, 40))
def test_damaged_files_end_in_our_error_or_in_tensors(
    tmp_path: Path, place: int, byte: int, legacy: bool, cut: int
) -> None:
    path = tmp_path / "w.pth"
    torch.save(network().state_dict(), path, _use_new_zipfile_serialization=not legacy)
    content = bytearray(path.read_bytes())
    content[place % len(content)] = byte
    path.write_bytes(bytes(content[: len(content) - cut]))
    with suppress(CryostatError):
        assert read_weights(path)
