"""Texts of a modality inside a fold: TF-IDF with the vocabulary of the training texts, then components.

Equal to `encoders.text.tfidf`, but every text is cut into words once for all folds: only which words count, and how
much, is learnt, and that from the training texts of the fold.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer

from cryostat.cases.evaluation.preparation.components import Components
from cryostat.cases.evaluation.preparation.vectors import Block
from cryostat.cases.evidence import Texts
from cryostat.encoders.text.tfidf import WORDS


def prepared_texts(texts: Texts, train: NDArray[np.bool_], count: int, *, terms: int, least: int) -> Block:
    """TF-IDF, then principal components.

    Args:
        texts: Of n patients.
        train: (n,) rows to learn from, all present.
        count: Components at most; 0: the terms themselves.
        terms: Vocabulary at most.
        least: Training texts that a term must occur in.
    """
    found = tfidf(word_counts(texts), train, terms=terms, least=least)
    facts = {"patients": int(train.sum()), "terms": found.shape[1]}
    values = np.zeros((found.shape[0] + 1, count or terms), np.float32)  # the last row is a text without words
    shown = sparse.vstack([found, sparse.csr_matrix((1, found.shape[1]))], format="csr")
    if count == 0:
        values[:, : found.shape[1]] = shown.toarray()
        return Block(values[:-1], values[-1], facts)
    components = Components.learnt(found[train], count)
    values[:, : components.width] = components.transformed(shown)
    return Block(values[:-1], values[-1], {**facts, "variance_kept": components.explained})


@functools.lru_cache(maxsize=2)
def word_counts(texts: Texts) -> sparse.csr_matrix:
    """(n, words) float64 counts of words and pairs of words, columns in alphabetical order; absent texts are empty."""
    counter = CountVectorizer(lowercase=True, token_pattern=WORDS, ngram_range=(1, 2), dtype=np.float64)
    try:
        return counter.fit_transform([text or "" for text in texts.texts]).tocsr()
    except ValueError:  # scikit-learn's word for texts without words
        return sparse.csr_matrix((len(texts.texts), 0))


def tfidf(counts: Any, train: NDArray[np.bool_], *, terms: int, least: int) -> sparse.csr_matrix:
    """(n, t) TF-IDF rows of unit length, t terms that most training texts have, ties in alphabetical order."""
    often = np.bincount(counts[train].indices, minlength=counts.shape[1])
    common = np.argsort(-often, kind="stable")[:terms]
    kept = np.sort(common[often[common] >= least])
    found = counts[:, kept]
    found.data = 1 + np.log(found.data)
    rarity = np.log((1 + train.sum()) / (1 + often[kept])) + 1
    found = found @ sparse.diags(rarity)
    length = np.sqrt(np.asarray(found.multiply(found).sum(1)).reshape(-1))
    return sparse.diags(1 / np.where(length > 0, length, 1)) @ found
