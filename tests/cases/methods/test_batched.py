"""Chance that companions and filling do not touch, losses of partial labels, balance."""

from __future__ import annotations

from dataclasses import replace

import torch
from gaussian_cohort import gaussians, lesson_of

from cryostat.cases.methods.batched import Chance, balanced_weight, on_threads, partial_loss


def test_numbers_of_a_fit_depend_on_its_seed_alone() -> None:
    together, alone = Chance(torch.tensor([3, 5, 3])), Chance(torch.tensor([5]))
    for _ in range(2):
        numbers = together.uniform(4, 2)
        assert torch.equal(numbers[0], numbers[2])
        assert torch.equal(numbers[1], alone.uniform(4, 2)[0])


def test_rows_of_filling_shift_no_number() -> None:
    few, many = Chance(torch.tensor([3])), Chance(torch.tensor([3]))
    for _ in range(3):
        assert torch.equal(few.uniform(7, 3), many.uniform(29, 3)[:, :7])


def test_draws_differ() -> None:
    chance = Chance(torch.tensor([3]))
    assert not torch.equal(chance.uniform(50), chance.uniform(50))


def test_a_partial_label_costs_what_it_rules_out() -> None:
    said = torch.tensor([0.5, 0.3, 0.2]).log().expand(1, 4, 3)
    allowed = torch.tensor([[[1, 0, 0], [1, 1, 0], [1, 1, 1], [0, 0, 0]]]).bool()
    expected = -torch.tensor([[0.5, 0.8, 1.0, 1.0]]).log()
    torch.testing.assert_close(partial_loss(said, allowed), expected)


def test_balanced_classes_weigh_the_same_and_together_as_before() -> None:
    lesson = lesson_of(gaussians((3,)), (90,))
    weight = balanced_weight(lesson)
    of_classes = (weight[..., None] * lesson.targets()).sum(1)
    torch.testing.assert_close(of_classes, torch.full((1, 4), 90 / 4))
    nobody = replace(lesson, weight=torch.zeros(1, 90))
    assert not balanced_weight(nobody).any()


def test_work_on_threads_comes_back_in_order() -> None:
    assert on_threads(lambda part: part * 2, range(9)) == list(range(0, 18, 2))
