"""The hierarchical head."""

from __future__ import annotations

from dataclasses import replace

import torch
from gaussian_cohort import gaussians, lesson_of, offered

from cryostat.cases.methods.hierarchical import HierarchicalHead, class_log_probabilities

CHOICE = {name: setting.default for name, setting in HierarchicalHead.settings.items()}


def test_a_class_has_the_probability_of_its_leaves() -> None:
    leaves = torch.tensor([[[0.1, 0.2, 0.3, 0.4]]]).log()
    said = class_log_probabilities(leaves, torch.tensor([0, 1, 0, -1]), 2).exp()[0, 0]
    # The last leaf has no class: 0.4 : 0.2 of what is left.
    torch.testing.assert_close(said, torch.tensor([2 / 3, 1 / 3]))


def _of_leaves(size: int, coarse: float) -> tuple:
    """Four leaves, two of each of two classes; a share of the patients is labelled by class alone."""
    world = gaussians((8, 8, 8))
    lesson = lesson_of(world, (size,))
    leaf_class = torch.tensor([0, 1, 0, 1])
    member = leaf_class[:, None] == torch.arange(2)
    of_class = lesson.allowed.float() @ member.float() > 0
    whole = of_class.float() @ member.T.float() > 0
    known = torch.arange(size)[None, :, None] >= coarse * size
    leaves = torch.where(known, lesson.allowed, whole)
    return world, replace(lesson, allowed=of_class, leaves=leaves, leaf_class=leaf_class), leaf_class


def test_learns_from_labels_of_both_levels() -> None:
    world, lesson, leaf_class = _of_leaves(300, 0.5)
    blocks, y = world.draw(800, torch.Generator().manual_seed(2))
    fitted = HierarchicalHead().fit(lesson, CHOICE)
    said = fitted.log_probabilities(offered(world, blocks, (0, 1, 2), 1))[0]
    best = class_log_probabilities(world.log_posterior(blocks, (0, 1, 2))[None], leaf_class, 2)[0]
    truth = leaf_class[y]
    assert (said.argmax(-1) == truth).float().mean() > (best.argmax(-1) == truth).float().mean() - 0.1


def test_a_patient_that_says_nothing_changes_nothing() -> None:
    _, lesson, _ = _of_leaves(60, 0.5)
    assert lesson.leaves is not None
    nothing = torch.zeros(1, 60, dtype=torch.bool)
    nothing[0, :10] = True
    muted = replace(
        lesson,
        leaves=lesson.leaves | nothing[..., None],
        allowed=lesson.allowed | nothing[..., None],
        weight=lesson.weight * ~nothing,
    )
    gone = replace(muted, inner=torch.where(nothing, -1, muted.inner))
    method = HierarchicalHead()
    a, b = (method.fit(each, CHOICE).log_probabilities(lesson.offer) for each in (muted, gone))
    torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_a_patient_whose_leaf_the_task_drops_trains_the_leaves() -> None:
    _, lesson, _ = _of_leaves(60, 0.0)
    dropped = replace(lesson, leaf_class=torch.tensor([0, 1, 0, -1]))
    last = dropped.leaves[..., 3]
    dropped = replace(dropped, allowed=dropped.allowed & ~last[..., None], weight=dropped.weight * ~last)
    fitted = HierarchicalHead().fit(dropped, CHOICE)
    leaves = fitted.leaf_log_probabilities(dropped.offer).exp()
    # It tells them from the others, although no class of the task holds them.
    assert leaves[..., 3][last].mean() > 3 * leaves[..., 3][~last].mean()
