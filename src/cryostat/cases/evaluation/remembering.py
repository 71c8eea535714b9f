"""Prepared evidence kept for the next method: what is fitted before any method is the same for all of them."""

from __future__ import annotations

from collections import OrderedDict
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from cryostat.cases.evaluation.preparation import Preparation, Prepared
from cryostat.cases.evidence import Bags, Evidence
from cryostat.core.identity import digest, sha256_array

LARGEST = 2**29
"""Bytes kept for each evidence; the first prepared are the first forgotten."""

_kept: WeakKeyDictionary[Evidence, OrderedDict[str, Prepared]] = WeakKeyDictionary()


def prepared(
    preparation: Preparation, evidence: Evidence, train: NDArray[np.intp], allowed: NDArray[np.bool_]
) -> Prepared:
    """What `Preparation.fit` gives, found again when it was asked for before.

    Args:
        preparation: How evidence is prepared.
        evidence: Of n patients; everything kept of it goes when it goes.
        train: Rows of the training patients.
        allowed: (n, C) classes that each may have.
    """
    mine = _kept.setdefault(evidence, OrderedDict())
    key = _key(preparation, evidence, train, allowed)
    if key not in mine:
        mine[key] = preparation.fit(evidence, train, allowed)
        _forget(mine)
    return mine[key]


def _key(preparation: Preparation, evidence: Evidence, train: NDArray[np.intp], allowed: NDArray[np.bool_]) -> str:
    # Labels matter to attention alone; without it the tasks of a cohort share what is prepared.
    supervised = any(isinstance(modality, Bags) for modality in evidence.modalities.values())
    labels = sha256_array(np.packbits(allowed)) if supervised else ""
    how = (type(preparation).__qualname__, preparation.identity())
    return digest([how, sha256_array(train), labels], 64)


def _forget(mine: OrderedDict[str, Prepared]) -> None:
    each = sum(block.nbytes for block in next(reversed(mine.values())).blocks)
    while len(mine) > 1 and len(mine) * each > LARGEST:
        mine.popitem(last=False)
