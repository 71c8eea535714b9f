"""Learners: a model, its optimiser and its loss, one step at a time."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cryostat.cells.heads.settings import TileSettings
from cryostat.cells.protocols import Training
from cryostat.cells.training.common import IGNORED, BestKeeper, Outputs, TrainingLog, seeded
from cryostat.cells.training.nucleus_tokens import pool_tokens
from cryostat.cells.training.recipe.loss import LossSettings, PixelCrossEntropy
from cryostat.cells.training.recipe.schedule import WarmupCosine
from cryostat.cells.training.tiles.batch import Batch, Wants
from cryostat.cells.training.tiles.models import DenseModel
from cryostat.cells.training.tiles.precision import autocast
from cryostat.cells.training.tiles.streams import Stream
from cryostat.core.errors import SettingError
from cryostat.encoders.tile.base import TileEncoder
from cryostat.encoders.tile.tuning import learnt


@dataclass(frozen=True)
class Task:
    """What a learner is to learn.

    Attributes:
        outputs: Which output stands for which class.
        settings: Of the training.
        rules: The protocol's.
        stream: The tiles of each step.
        seed: Of dropout.
        encoder: An encoder of its own that learns with it, or None where features come from a frozen one.
    """

    outputs: Outputs
    settings: TileSettings
    rules: Training
    stream: Stream
    seed: int
    encoder: TileEncoder | None = None


class Learner(ABC):
    """One training, which others may stand beside.

    Args:
        task: What to learn.
        model: What learns, on its device.
        loss: Modules whose state belongs to the training but that do not learn (running class weights).
        wants: What the model wants to see.
    """

    def __init__(self, task: Task, model: nn.Module, loss: nn.Module, wants: Wants) -> None:
        self.task, self.model, self.loss = task, model, loss
        self.wants = wants if task.encoder is None else Wants((), True, wants.instances, wants.ring_um)
        self.layers = tuple(dict.fromkeys(wants.layers))
        self.step = 0
        self.learning = nn.ModuleDict({"head": model})
        if task.encoder is not None:
            self.learning["encoder"] = task.encoder.module
        self.keeper = BestKeeper(self.learning, task.settings.patience, last_of_equals=task.rules.last_of_equals)
        self.optimiser = self._adamw()
        self.scheduler = self._schedule()
        self.log.optimised = self.optimised_names()
        self._total, self._since = torch.zeros((), device=self.device), 0

    @property
    def log(self) -> TrainingLog:
        """What happened so far."""
        return self.keeper.log

    @property
    def device(self) -> torch.device:
        """Where it learns."""
        return next(iter(self.model.parameters())).device

    def advance(self, batch: Batch) -> None:
        """One optimiser step."""
        self.model.train()
        self.loss.train()
        with seeded(_step_seed(self.task.seed, self.step)):
            with autocast(self.device, self.task.settings.precision):
                loss = self._loss(batch)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
        if self.task.settings.clip:
            nn.utils.clip_grad_norm_(
                [p for g in self.optimiser.param_groups for p in g["params"]], self.task.settings.clip
            )
        self.optimiser.step()
        self.scheduler.step()
        self._total, self._since, self.step = self._total + loss.detach(), self._since + 1, self.step + 1
        self.log.steps = self.step

    @property
    def due(self) -> bool:
        """Whether it is time to look at the validation part."""
        settings = self.task.settings
        return self.step % settings.validate_every == 0 or self.step >= self._last_step

    @property
    def done(self) -> bool:
        """Whether it is at its end: the last step, or patience spent (where the protocol says so, between epochs)."""
        between = not self.task.rules.stops_between_epochs or self.step % self.task.stream.steps_an_epoch == 0
        return (self.log.stopped_early and between) or self.step >= self._last_step

    def require_sound(self) -> None:
        """Stop a training that went astray.

        Raises:
            SettingError: The loss or a weight is no number any more.
        """
        weights = [p for group in self.optimiser.param_groups for p in group["params"]]
        if not all(bool(torch.isfinite(values).all()) for values in (self._total, *weights)):
            raise SettingError(
                f"the training went astray: its loss is no number by step {self.step}",
                remedy="Lower lr, clip gradients, or train with precision=fp32",
            )

    def look(self, score: float) -> None:
        """Note a validation score."""
        mean = float(self._total) / max(self._since, 1)
        self._total, self._since = torch.zeros_like(self._total), 0
        self.keeper.look(self.step, score, mean)

    def state(self) -> dict[str, Any]:
        """Everything needed to go on from here, as tensors and plain data."""
        return {
            "step": self.step,
            "learning": self.learning.state_dict(),
            "loss": self.loss.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "keeper": self.keeper.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`; one that does not fit changes nothing.

        Raises:
            KeyError, RuntimeError, TypeError, ValueError: It is no state of such a learner.
        """
        own = {part: copy.deepcopy(getattr(self, part).state_dict()) for part in ("learning", "loss")}
        before = self.state() | own
        try:
            self._restore(state)
        except BaseException:
            self._restore(before)
            raise

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.learning.load_state_dict(state["learning"])
        self.loss.load_state_dict(state["loss"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.keeper.load(state["keeper"])
        self.step = int(state["step"])

    def optimised_names(self, frozen: nn.Module | None = None) -> list[str]:
        """Names of the parameters that the optimiser holds.

        Args:
            frozen: An encoder that is to be frozen; whatever of it the optimiser holds is named `encoder.…`.
        """
        names = {id(p): name for name, p in self.learning.named_parameters()}
        if frozen is not None:
            names |= {id(p): f"encoder.{name}" for name, p in frozen.named_parameters()}
        held = {id(p) for group in self.optimiser.param_groups for p in group["params"]}
        return [name for number, name in names.items() if number in held]

    def kept(self) -> dict[str, Tensor]:
        """What is kept of the fitted model: the head, its standardisation, and what was learnt of an encoder."""
        tensors = dict(self.model.state_dict())
        if self.task.encoder is not None:
            tensors |= {f"encoder.{name}": p.detach() for name, p in learnt(self.task.encoder).items()}
        return tensors

    @abstractmethod
    def _loss(self, batch: Batch) -> Tensor:
        """The loss of a batch."""

    def _maps(self, batch: Batch) -> Mapping[str, Tensor]:
        """Features of a batch: those it came with, or those of the learner's own encoder."""
        if self.task.encoder is None:
            return batch.maps
        if batch.images is None:
            raise ValueError("a learner with an encoder of its own needs images")
        return self.task.encoder.encode_with_gradients(batch.images, self.layers)

    @property
    def _last_step(self) -> int:
        settings, epoch = self.task.settings, self.task.stream.steps_an_epoch
        if self.task.rules.stops_between_epochs:
            return -(-settings.steps // epoch) * epoch
        return settings.steps

    def _adamw(self) -> torch.optim.Optimizer:
        """AdamW; biases and norms are not decayed, unless the protocol says so."""
        settings, groups = self.task.settings, []
        rates = [(settings.lr, list(self.model.parameters()))]
        if self.task.encoder is not None:
            rates.append((settings.encoder_lr, list(learnt(self.task.encoder).values())))
        for rate, parameters in rates:
            for decayed in (True, False):
                chosen = [p for p in parameters if (self.task.rules.decays_all or p.ndim > 1) == decayed]
                if chosen:
                    groups.append(
                        {"params": chosen, "lr": rate, "weight_decay": settings.weight_decay if decayed else 0.0}
                    )
        return torch.optim.AdamW(groups)

    def _schedule(self) -> torch.optim.lr_scheduler.LambdaLR:
        settings = self.task.settings
        warmup = min(settings.warmup, settings.steps // 2)
        schedule = WarmupCosine(
            peak=settings.lr,
            warmup=warmup,
            period=settings.period or max(1, settings.steps - warmup),
            lowest=min(settings.lowest_lr, settings.lr),
            rises_again=self.task.rules.rate_rises_again,
        )
        return schedule.attach(self.optimiser)


class DenseLearner(Learner):
    """Learns logits in every pixel of nuclei.

    Args:
        task: What to learn.
        model: The head with its standardisation, on its device.
    """

    model: DenseModel

    def __init__(self, task: Task, model: DenseModel) -> None:
        settings, background = task.settings, int(task.outputs.ids[0]) == 0
        loss = PixelCrossEntropy(
            len(task.outputs),
            LossSettings(
                settings.label_smoothing, settings.class_weighting, softmaxed_weights=task.rules.softmaxed_weights
            ),
            background=background,
        )
        super().__init__(task, model, loss.to(model.image_mean.device), Wants(model.layers, images=True))
        self._targets = target_table(task.outputs).to(self.device)

    def _loss(self, batch: Batch) -> Tensor:
        if batch.images is None:
            raise ValueError("a dense learner needs images")
        logits = self.model(self._maps(batch), batch.images)
        loss: Tensor = self.loss(logits, self._targets[batch.labels])
        return loss


class ProbeLearner(Learner):
    """Learns to classify features pooled over the nuclei of augmented tiles.

    Args:
        task: What to learn.
        model: (n, C) pooled features to (n, K) logits, standardisation included.
        ring_um: Width of the ring of context in µm; 0 for none.
    """

    def __init__(self, task: Task, model: nn.Module, ring_um: float) -> None:
        settings = task.settings
        loss = PixelCrossEntropy(
            len(task.outputs),
            LossSettings(
                settings.label_smoothing, settings.class_weighting, softmaxed_weights=task.rules.softmaxed_weights
            ),
            background=int(task.outputs.ids[0]) == 0,
        )
        wants = Wants(("final",), instances=True, ring_um=ring_um)
        super().__init__(task, model, loss.to(next(iter(model.parameters())).device), wants)
        self._targets = target_table(task.outputs).to(self.device)

    def _loss(self, batch: Batch) -> Tensor:
        if batch.instances is None:
            raise ValueError("a probe needs nuclei")
        pooled = pool_tokens(self._maps(batch)["final"].float(), batch.instances, batch.rings)
        logits = self.model(pooled.means)
        loss: Tensor = self.loss(logits.T[None, :, None], self._class_of(batch, pooled.tiles, pooled.ids)[None, None])
        return loss

    def _class_of(self, batch: Batch, tiles: Tensor, ids: Tensor) -> Tensor:
        """(n,) output of each nucleus: that of any of its pixels, for a nucleus has one class."""
        if batch.instances is None:
            raise ValueError("a probe needs nuclei")
        base = int(ids.max()) + 1 if len(ids) else 1
        where = torch.arange(len(batch.instances), device=ids.device)[:, None, None] * base + batch.instances
        keys = tiles * base + ids
        flat, inside = where.flatten(), (batch.instances > 0).flatten()
        found = torch.searchsorted(keys, flat[inside])
        classes = torch.zeros(len(keys), dtype=torch.long, device=ids.device)
        classes[found] = batch.labels.flatten()[inside].long()
        return self._targets[classes]


def target_table(outputs: Outputs) -> Tensor:
    """(largest class id + 1,) output of each class id; `IGNORED` where there is none."""
    size = int(outputs.ids.max()) + 1
    table: NDArray[np.int64] = np.full(size, IGNORED, np.int64)
    table[outputs.ids] = np.arange(len(outputs))
    return torch.from_numpy(table)


def _step_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0] >> 1)
