"""`tfidf`: counts of words, the floor that every language model must beat; it learns from training texts alone."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from cryostat.core.errors import EncoderError, InputError
from cryostat.core.identity import code_version, digest
from cryostat.encoders.text.base import TextEncoder, checked_texts

WORDS = r"(?u)\b\w[\w\-]+\b"
"""A word: two or more letters, digits or hyphens, so that `idh-mutant` stays whole."""


class TfIdf(TextEncoder):
    """Counts of words and pairs of words, logarithmic, weighted by rarity, of unit length.

    The vocabulary is that of the training texts: the terms that most of them have, ties in alphabetical order.

    Args:
        terms: Size of the vocabulary at most.
        least: Training texts that a term must occur in.
    """

    name = "tfidf"

    def __init__(self, *, terms: int = 4096, least: int = 2) -> None:
        self._terms, self._least = terms, least
        self._fitted: TfidfVectorizer | None = None

    @property
    def learns_from_texts(self) -> bool:
        """It must be fitted."""
        return True

    def fitted(self, texts: Sequence[str]) -> TfIdf:
        """A new encoder with the vocabulary of training texts.

        Raises:
            InputError: They hold no term that enough of them share.
        """
        checked = checked_texts(texts)
        vocabulary = self._vocabulary(checked)
        if not vocabulary:
            raise InputError(
                f"hold no word that {self._least} of them share",
                where=f"{len(checked)} training texts",
                remedy="Fit to more texts, or lower `least`",
            )
        found = TfIdf(terms=self._terms, least=self._least)
        found._fitted = self._vectoriser(TfidfVectorizer, vocabulary=vocabulary, sublinear_tf=True, norm="l2")
        found._fitted.fit(checked)
        return found

    def _vocabulary(self, texts: Sequence[str]) -> list[str]:
        counter = self._vectoriser(CountVectorizer, binary=True)
        try:
            present = counter.fit_transform(texts)
        except ValueError:
            # scikit-learn's word for texts without words.
            return []
        often = dict(zip(counter.get_feature_names_out(), np.asarray(present.sum(0))[0], strict=True))
        shared = sorted((term for term, count in often.items() if count >= self._least), key=lambda t: (-often[t], t))
        return sorted(shared[: self._terms])

    @staticmethod
    def _vectoriser(kind: Any, **settings: Any) -> Any:
        return kind(lowercase=True, token_pattern=WORDS, ngram_range=(1, 2), **settings)

    @property
    def width(self) -> int:
        """Terms of the vocabulary."""
        return len(self._ready().vocabulary_)

    def identity(self) -> Mapping[str, Any]:
        """Settings, code version, and hashes of vocabulary and weights: words of patients stay out of it."""
        ready = self._ready()
        return {
            "encoder": self.name,
            "terms": self._terms,
            "least": self._least,
            "vocabulary": digest(sorted(ready.vocabulary_)),
            "idf": digest(ready.idf_.astype(np.float32)),
            "code": code_version(sys.modules[__name__]),
        }

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._ready().transform(texts).toarray().astype(np.float32)
        return found

    def _ready(self) -> Any:
        if self._fitted is None:
            raise EncoderError("tfidf has yet to learn its vocabulary", remedy="Call fitted(training texts) first")
        return self._fitted
