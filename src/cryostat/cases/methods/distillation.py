"""A student for each pattern of availability, taught by a model that sees all that a patient has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cryostat.cases.methods.base import Fitted, Lesson, Method, Offer, Setting, number
from cryostat.cases.methods.experts import masked
from cryostat.cases.methods.logistic import fit_regressions
from cryostat.cases.methods.minimise import minimise
from cryostat.cases.methods.patterns import has_pattern, occurring, practice, prior_where_nothing, side_by_side


@dataclass(frozen=True, eq=False)
class Schooling:
    """What students learn from.

    Attributes:
        labels: (F, n, C) targets of the labelled, 0 elsewhere.
        teacher: (F, n, C) log-probabilities of the teacher.
        weight: (F, n): the lesson's; 1 for patients without a label, whom the teacher labels.
        trust: (F,) share of the teacher beside the label.
        temperature: (F,) τ.
        strength: (F,) L2 penalty.
    """

    labels: Tensor
    teacher: Tensor
    weight: Tensor
    trust: Tensor
    temperature: Tensor
    strength: Tensor

    def loss(self, said: Tensor) -> Tensor:
        """(F, n): (1 − κ) · CE(label, p) + κ τ² · CE(q^(1/τ), p^(1/τ)) from logits (F, n, C); unlabelled: κ = 1."""
        heat = self.temperature[:, None, None]
        soft = -((self.teacher / heat).softmax(-1) * (said / heat).log_softmax(-1)).sum(-1)
        hard = -(self.labels * said.log_softmax(-1)).sum(-1)
        trust = torch.where(self.labels.sum(-1) > 0, self.trust[:, None], 1.0)
        return (1 - trust) * hard + trust * self.temperature[:, None].square() * soft


@dataclass(frozen=True, eq=False)
class _Students(Fitted):
    blocks: tuple[Tensor, ...]
    present: Tensor
    schooling: Schooling
    log_prior: Tensor
    _learnt: dict[tuple[bool, ...], Tensor] = field(default_factory=dict)

    def log_probabilities(self, offer: Offer) -> Tensor:
        said = self.log_prior[:, None].repeat(1, offer.present.shape[1], 1)
        seen = masked(offer.blocks, offer.present)
        for pattern in occurring(offer.present):
            x = torch.cat([seen[m] for m in pattern.nonzero()[:, 0].tolist()], -1)
            student = self._student(pattern)
            logits = torch.baddbmm(student[:, -1:], x, student[:, :-1])
            said = torch.where(has_pattern(offer.present, pattern)[..., None], logits.log_softmax(-1), said)
        return prior_where_nothing(said, offer.present, self.log_prior)

    def _student(self, pattern: Tensor) -> Tensor:
        """(F, D + 1, C) of the pattern, taught on the training patients that have at least this when first met."""
        key = tuple(pattern.tolist())
        if key not in self._learnt:
            x = torch.cat([self.blocks[m] for m in pattern.nonzero()[:, 0].tolist()], -1)
            enough = (self.present | ~pattern).all(-1)
            self._learnt[key] = _taught(x, self.schooling, self.schooling.weight * enough, self.log_prior)
        return self._learnt[key]


def _taught(x: Tensor, schooling: Schooling, weight: Tensor, log_prior: Tensor) -> Tensor:
    x, width, classes, total = x.double(), x.shape[-1], log_prior.shape[-1], weight.sum(-1).clamp(min=1)

    def objective(flat: Tensor) -> Tensor:
        slope, bias = flat[:, : width * classes].reshape(-1, width, classes), flat[:, None, width * classes :]
        loss = (schooling.loss(torch.baddbmm(bias, x, slope)) * weight).sum(-1)
        # The biases are held at the prior by half a patient, so that a class without patients keeps a finite one.
        held = (bias[:, 0] - log_prior).square().sum(-1) / 4
        return (loss + schooling.strength / 2 * slope.square().sum((1, 2)) + held) / total

    start = torch.cat([x.new_zeros(len(x), width * classes), log_prior], -1)
    return minimise(objective, start).reshape(-1, width + 1, classes).float()


class Distillation(Method):
    """Cross-modal distillation.

    The teacher is a logistic regression on all that a patient has (blocks and mask side by side). For each pattern S a
    student sees the modalities S alone and learns from every patient that has at least these: cross-entropy with the
    label, (1 − κ), and κ τ² KL(teacher ‖ student) at temperature τ, so that the student of the MRI-only patient learns
    from what pathology said of others; patients without a label are labelled by the teacher. The
    teacher's words on a patient come from its fit to all, or (held-out) from inner folds that left him out: fewer
    patients taught it, but it cannot have learnt their labels by heart.
    """

    name = "distillation"
    about = "A student for each pattern of availability, taught by a model that sees all that a patient has"
    source = "Knowledge distillation (Hinton et al. 2015) across modalities (Gupta et al. 2016)"
    settings: Mapping[str, Setting] = {
        "teacher": Setting("training", "Where the teacher's words come from", options=("training", "held-out")),
        "trust": Setting(0.8, "Share κ of the teacher beside the label", (0.0, 0.8)),
        "temperature": Setting(1.0, "Temperature τ of teacher and student in their comparison"),
        "strength": Setting(15.0, "L2 penalty of teacher and students, 1/C", (5.0, 15.0, 50.0)),
    }

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
        """Teach the teacher; students are taught when their pattern is first met."""
        strength = number(lesson, choice, "strength")
        unlabelled = (lesson.inner >= 0) & (lesson.allowed.all(-1) | ~lesson.allowed.any(-1))
        labelled = (lesson.weight > 0) & ~unlabelled
        schooling = Schooling(
            lesson.targets() * labelled[..., None],
            teacher_log_probabilities(lesson, strength, held_out=choice["teacher"] == "held-out"),
            torch.where(unlabelled, 1.0, lesson.weight),
            number(lesson, choice, "trust"),
            number(lesson, choice, "temperature"),
            strength,
        )
        blocks = masked(lesson.offer.blocks, lesson.offer.present)
        return _Students(blocks, lesson.offer.present, schooling, lesson.prior().log())


def teacher_log_probabilities(lesson: Lesson, strength: Tensor, *, held_out: bool) -> Tensor:
    """(F, n, C): the teacher's words on the training patients, by inner folds that left each out or by one."""
    folds = int(lesson.inner.max()) + 1 if held_out else 0
    kept = torch.stack(
        [lesson.inner != fold for fold in range(folds)] + [torch.ones_like(lesson.inner, dtype=torch.bool)], -1
    )
    rows = practice(lesson.offer.present, torch.full_like(strength, 0.5))
    jobs = kept.shape[-1]
    log_prior = lesson.prior().log()
    teacher = fit_regressions(
        side_by_side(rows.offer(lesson.offer)),
        rows.of(lesson.allowed),
        rows.of(lesson.weight[..., None] * kept) * rows.share[..., None],
        strength[:, None].expand(-1, jobs),
        log_prior[:, None].expand(-1, jobs, -1),
    )
    said = teacher.log_probabilities(side_by_side(lesson.offer)).float()
    # Those in no fold are judged by the one that learnt from all.
    which = torch.where((lesson.inner >= 0) & (lesson.inner < folds), lesson.inner, jobs - 1)
    return said.gather(2, which[..., None, None].expand(-1, -1, 1, said.shape[-1]))[:, :, 0]
