"""A softmax over the finest labels that learns from labels of every level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cryostat.cases.methods.base import Fitted, Lesson, Method, Offer, Setting, number
from cryostat.cases.methods.batched import partial_loss
from cryostat.cases.methods.minimise import minimise
from cryostat.cases.methods.patterns import Rows, practice, prior_where_nothing, side_by_side


def class_log_probabilities(leaves: Tensor, leaf_class: Tensor, classes: int) -> Tensor:
    """(F, n, C) from log-probabilities of leaves (F, n, L): summed within each class, leaves without one left out."""
    member = leaf_class[:, None] == torch.arange(classes, device=leaf_class.device)
    summed = torch.where(member, leaves[..., None], -torch.inf).logsumexp(-2)
    return summed.log_softmax(-1)


@dataclass(frozen=True)
class _Tree:
    """Leaves of each fit's task: what is allowed (F, n, L), the class of each (L,), and a branch to share (L,)."""

    allowed: Tensor
    leaf_class: Tensor
    branch: Tensor

    @staticmethod
    def of(lesson: Lesson) -> _Tree:
        """Of a task without a hierarchy: its classes are the leaves."""
        if lesson.leaves is None or lesson.leaf_class is None:
            own = torch.arange(lesson.classes, device=lesson.allowed.device)
            return _Tree(lesson.allowed, own, own)
        # Leaves outside the task share one branch: they are nothing but different from the rest.
        branch = torch.where(lesson.leaf_class >= 0, lesson.leaf_class, lesson.classes)
        return _Tree(lesson.leaves, lesson.leaf_class, branch)

    def weight(self, lesson: Lesson) -> Tensor:
        """(F, n): the lesson's; those that the task drops but whose leaf is known weigh 1 and train as well."""
        known = self.allowed.any(-1) & ~self.allowed.all(-1)
        return torch.where(lesson.weight > 0, lesson.weight, (lesson.inner >= 0).float()) * known


@dataclass(frozen=True, eq=False)
class _Hierarchy(Fitted):
    slope: Tensor
    bias: Tensor
    leaf_class: Tensor
    log_prior: Tensor

    def leaf_log_probabilities(self, offer: Offer) -> Tensor:
        """(F, n, L)."""
        return torch.baddbmm(self.bias, side_by_side(offer), self.slope).log_softmax(-1)

    def log_probabilities(self, offer: Offer) -> Tensor:
        said = class_log_probabilities(self.leaf_log_probabilities(offer), self.leaf_class, self.log_prior.shape[-1])
        return prior_where_nothing(said, offer.present, self.log_prior)


class HierarchicalHead(Method):
    """A softmax over leaves, marginalised to whatever label a patient has.

    p(leaf | x) = softmax(xᵀ(W_branch(leaf) + V_leaf) + b_leaf), with V penalised more than W, so that a rare leaf says
    what its branch says until it has patients of its own; this is log p(class) + log p(leaf | class) with shrinkage.
    The loss is −log Σ_{leaf ⊂ label} p(leaf), so that a patient of whom a coarse label alone is known (NOS) trains the
    model as far as it goes, and one whose leaf the task drops trains it too. A class has the probability of its leaves.
    """

    name = "hierarchical"
    about = "A softmax over the finest labels that learns from labels of every level, partial ones too"
    source = "Marginalised partial labels; shrinkage along a hierarchy (Salakhutdinov et al. 2011)"
    settings: Mapping[str, Setting] = {
        "strength": Setting(15.0, "L2 penalty of what leaves of a class share, 1/C", (5.0, 15.0, 50.0)),
        "leaf": Setting(4.0, "How many times as strong the penalty of a leaf's own part is"),
        "own": Setting(0.3, "Weight of all that a patient has; the rest goes evenly to the parts of it"),
    }

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
        """One smooth problem a fit."""
        tree = _Tree.of(lesson)
        rows = practice(lesson.offer.present, number(lesson, choice, "own"))
        weight = tree.weight(lesson)
        penalties = number(lesson, choice, "strength"), number(lesson, choice, "leaf")
        slope, bias = _fit(side_by_side(rows.offer(lesson.offer)).double(), tree, rows, weight, penalties)
        return _Hierarchy(slope, bias, tree.leaf_class, lesson.prior().log())


def _fit(x: Tensor, tree: _Tree, rows: Rows, weight: Tensor, penalties: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Slopes (F, D, L) and biases (F, 1, L) of the leaves."""
    strength, leaf = penalties
    width, leaves, branches = x.shape[-1], tree.allowed.shape[-1], int(tree.branch.max()) + 1
    allowed, counted = rows.of(tree.allowed), rows.of(weight) * rows.share
    total = counted.sum(-1).clamp(min=1e-12)

    def parts(flat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        shared, own, bias = flat.split([width * branches, width * leaves, leaves], 1)
        return shared.reshape(-1, width, branches), own.reshape(-1, width, leaves), bias[:, None]

    def objective(flat: Tensor) -> Tensor:
        shared, own, bias = parts(flat)
        said = torch.baddbmm(bias, x, shared[..., tree.branch] + own).log_softmax(-1)
        penalty = strength / 2 * (shared.square().sum((1, 2)) + leaf * own.square().sum((1, 2)))
        return ((partial_loss(said, allowed) * counted).sum(-1) + penalty) / total

    start = x.new_zeros(len(x), width * (branches + leaves) + leaves)
    start[:, -leaves:] = _log_shares(tree, weight)
    shared, own, bias = parts(minimise(objective, start))
    return (shared[..., tree.branch] + own).float(), bias.float()


def _log_shares(tree: _Tree, weight: Tensor) -> Tensor:
    spread = tree.allowed.float() / tree.allowed.sum(-1, keepdim=True).clamp(min=1)
    counts = (spread * weight[..., None]).sum(1) + 0.5
    return (counts / counts.sum(-1, keepdim=True)).log()
