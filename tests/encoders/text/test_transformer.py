from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM, BertModel

from cryostat.core.errors import CryostatError, EncoderError, InputError, SettingError
from cryostat.encoders.text import TEXT_CARDS, load_text_encoder
from cryostat.encoders.text.card import SETTINGS
from cryostat.encoders.text.published import load_folder
from cryostat.encoders.text.transformer import Reading, TransformerText

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "glioma", "high", "grade", "low", "idh", "mutant", "##s", "."]
SECRET = "Zanzibarova"


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT as the hub holds BiomedBERT: with the head that fills in words, and a vocabulary file alone."""
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=10,
    )
    BertForMaskedLM(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    return folder


@pytest.fixture
def copied(bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bert, tmp_path / "model"))


def loaded(folder: Path) -> TransformerText:
    found = load_text_encoder(str(folder), device="cpu")
    assert isinstance(found, TransformerText)
    return found


def test_short_texts_are_the_mean_of_their_tokens(bert: Path) -> None:
    encoder = loaded(bert)
    assert encoder.chunks("Gliomas high.") == [[2, 5, 11, 6, 12, 3]]
    model = BertModel.from_pretrained(bert, local_files_only=True).eval()
    with torch.no_grad():
        states = model(input_ids=torch.tensor([[2, 5, 11, 6, 12, 3]])).last_hidden_state
    np.testing.assert_allclose(encoder.encode(["Gliomas high."]), states.mean(1).numpy(), atol=1e-5)
    assert encoder.width == 16


def test_long_texts_are_cut_at_tokens_and_averaged(bert: Path) -> None:
    encoder = loaded(bert)
    text = " ".join(["glioma high grade low"] * 3)
    chunks = encoder.chunks(text)
    # 10 positions less two special tokens leave 8; neighbours share one.
    assert [len(chunk) for chunk in chunks] == [10, 7]
    assert chunks[0][-2] == chunks[1][1]
    each = [encoder._vectors([chunk])[0] for chunk in chunks]
    np.testing.assert_allclose(encoder.encode([text])[0], np.mean(each, axis=0), atol=1e-6)


def test_company_and_order_do_not_matter(bert: Path) -> None:
    encoder = loaded(bert)
    texts = ["glioma", "high grade glioma . " * 9, "idh mutant", "low " * 20]
    together = encoder.encode(texts)
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_array_equal(encoder.encode(texts), together)


def test_cls_pooling_and_unit_length_as_sentence_transformers_say(copied: Path) -> None:
    plain = loaded(copied)
    modules = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    said = [{"idx": i, "path": p, "type": f"sentence_transformers.models.{k}"} for i, (k, p) in enumerate(modules)]
    (copied / "modules.json").write_text(json.dumps(said))
    (copied / "1_Pooling").mkdir()
    (copied / "1_Pooling" / "config.json").write_text(
        '{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}'
    )
    (copied / "sentence_bert_config.json").write_text('{"max_seq_length": 6}')
    encoder = loaded(copied)
    assert encoder.reading == Reading("cls", normalised=True, max_tokens=6, overlap=0)
    with torch.no_grad():
        state = plain.model(input_ids=torch.tensor([[2, 5, 3]])).last_hidden_state[0, 0]
    np.testing.assert_allclose(encoder.encode(["glioma"])[0], (state / state.norm()).numpy(), atol=1e-5)
    (copied / "1_Pooling" / "config.json").write_text('{"pooling_mode_lasttoken": true}')
    with pytest.raises(EncoderError, match="pools by pooling_mode_lasttoken"):
        loaded(copied)
    (copied / "modules.json").write_text(json.dumps([*said, {"path": "3_Dense", "type": "x.Dense"}]))
    with pytest.raises(EncoderError, match="has a part 'Dense'"):
        loaded(copied)


def test_the_identity_follows_weights_vocabulary_and_reading(bert: Path, copied: Path) -> None:
    first = loaded(bert).identity()
    # Copies have other folder names, which are the names of the encoders.
    same = load_folder(copied, bert.name).identity()
    assert first == same
    assert load_folder(copied, bert.name, Reading(overlap=0)).identity() != first
    (copied / "vocab.txt").write_text("\n".join([*WORDS[:-1], "!"]))
    assert load_folder(copied, bert.name).identity()["tokenizer"] != first["tokenizer"]
    tensors = load_file(copied / "model.safetensors")
    tensors["bert.embeddings.LayerNorm.bias"] += 1
    save_file(tensors, copied / "model.safetensors")
    assert load_folder(copied, bert.name).identity()["weights"] != first["weights"]


def test_torch_files_and_shards_are_read(bert: Path, copied: Path) -> None:
    tensors = load_file(copied / "model.safetensors")
    (copied / "model.safetensors").unlink()
    with pytest.raises(InputError, match="holds none of model"):
        loaded(copied)
    torch.save(tensors, copied / "pytorch_model.bin")
    want = loaded(bert).encode(["idh mutant"])
    np.testing.assert_array_equal(loaded(copied).encode(["idh mutant"]), want)
    (copied / "pytorch_model.bin").unlink()
    names = sorted(tensors)
    halves = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, keys in halves.items():
        save_file({key: tensors[key] for key in keys}, copied / file)
    index = {"weight_map": {key: file for file, keys in halves.items() for key in keys}}
    (copied / "model.safetensors.index.json").write_text(json.dumps(index))
    np.testing.assert_array_equal(loaded(copied).encode(["idh mutant"]), want)


def test_every_tensor_of_the_body_must_be_there(copied: Path) -> None:
    tensors = load_file(copied / "model.safetensors")
    del tensors["bert.encoder.layer.1.output.dense.bias"]
    tensors["bert.extra"] = torch.ones(1)
    tensors["bert.embeddings.LayerNorm.bias"] = torch.ones(5)
    save_file(tensors, copied / "model.safetensors")
    with pytest.raises(EncoderError, match=r"1 missing \(encoder.layer.1.output.dense.bias\).*1 unexpected.*is \(5,\)"):
        loaded(copied)


def test_code_of_a_folder_is_never_run(copied: Path) -> None:
    (copied / "theirs.py").write_text("raise SystemExit('ran')\n")
    config = json.loads((copied / "config.json").read_text())
    config |= {"model_type": "theirs", "auto_map": {"AutoConfig": "theirs.Config", "AutoModel": "theirs.Model"}}
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(EncoderError, match="brings code of its own, which is never run"):
        loaded(copied)


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("config.json", "{", "not valid JSON"),
        ("config.json", "[]", "does not say its model_type"),
        ("config.json", '{"model_type": "bert", "hidden_size": "wide"}', "cannot read this model"),
        ("vocab.txt", None, "a tokenizer of 5 tokens, the model knows 13"),
        ("model.safetensors", "garbage", "damaged"),
        ("modules.json", "{}", "is no list of modules"),
    ],
)
def test_folders_that_are_damaged(copied: Path, file: str, text: str | None, problem: str) -> None:
    (copied / file).unlink(missing_ok=True)
    if text is not None:
        (copied / file).write_text(text)
    with pytest.raises(CryostatError, match=problem):
        loaded(copied)


def test_names() -> None:
    with pytest.raises(SettingError, match="there is no text encoder 'nonesuch'"):
        load_text_encoder("nonesuch")
    with pytest.raises(SettingError, match="no weights to load"):
        load_text_encoder("tfidf", weights="x")


def test_hub_models_come_from_the_cache_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EncoderError, match=r"hf download microsoft/Biomed\S+ --revision e1354b7"):
        load_text_encoder("BiomedBERT")


def test_the_card_of_biomedbert_describes_bert_base() -> None:
    card = TEXT_CARDS["biomedbert"]
    config = BertConfig(**SETTINGS["biomedbert"]["config"])
    assert SETTINGS["biomedbert"]["model_type"] == config.model_type
    with torch.device("meta"):
        model = BertModel(config, add_pooling_layer=False)
    assert sum(p.numel() for p in model.parameters()) == card.parameters
    assert (model.config.hidden_size, model.config.max_position_embeddings) == (card.width, card.max_tokens)


def test_a_card_of_ours_reads_a_local_folder(bert: Path) -> None:
    encoder = load_text_encoder("biomedbert", weights=bert, device="cpu")
    assert encoder.name == "biomedbert"
    assert encoder.encode(["glioma"]).shape == (1, 16)


def test_no_word_of_a_text_is_told(bert: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture) -> None:
    encoder = loaded(bert)
    with caplog.at_level(logging.DEBUG):
        encoder.encode([f"{SECRET} " * 50])
        with pytest.raises(InputError) as found:
            encoder.encode([SECRET, f"{SECRET} \ud800"])
    told = f"{found.value!s}{found.value!r}{found.value.__context__!r}{encoder!r}{encoder.identity()}{caplog.text}"
    out, err = capfd.readouterr()
    assert SECRET.lower() not in f"{told}{out}{err}".lower()
    assert found.value.where == "text 1"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("sentence_bert_config.json", "[1]", "is no table of settings"),
        ("sentence_bert_config.json", '{"do_lower_case": true}', "asks for lower case"),
        ("pool/config.json", "[1]", "is no table of settings"),
        ("pool/config.json", '{"pooling_mode_max_tokens": true}', "pools by pooling_mode_max_tokens"),
        ("modules.json", '{"type": 1}', "is no list of modules"),
        ("modules.json", '[{"type": "x.Dense", "path": ""}]', "part 'Dense' that is not known"),
    ],
)
def test_damaged_parts_end_in_our_errors(copied: Path, name: str, content: str, problem: str) -> None:
    (copied / "pool").mkdir()
    (copied / "pool/config.json").write_text('{"pooling_mode_mean_tokens": true}')
    modules = [{"type": "x.Transformer", "path": ""}, {"type": "x.Pooling", "path": "pool"}]
    (copied / "modules.json").write_text(json.dumps(modules))
    (copied / name).write_text(content)
    with pytest.raises(CryostatError, match=problem):
        loaded(copied)


def test_random_weights_follow_from_the_seed_and_show(bert: Path) -> None:
    first, again, other = (load_text_encoder(str(bert), "random", "cpu", seed=seed) for seed in (0, 0, 1))
    assert first.name == f"{bert.name}@random0"
    assert first.identity() == again.identity()
    assert first.identity()["weights"] != other.identity()["weights"]
    assert first.identity()["weights"] != loaded(bert).identity()["weights"]


def test_a_card_of_ours_can_be_built_without_files(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"vocab_size": 200, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    small |= {"intermediate_size": 16, "max_position_embeddings": 64}
    card = replace(TEXT_CARDS["biomedbert"], parameters=5_984, width=16, max_tokens=64)
    monkeypatch.setattr("cryostat.encoders.text.TEXT_CARDS", {"biomedbert": card})
    monkeypatch.setattr(
        "cryostat.encoders.text.untrained.SETTINGS", {"biomedbert": {"model_type": "bert", "config": small}}
    )
    encoder = load_text_encoder("biomedbert", "random", "cpu", seed=3)
    assert encoder.name == "biomedbert@random3"
    assert encoder.encode(["glioma", "necrosis " * 40]).shape == (2, 16)


def test_weights_that_are_not_finite_are_refused(copied: Path) -> None:
    state = load_file(copied / "model.safetensors")
    state["bert.encoder.layer.0.output.dense.bias"][0] = float("nan")
    save_file(state, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match="holds NaN or infinity"):
        loaded(copied)
