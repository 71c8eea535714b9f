"""Losses over pixels: weighted cross-entropy without background, and the focal loss of the HoVer-NeXt baseline."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from cryostat.cells.training.common import IGNORED
from cryostat.core.errors import SettingError

BACKGROUND = 0
"""The output that stands for background, where there is one; the pixels of it are left out of the loss."""


@dataclass(frozen=True)
class LossSettings:
    """What the pixel loss does.

    Attributes:
        label_smoothing: Share of the target spread over all outputs, 0 to 1.
        class_weighting: Whether rare classes count for more, by running inverse frequency.
        softmaxed_weights: The published quirk: the normalised weights go through a softmax, which leaves them almost
            equal and divides the loss by about the number of classes; they also weight the smoothing term, and the mean
            is over pixels. Without it the mean is weighted, so that each class counts by its weight alone.
        ema_factor: Share of the running pixel counts kept at each step.
        ema_start: Running count of every class before the first step, pixels.
    """

    label_smoothing: float = 0.05
    class_weighting: bool = True
    softmaxed_weights: bool = False
    ema_factor: float = 0.99
    ema_start: float = 1e-6

    def __post_init__(self) -> None:
        for name, most in (("label_smoothing", 1.0), ("ema_factor", 1.0)):
            if not 0 <= getattr(self, name) < most:
                raise SettingError(
                    f"{name} is {getattr(self, name)}", remedy=f"Give a value from 0 to less than {most:g}"
                )
        if self.ema_start <= 0:
            raise SettingError(f"ema_start is {self.ema_start}", remedy="Give a small positive number of pixels")


class RunningClassWeights(nn.Module):
    """Class weights from running pixel counts; the counts are part of the state, so that training can resume.

    Args:
        outputs: K, number of outputs.
        settings: Factor, start and form of the weights.
        background: Output 0 stands for background.
    """

    running: Tensor

    def __init__(self, outputs: int, settings: LossSettings, *, background: bool = True) -> None:
        super().__init__()
        self.settings, self.background = settings, background
        self.register_buffer("running", torch.full((outputs,), settings.ema_start))

    def update(self, targets: Tensor) -> None:
        """Move the running counts towards those of a batch of integer targets of any shape."""
        seen = targets[targets != IGNORED]
        counts = torch.bincount(seen.flatten(), minlength=len(self.running)).to(self.running)
        self.running.mul_(self.settings.ema_factor).add_(counts, alpha=1 - self.settings.ema_factor)

    def weights(self) -> Tensor:
        """(K,) weights now; background has no part in them but, in the published form, in their normalisation."""
        return self._published() if self.settings.softmaxed_weights else self._standard()

    def _published(self) -> Tensor:
        inverse = 1 / self.running
        shares = inverse / inverse.sum()
        if self.background:
            shares[BACKGROUND] = 0
        return shares.softmax(0)

    def _standard(self) -> Tensor:
        """Sum 1 over the classes seen so far: one never seen would take the whole sum."""
        inverse = torch.where(self.running > self.settings.ema_start, 1 / self.running, 0.0)
        if self.background:
            inverse[BACKGROUND] = 0
        return inverse / inverse.sum().clamp_min(1e-30)


class PixelCrossEntropy(nn.Module):
    """Cross-entropy over the pixels of nuclei.

    In training mode each call first updates the running class weights. Targets must keep background as 0 in the
    published form, where it takes part in normalising the weights; `IGNORED` pixels are left out everywhere.

    Args:
        outputs: K, number of outputs.
        settings: Smoothing and weighting.
        background: Output 0 stands for background; without, every output is a class.
    """

    def __init__(self, outputs: int, settings: LossSettings, *, background: bool = True) -> None:
        super().__init__()
        self.settings, self.background = settings, background
        self.classes = RunningClassWeights(outputs, settings, background=background)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of a batch.

        Args:
            logits: (N, K, H, W), any float type.
            targets: (N, H, W), integer output numbers, or `IGNORED`.

        Returns:
            Scalar float32; 0, with a gradient of zeros, when no pixel belongs to a class.
        """
        _must_match(logits, targets)
        logits, targets = logits.float(), targets.long()
        if self.training and self.settings.class_weighting:
            self.classes.update(targets)
        kept = torch.where(targets == BACKGROUND, IGNORED, targets) if self.background else targets
        return self._weighted_mean(logits, kept)

    def _weighted_mean(self, logits: Tensor, kept: Tensor) -> Tensor:
        counted = kept != IGNORED
        weights = self.classes.weights() if self.settings.class_weighting else None
        inside = weights if self.settings.softmaxed_weights else None
        loss = functional.cross_entropy(
            logits,
            kept,
            weight=inside,
            ignore_index=IGNORED,
            label_smoothing=self.settings.label_smoothing,
            reduction="none",
        )
        if weights is None or self.settings.softmaxed_weights:
            shares = counted.to(loss.dtype)
        else:
            shares = weights[kept.clamp_min(0)] * counted
        return (loss * shares).sum() / shares.sum().clamp_min(1e-30)


def focal_loss(
    logits: Tensor,
    targets: Tensor,
    gamma: float = 2.0,
    alpha: float = 1.0,
    *,
    background: bool = True,
    mean_over_all: bool = True,
) -> Tensor:
    """Focal loss as kornia defines it.

    Background is weighted by 1 − alpha and every class by alpha, so alpha 1 leaves background out of the sum.

    Args:
        logits: (N, K, H, W), any float type.
        targets: (N, H, W), integer output numbers; `IGNORED` pixels count as zero loss.
        gamma: Power of the share of probability that missed; 0 is cross-entropy.
        alpha: Weight of the classes, 0 to 1.
        background: Output 0 stands for background; without, every output is a class.
        mean_over_all: The published mean: over outputs as well as all pixels. Without it the mean is over the pixels of
            nuclei.

    Returns:
        Scalar float32.
    """
    _must_match(logits, targets)
    counted = targets != IGNORED
    truth = torch.where(counted, targets, 0).long().unsqueeze(1)
    log_likelihood = logits.float().log_softmax(1).gather(1, truth).squeeze(1)
    weight = counted * alpha
    if background:
        weight = torch.where(truth.squeeze(1) == BACKGROUND, 1 - alpha, weight) * counted
    loss = (-weight * (1 - log_likelihood.exp()) ** gamma * log_likelihood).sum()
    return loss / (logits.numel() if mean_over_all else (weight > 0).sum().clamp_min(1))


def _must_match(logits: Tensor, targets: Tensor) -> None:
    if logits.ndim != 4 or targets.shape != (len(logits), *logits.shape[2:]):
        raise SettingError(
            f"logits {tuple(logits.shape)} and targets {tuple(targets.shape)} do not belong together",
            remedy="Give logits as (N, K, H, W) and targets as (N, H, W)",
        )
