from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from cryostat.core.errors import EncoderError, InputError
from cryostat.encoders.text import load_text_encoder
from cryostat.encoders.text.tfidf import TfIdf

TEXTS = ["glioma glioma high", "glioma low", "meningioma low"]


def test_values_by_hand() -> None:
    found = TfIdf(least=2).fitted(TEXTS)
    # Shared by two texts: glioma and low. idf = ln(4/3) + 1 for both; sublinear tf of two is 1 + ln 2.
    assert found.width == 2
    vectors = found.encode([*TEXTS, "glioma glioma low"])
    one = 1 + math.log(2)
    length = math.hypot(one, 1)
    expected = [[1, 0], [2**-0.5, 2**-0.5], [0, 1], [one / length, 1 / length]]
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    assert vectors.dtype == np.float32


def test_words_never_seen_are_zero_and_hyphens_hold() -> None:
    found = TfIdf(least=1).fitted(["IDH-mutant astrocytoma", "IDH-wildtype"])
    assert found.encode(["nothing known"]).tolist() == [[0.0] * found.width]
    assert found.encode(["idh-mutant"]).any()
    assert not found.encode(["idh"]).any()


def test_the_vocabulary_does_not_depend_on_the_order_of_texts() -> None:
    texts = ["b a", "a b", "c b", "c d", "d a"]
    words = [" ".join(f"word{letter}" for letter in text.split()) for text in texts]
    first, second = TfIdf(terms=3).fitted(words), TfIdf(terms=3).fitted(words[::-1])
    assert first.width == 3
    assert first.identity() == second.identity()
    np.testing.assert_array_equal(first.encode(words), second.encode(words))


def test_fitting_leaves_the_encoder_as_it_was() -> None:
    encoder = load_text_encoder("TF-IDF".replace("-", ""))
    assert encoder.learns_from_texts
    one, other = encoder.fitted(TEXTS), encoder.fitted([*TEXTS, "high grade", "high grade"])
    assert one.width == 2
    assert other.width > 2
    assert one.identity() != other.identity()
    with pytest.raises(EncoderError, match="has yet to learn its vocabulary"):
        encoder.encode(TEXTS)


SECRET = "Zanzibarova"


@pytest.mark.parametrize("texts", [[SECRET], [f"{SECRET} {SECRET}", ""], [SECRET, None], SECRET, [f"{SECRET} \ud800"]])
def test_no_word_of_a_text_is_told(texts: list[str]) -> None:
    with pytest.raises(InputError) as found:
        TfIdf().fitted(texts)
    told = f"{found.value!s} {found.value!r} {found.value.__cause__!r} {found.value.__context__!r}"
    assert SECRET.lower() not in told.lower()


def test_no_word_is_in_repr_or_identity() -> None:
    found = TfIdf(least=1).fitted([f"{SECRET} has a glioma"])
    assert SECRET.lower() not in f"{found!r} {found.identity()}".lower()
    assert repr(found) == "TfIdf('tfidf')"


def test_places_of_what_is_no_text() -> None:
    found = TfIdf(least=1).fitted(TEXTS)
    with pytest.raises(InputError, match=r"text 1: is blank"):
        found.encode(["glioma", "  \n"])
    not_text: list[Any] = [float("nan")]
    with pytest.raises(InputError, match=r"text 0: is float, not text"):
        found.encode(not_text)
    assert found.encode([]).shape == (0, found.width)


def test_texts_without_words() -> None:
    with pytest.raises(InputError, match=r"2 training texts: hold no word"):
        TfIdf().fitted(["!?", "…"])
