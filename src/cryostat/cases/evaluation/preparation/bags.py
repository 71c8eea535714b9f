"""Bags of a modality inside a fold: a gated attention, learnt from the training labels, pools each patient's vectors.

Only the weights of the mean are learnt: what comes out is a weighted mean of a patient's vectors in one space, that of
their principal components. So training patients can be pooled by networks that have not seen their labels (else these
would leak into what a method learns from), the others by one that has learnt from all training patients, and the two
can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cryostat.cases.evaluation.preparation.vectors import Block, Reduction
from cryostat.cases.evidence import Bags
from cryostat.cases.methods.batched import Chance, Linear, partial_loss, train, weighted_mean

LEARNT_FROM = 65_536
"""Vectors at most from which columns and components are learnt, evenly spaced among those of training patients."""


@dataclass(frozen=True)
class Attention:
    """How the attention is learnt.

    Attributes:
        folds: Parts of the training patients; each is pooled by a network that has learnt from the others.
        hidden: Hidden units.
        items: Vectors of a patient at most that are learnt from, evenly spaced; pooled are all.
        steps: Steps of training on all patients.
        rate: Learning rate.
        decay: Weight decay.
    """

    folds: int = 4
    hidden: int = 8
    items: int = 32
    steps: int = 25
    rate: float = 0.03
    decay: float = 0.1


def prepared_bags(
    bags: Bags,
    rows: NDArray[np.bool_],
    allowed: NDArray[np.bool_],
    reduction: Reduction,
    attention: Attention,
    seed: int,
) -> Block:
    """Standardise and reduce the vectors, pool them by attention, centre and scale the result.

    Args:
        bags: Of n patients.
        rows: (n,) those to learn from, all present.
        allowed: (n, C) classes that each may have.
        reduction: Of the single vectors.
        attention: How it is learnt.
        seed: Of folds and weights.
    """
    counts = np.array([len(item) for item in bags.items])
    width = next((item.shape[1] for item in bags.items), 0)
    # A last bag of one vector of zeros goes along, so that it is treated as any patient's.
    vectors = np.concatenate([*bags.items, np.zeros((1, width), np.float32)])
    learnt = np.flatnonzero(np.repeat([*rows, False], [*counts, 1]))
    chosen = learnt[np.linspace(0, len(learnt) - 1, min(len(learnt), LEARNT_FROM)).astype(int)]
    fitted = reduction.learnt(vectors[chosen])
    items = np.split(fitted.transformed(vectors), np.cumsum(counts))
    networks = _trained([items[i] for i in np.flatnonzero(rows)], allowed[rows], attention, seed)
    pooled = _pooled(items, rows, networks)
    mean, scale = _centre(pooled[:-1][rows])
    facts = {"patients": int(rows.sum()), "vectors": len(learnt), "attention": networks is not None}
    return Block((pooled[:-1] - mean) / scale, (pooled[-1] - mean) / scale, {**facts, **fitted.facts})


@dataclass(frozen=True, eq=False)
class Networks:
    """Attention networks, one a fold and one of all, and who is to be pooled by which."""

    module: GatedAttention
    fold: NDArray[np.intp]


class GatedAttention(nn.Module):
    """F gated attentions with a linear classifier each; at the start all vectors weigh the same.

    Args:
        chance: Of the weights.
        width: Numbers of a vector.
        hidden: Hidden units.
        classes: C.
    """

    def __init__(self, chance: Chance, width: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.value, self.gate = Linear(chance, width, hidden), Linear(chance, width, hidden)
        self.score = Linear(chance, hidden, 1, zero=True)
        self.classify = Linear(chance, width, classes, zero=True)

    def pool(self, items: Tensor, there: Tensor) -> Tensor:
        """(F, n, d) weighted means of (n, k, d) vectors of which (n, k) are there."""
        # All fits in one product of matrices: they differ in weights, not in vectors.
        fits, width, hidden = self.value.weight.shape
        weight = torch.stack([self.value.weight, self.gate.weight]).permute(2, 0, 1, 3).reshape(width, -1)
        bias = torch.stack([self.value.bias, self.gate.bias]).view(1, -1)
        value, gate = torch.addmm(bias, items.flatten(0, 1), weight).view(-1, 2, fits, hidden).unbind(1)
        score = ((value.tanh() * gate.sigmoid()) * self.score.weight[..., 0]).sum(-1) + self.score.bias[:, 0, 0]
        share = torch.where(there, score.T.reshape(fits, *there.shape), -torch.inf).softmax(-1)
        return torch.bmm(share.transpose(0, 1), items).transpose(0, 1)

    def forward(self, items: Tensor, there: Tensor) -> Tensor:
        """(F, n, C) log-probabilities."""
        found: Tensor = self.classify(self.pool(items, there)).log_softmax(-1)
        return found


def _trained(
    items: list[NDArray[np.float32]], allowed: NDArray[np.bool_], attention: Attention, seed: int
) -> Networks | None:
    """Networks of training patients; None where there is nothing to learn from."""
    certain = allowed.sum(1) == 1
    if len(np.unique(allowed[certain].argmax(1))) < 2 or certain.sum() < 2 * attention.folds:
        return None
    fold = _folds(allowed, attention.folds, seed)
    padded, there = _padded([_thinned(each, attention.items) for each in items])
    labels = torch.from_numpy(allowed)
    told = torch.from_numpy(allowed.any(1) & ~allowed.all(1)).float()
    # Network k has not seen fold k; the last has seen all.
    weight = torch.stack([told * torch.from_numpy(fold != k) for k in range(attention.folds + 1)])
    chance = Chance(torch.full((len(weight),), seed))
    module = GatedAttention(chance, padded.shape[-1], attention.hidden, allowed.shape[1])
    answer = labels.expand(len(weight), -1, -1)
    train(
        module,
        lambda: weighted_mean(partial_loss(module(padded, there), answer), weight),
        steps=attention.steps,
        rate=attention.rate,
        decay=torch.full((len(weight),), attention.decay),
    )
    return Networks(module, fold)


def _folds(allowed: NDArray[np.bool_], count: int, seed: int) -> NDArray[np.intp]:
    """(n,) fold of each patient, those with like labels spread evenly."""
    label = allowed @ (1 << np.arange(allowed.shape[1], dtype=object))
    order = np.random.default_rng(seed).permutation(len(allowed))
    order = np.array(sorted(order, key=lambda i: label[i]), np.intp)
    fold = np.empty(len(allowed), np.intp)
    fold[order] = np.arange(len(allowed)) % count
    return fold


def _thinned(items: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    return items if len(items) <= most else items[np.linspace(0, len(items) - 1, most).astype(int)]


def _padded(items: list[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
    """(n, k, d) vectors, zeros behind the last of each patient, and (n, k) whether one is there."""
    there = np.arange(max(map(len, items))) < np.array([len(each) for each in items])[:, None]
    padded = np.zeros((*there.shape, items[0].shape[1]), np.float32)
    padded[there] = np.concatenate(items)
    return torch.from_numpy(padded), torch.from_numpy(there)


@torch.no_grad()
def _pooled(
    items: list[NDArray[np.float32]], rows: NDArray[np.bool_], networks: Networks | None
) -> NDArray[np.float32]:
    """(n + 1, d): each patient by the network that is for it, and the bag of zeros; 0 where there are no vectors."""
    found = np.zeros((len(items), items[0].shape[1]), np.float32)
    which = np.full(len(items), -1, np.intp)
    if networks is not None:
        which[:-1][rows] = networks.fold
    for place, (each, network) in enumerate(zip(items, which, strict=True)):
        if networks is None and len(each):
            found[place] = each.mean(0)
        elif networks is not None and len(each):
            shown = torch.from_numpy(each)[None]
            found[place] = networks.module.pool(shown, torch.ones(1, len(each), dtype=torch.bool))[network, 0].numpy()
    return found


def _centre(pooled: NDArray[np.float32]) -> tuple[NDArray[np.float32], np.float32]:
    """Mean of the training patients and the root of their mean variance, 1 where they do not vary."""
    if len(pooled) < 2:
        return np.zeros(pooled.shape[1], np.float32), np.float32(1)
    variance = pooled.var(0).mean()
    return pooled.mean(0), np.float32(np.sqrt(variance) if variance > 0 else 1)
