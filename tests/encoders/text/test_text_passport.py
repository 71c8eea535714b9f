from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from transformers import BertConfig, BertModel

from cryostat.encoders.passport import CheckReport
from cryostat.encoders.text import TEXT_CARDS, load_text_encoder
from cryostat.encoders.text.base import TextEncoder
from cryostat.encoders.text.card import TextCard
from cryostat.encoders.text.passport import check, report
from cryostat.encoders.text.transformer import Reading, TransformerText
from cryostat.encoders.text.untrained import letters


class Bag(TextEncoder):
    """Words counted in eight bins by their hash."""

    name = "bag"
    width = 8

    def identity(self) -> Mapping[str, Any]:
        return {"encoder": self.name}

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self.one(text, texts) for text in texts])

    def one(self, text: str, _texts: Sequence[str]) -> NDArray[np.float32]:
        bins = [zlib.crc32(word.encode()) % 8 for word in text.split()]
        return np.bincount(bins, minlength=8).astype(np.float32)


class Truncating(Bag):
    def one(self, text: str, texts: Sequence[str]) -> NDArray[np.float32]:
        return super().one(" ".join(text.split()[:20]), texts)


class Crowded(Bag):
    def one(self, text: str, texts: Sequence[str]) -> NDArray[np.float32]:
        return super().one(text, texts) + len(texts)


class Talking(Bag):
    seen = ""

    def identity(self) -> Mapping[str, Any]:
        return {"encoder": self.name, "last": self.seen}

    def one(self, text: str, texts: Sequence[str]) -> NDArray[np.float32]:
        self.seen = text
        return super().one(text, texts)


def failures(found: CheckReport) -> dict[str, str]:
    return {f.name: f"{f.detail} → {f.remedy}" for f in found.findings if f.passed is False}


def test_honest_encoders_pass() -> None:
    assert failures(check(Bag(), seconds=0)) == {}
    tfidf = check(load_text_encoder("tfidf", "random"), TEXT_CARDS["tfidf"], seconds=0)
    assert failures(tfidf) == {}
    assert tfidf.unit == "texts"


@pytest.mark.parametrize(("encoder", "bug"), [(Truncating, "long text"), (Crowded, "batch"), (Talking, "discretion")])
def test_planted_bugs_are_found(encoder: type[Bag], bug: str) -> None:
    found = check(encoder(), seconds=0)
    assert bug in failures(found)
    assert not found.passed


def test_a_width_that_is_not_the_cards() -> None:
    card = TextCard("bag", "", "", width=9)
    assert "61 sentences, the card says 9 channels" in failures(check(Bag(), card, seconds=0))["shapes"]


@pytest.fixture(scope="module")
def tiny() -> TransformerText:
    config = BertConfig(
        vocab_size=200,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
    )
    model = BertModel(config, add_pooling_layer=False).eval().requires_grad_(False)
    return TransformerText("tiny", model, letters(200), Reading(max_tokens=64, overlap=8))


def test_a_language_model_passes(tiny: TransformerText) -> None:
    found = check(tiny, seconds=0)
    told = {f.name: f.detail for f in found.findings}
    assert failures(found).keys() <= {"contrast"}
    assert "chunks" in told["long text"]
    assert found.weights_memory > 0


def test_padding_that_is_read_is_found(tiny: TransformerText, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryostat.encoders.text.transformer._mean", lambda states, mask: states.mean(1))
    assert "Mask the padding" in failures(check(tiny, seconds=0))["batch"]


def test_letters_read_everything_letter_by_letter(tiny: TransformerText) -> None:
    tokenizer = letters(200)
    assert len(tokenizer.get_vocab()) == 200
    assert tokenizer.convert_ids_to_tokens(tokenizer("Glia.")["input_ids"]) == [
        "[CLS]", "g", "##l", "##i", "##a", ".", "[SEP]",
    ]  # fmt: skip


def test_reports_are_made_up_the_same_way_every_time() -> None:
    assert report(3) == report(3) != report(3, 1)
    assert report(1).count("Specimen") == 1


def test_the_identity_tells_configurations_apart(tiny: TransformerText) -> None:
    twin = BertModel(tiny.model.config, add_pooling_layer=False).eval()
    twin.load_state_dict(tiny.model.state_dict())
    assert TransformerText("tiny", twin, letters(200), tiny.reading).identity() == tiny.identity()
    config = BertConfig(**{**tiny.model.config.to_dict(), "hidden_act": "relu"})
    other = BertModel(config, add_pooling_layer=False).eval()
    other.load_state_dict(tiny.model.state_dict())
    found = TransformerText("tiny", other, letters(200), tiny.reading).identity()
    assert {key for key in found if found[key] != tiny.identity()[key]} == {"config"}
