"""Cross-modal distillation."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from gaussian_cohort import gaussians, lesson_of, offered
from sklearn.linear_model import LogisticRegression

from cryostat.cases.methods.distillation import Distillation, Schooling, teacher_log_probabilities

CHOICE = {name: setting.default for name, setting in Distillation.settings.items()}


def test_loss_by_hand() -> None:
    teacher = torch.tensor([[[0.8, 0.2]]]).log()
    said = torch.tensor([[[0.5, 0.5]]]).log()
    school = Schooling(
        torch.tensor([[[1.0, 0.0]]]), teacher, torch.ones(1, 1), torch.tensor([0.25]), torch.ones(1), torch.ones(1)
    )
    # 0.75 · log 2 + 0.25 · log 2: the student says a half of both.
    assert school.loss(said).item() == pytest.approx(0.693147, abs=1e-5)
    sure = torch.tensor([[[0.9, 0.1]]]).log()
    assert school.loss(sure).item() == pytest.approx(
        0.75 * 0.105361 + 0.25 * (0.8 * 0.105361 + 0.2 * 2.302585), abs=1e-5
    )


def test_without_a_teacher_a_student_is_a_logistic_regression() -> None:
    world = gaussians((6, 5, 4))
    lesson = lesson_of(world, (400,))
    fitted = Distillation().fit(lesson, {**CHOICE, "trust": 0.0, "strength": 4.0})
    blocks, _ = world.draw(200, torch.Generator().manual_seed(1))
    there = lesson.offer.present[0, :, 1]
    truth = lesson.allowed[0].int().argmax(-1)[there]
    theirs = LogisticRegression(C=1 / 4, tol=1e-8, max_iter=1000).fit(
        lesson.offer.blocks[1][0, there].numpy(), truth.numpy()
    )
    said = fitted.log_probabilities(offered(world, blocks, (1,), 1))[0].exp()
    # Ours holds the intercept near the prior by half a patient.
    torch.testing.assert_close(
        said, torch.as_tensor(theirs.predict_proba(blocks[1].numpy()), dtype=torch.float32), atol=0.01, rtol=0
    )


def test_a_held_out_teacher_has_not_seen_the_label_of_whom_it_speaks() -> None:
    lesson = lesson_of(gaussians((6, 5, 4)), (60,))
    strength = torch.tensor([5.0])
    changed = lesson.allowed.clone()
    first = lesson.inner[0] == 0
    changed[0, first] = changed[0, first].roll(1, -1)
    other = replace(lesson, allowed=changed)
    said, again = (teacher_log_probabilities(each, strength, held_out=True) for each in (lesson, other))
    # The class priors of the teacher aside, those of the fold hear the same, the others do not.
    torch.testing.assert_close(said[0, first], again[0, first], atol=1e-4, rtol=0)
    assert (said[0, ~first] - again[0, ~first]).abs().max() > 0.05


def test_patients_without_a_label_are_taught_by_the_teacher() -> None:
    lesson = lesson_of(gaussians((6, 5, 4)), (80,))
    unlabelled = torch.arange(80)[None] < 40
    partly = replace(
        lesson, allowed=lesson.allowed | unlabelled[..., None], weight=torch.where(unlabelled, 0.0, lesson.weight)
    )
    gone = replace(partly, inner=torch.where(unlabelled, -1, partly.inner))
    choice = {**CHOICE, "trust": 0.5}
    a, b = (Distillation().fit(each, choice).log_probabilities(lesson.offer) for each in (partly, gone))
    assert (a - b).abs().max() > 0.05
