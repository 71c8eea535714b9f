from __future__ import annotations

import numpy as np
import pytest

from cryostat.cases.evaluation.preparation import Preparation
from cryostat.cases.evaluation.preparation.texts import tfidf, word_counts
from cryostat.cases.evidence import Evidence, Texts
from cryostat.encoders.text.tfidf import TfIdf

WORDS = ("glioma", "IDH-mutant", "necrosis", "grade 4", "oligodendroglioma", "1p/19q", "the", "of")


def reports(n: int = 30, seed: int = 0) -> Texts:
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(WORDS, 12)) for _ in range(n)]
    return Texts(tuple(None if i % 6 == 5 else text for i, text in enumerate(texts)))


@pytest.mark.parametrize("terms", [7, 4096])
def test_equal_to_the_text_encoder_fitted_to_training_texts(terms: int) -> None:
    texts = reports()
    train = texts.present & (np.arange(30) < 20)
    present = [text for text in texts.texts if text is not None]
    encoder = TfIdf(terms=terms).fitted([t for t, known in zip(texts.texts, train, strict=True) if known])
    ours = tfidf(word_counts(texts), train, terms=terms, least=2).toarray()[texts.present]
    np.testing.assert_allclose(ours, encoder.encode(present), atol=1e-6)


@pytest.mark.parametrize("components", [0, 3])
def test_words_of_test_patients_change_nothing(components: int) -> None:
    texts = reports()
    other = Texts((*texts.texts[:20], *["zebra glioma zebra necrosis"] * 10))
    train, allowed = np.arange(20), np.ones((30, 2), bool)
    ours, theirs = (
        Preparation(text_components=components, terms=64).fit(
            Evidence(tuple(map(str, range(30))), {"report": each}), train, allowed
        )
        for each in (texts, other)
    )
    np.testing.assert_array_equal(ours.blocks[0][:20], theirs.blocks[0][:20])
    np.testing.assert_array_equal(ours.zero[0], theirs.zero[0])
    assert not ours.blocks[0][5].any()


def test_training_texts_without_a_shared_word_leave_zeros() -> None:
    texts = Texts(("alpha beta", "gamma delta", "alpha alpha", "   "))
    prepared = Preparation(text_components=2).fit(
        Evidence(tuple("abcd"), {"report": texts}), np.array([0, 1]), np.ones((4, 2), bool)
    )
    assert prepared.widths == (2,)
    assert not prepared.blocks[0].any()
