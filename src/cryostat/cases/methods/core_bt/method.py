"""The method `core-bt`: experts first, then the fusion on top of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cryostat.cases.methods.base import Fitted, Lesson, Method, Offer, Setting, number
from cryostat.cases.methods.batched import Chance, on_threads, partial_loss, train, weighted_mean
from cryostat.cases.methods.core_bt.fusion import SPACES, Fusion, Shown
from cryostat.cases.methods.core_bt.gates import GATES
from cryostat.cases.methods.core_bt.residual import RESIDUALS
from cryostat.cases.methods.experts import EXPERT_SETTINGS, Experts, fit_experts, masked

_ROWS_AT_ONCE = 16_000


@dataclass(frozen=True, eq=False)
class FittedCoreBT(Fitted):
    """Experts of all fits, and fusions of a few fits each."""

    experts: Experts
    fusions: tuple[Fusion, ...]
    of: tuple[Tensor, ...]
    gate_weight: Tensor

    def log_probabilities(self, offer: Offer) -> Tensor:
        """What experts and residual say together; the prior of those that have nothing."""
        with torch.no_grad():
            shown = [(i, _shown(self.experts.of_fits(i), offer.of_fits(i))) for i in self.of]
            return torch.cat([fusion(part) for fusion, (_, part) in zip(self.fusions, shown, strict=True)])

    def facts(self) -> Mapping[str, Any]:
        """Those of the experts, the mean weight of each over the training patients that have it, and σ(α)."""
        opened = torch.cat([torch.sigmoid(fusion.alpha).flatten() for fusion in self.fusions])
        return {**self.experts.facts(), "gate_weight": self.gate_weight.tolist(), "residual_gate": opened.tolist()}


class CoreBT(Method):
    """Gated residual fusion of frozen experts.

    Stage 1 fits a linear probe a modality (`experts`). Stage 2 learns y = Σ w_i · Expert_i(ê_i) + σ(α) · Φ([m_i ê_i]):
    a gate that weighs the experts for each patient, and a residual whose last layer is 0 at the start, so that the
    model begins as the ensemble. Every detail that the paper leaves open is a setting.

    Defaults differ from the likeliest reading of the paper, which the protocol `paper` holds: the gate learns from what
    experts say of patients that they did not see (else it trusts the expert that fits its training patients best), and
    modalities are hidden at random in training (else a subset that no training patient shows is served blindly).
    """

    name = "core-bt"
    about = "Frozen experts weighted for each patient by a gate, and a gated residual that starts at nothing"
    source = "CoRe-BT, arXiv 2603.03618"
    has_residual = True
    chance = True
    settings: Mapping[str, Setting] = {
        **EXPERT_SETTINGS,
        "weights": Setting("gate_softmax", "How experts are weighted", options=tuple(GATES)),
        "temperature": Setting(0.5, "τ of the weights `confidence` and `margin`"),
        "space": Setting("log_probs", "Where experts are summed", options=tuple(SPACES)),
        "evidence": Setting(
            "adds",
            "What shared weights sum to: k^γ for k experts that speak, γ learnt from 1 (a product of experts), or one",
            options=("adds", "one"),
        ),
        "missing": Setting("zero", "What has the weight of a missing modality", options=("zero", "prior")),
        "residual": Setting("linear", "Layers of the residual Φ", options=tuple(RESIDUALS)),
        "width": Setting(16, "Hidden units of Φ where it has any (256 in the published reading)"),
        "dropout": Setting(0.0, "Share of hidden units of an mlp dropped in training"),
        "alpha": Setting(0.0, "α at the start: the residual counts σ(α)"),
        "zero": Setting(
            "layer", "What of Φ is 0 at the start: its last layer, or one number", options=("layer", "scalar")
        ),
        "probes": Setting("frozen", "Whether the fusion may change the experts", options=("frozen", "finetuned")),
        "outputs": Setting(
            "out_of_fold",
            "What the fusion learns from: words of experts on patients that they did not see, or that they did",
            options=("out_of_fold", "in_fold"),
        ),
        "rows": Setting(
            "all", "Training patients of the fusion: all, or those with two modalities", options=("all", "paired")
        ),
        "modality_dropout": Setting(0.3, "Chance that a modality is hidden in a training step"),
        "ridge": Setting(100.0, "L2 penalty of gate and residual, on the scale of the experts'", (30.0, 100.0, 300.0)),
        "steps": Setting(80, "Steps of training; 0: the ensemble"),
        "rate": Setting(0.03, "Learning rate at the start"),
    }

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> FittedCoreBT:
        """Experts once a split, then the fusion of a few fits at a time."""
        experts = fit_experts(lesson, choice)
        size = max(1, _ROWS_AT_ONCE // max(1, lesson.allowed.shape[1]))
        of = torch.arange(lesson.fits).split(size)
        learnt = on_threads(lambda i: _learn(lesson.of_fits(i), experts.of_fits(i), choice), of)
        return FittedCoreBT(experts, tuple(f for f, _ in learnt), of, torch.cat([weight for _, weight in learnt]))


def _shown(experts: Experts, offer: Offer) -> Shown:
    """What experts and residual see: modalities that no expert could learn from are seen by neither."""
    seen = offer.present if offer.residual_present is None else offer.residual_present
    counted, residual = experts.usable(offer.present), experts.usable(seen)
    blocks = masked(offer.blocks, counted | residual)
    return Shown(blocks, counted, residual, experts.log_probabilities(offer))


def _learn(lesson: Lesson, experts: Experts, choice: Mapping[str, Any]) -> tuple[Fusion, Tensor]:
    """A trained fusion, and the mean weight of each expert over the training patients that have it, (F, M)."""
    shown = _shown(experts, lesson.offer)
    if choice["outputs"] == "out_of_fold":
        shown = Shown(shown.blocks, shown.counted, shown.residual, experts.out_of_fold)
    numbers = {name: number(lesson, choice, name) for name in ("alpha", "temperature")}
    fusion = Fusion(lesson.seeds, lesson.offer.widths, experts.log_prior, numbers, choice)
    _train(fusion, lesson, shown, choice)
    with torch.no_grad():
        weight = fusion.weights(shown).mean(-1) * shown.counted
    return fusion, weight.sum(1) / shown.counted.sum(1).clamp(min=1)


def _train(fusion: Fusion, lesson: Lesson, shown: Shown, choice: Mapping[str, Any]) -> None:
    """Minimise the log-loss over the training patients, a random part of their modalities hidden at each step."""
    chance, share = Chance(lesson.seeds), number(lesson, choice, "modality_dropout")[:, None, None]
    least = 2 if choice["rows"] == "paired" else 1
    weight = lesson.weight * (shown.counted.sum(-1) >= least)

    def loss() -> Tensor:
        part = _hidden(shown, chance, share, fusion) if bool((share > 0).any()) else shown
        return weighted_mean(partial_loss(fusion(part), lesson.allowed), weight) + ridge * _length(fusion)

    # As a part of the loss, not as decoupled decay: a residual that earns less than it costs then vanishes altogether.
    ridge = number(lesson, choice, "ridge") / 2 / weight.sum(-1).clamp(min=1)
    train(fusion, loss, steps=int(choice["steps"]), rate=float(choice["rate"]), decay=torch.zeros_like(ridge))


def _length(fusion: Fusion) -> Tensor:
    """(F,): sum of squares of all parameters but α and γ."""
    penalised = (p for name, p in fusion.named_parameters() if name not in ("alpha", "gamma"))
    return torch.stack([p.square().flatten(1).sum(1) for p in penalised]).sum(0)


def _hidden(shown: Shown, chance: Chance, share: Tensor, fusion: Fusion) -> Shown:
    """Each modality hidden with a chance of `share` (F, 1, 1); of what a patient has, one at least stays."""
    drawn = chance.uniform(*shown.counted.shape[1:])
    highest = drawn == drawn.where(shown.counted, torch.zeros(())).amax(-1, keepdim=True)
    counted = shown.counted & ((drawn >= share) | highest)
    said = torch.where(counted[..., None], shown.said, fusion.log_prior[:, None, None])
    # What was never there is 0 already, so that a product does.
    return Shown(tuple(b * counted[..., m, None] for m, b in enumerate(shown.blocks)), counted, counted, said)
