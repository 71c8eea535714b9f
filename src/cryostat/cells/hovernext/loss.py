"""The loss of the instance decoder, and its sum with that of the classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from cryostat.cells.hovernext.targets import InstanceTargets
from cryostat.core.errors import SettingError

VECTOR_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mse": F.mse_loss, "smooth-l1": F.smooth_l1_loss}


@dataclass(frozen=True)
class InstanceLossSettings:
    """What the instance decoder is trained for; the defaults are those of HoVer-NeXt on Lizard.

    Attributes:
        weight: λ, share of the instance loss in the whole (PanNuke: 0.1). It is small because vectors are in px.
        part_weights: Weights of background, inside and border in the cross-entropy.
        label_smoothing: Of that cross-entropy (PanNuke: 0.1).
        vectors: Loss of the vectors, `mse` or `smooth-l1` (PanNuke).
    """

    weight: float = 0.02
    part_weights: tuple[float, float, float] = (1.0, 1.0, 2.0)
    label_smoothing: float = 0.0
    vectors: str = "mse"

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise SettingError(f"weight of the instance loss {self.weight}", remedy="Give a share from 0 to 1")
        if not 0 <= self.label_smoothing < 1:
            raise SettingError(f"label_smoothing {self.label_smoothing}", remedy="Give a value from 0 to less than 1")
        if len(self.part_weights) != 3 or not min(self.part_weights) > 0:
            raise SettingError(f"part_weights {self.part_weights}", remedy="Give three positive numbers")
        if self.vectors not in VECTOR_LOSSES:
            raise SettingError(f"vector loss {self.vectors!r}", remedy=f"Choose one of: {', '.join(VECTOR_LOSSES)}")


def instance_loss(vectors: Tensor, parts: Tensor, targets: InstanceTargets, settings: InstanceLossSettings) -> Tensor:
    """Loss of the vectors, a mean over all pixels, plus weighted cross-entropy of the parts.

    Args:
        vectors: (N, 2, H, W), any float type.
        parts: (N, 3, H, W) logits, any float type.
        targets: From `instance_targets`.
        settings: Form and weights.

    Returns:
        Scalar float32.

    Raises:
        SettingError: Maps and targets are of different shapes.
    """
    if vectors.shape != targets.vectors.shape or parts.shape[:1] + parts.shape[2:] != targets.parts.shape:
        raise SettingError(
            f"vectors {tuple(vectors.shape)} and parts {tuple(parts.shape)} for targets"
            f" {tuple(targets.vectors.shape)} and {tuple(targets.parts.shape)}",
            remedy="Make the targets from the instance maps of the very images",
        )
    parts = parts.float()
    return VECTOR_LOSSES[settings.vectors](vectors.float(), targets.vectors) + F.cross_entropy(
        parts,
        targets.parts,
        weight=parts.new_tensor(settings.part_weights),
        label_smoothing=settings.label_smoothing,
    )


def combined_loss(instance: Tensor, classes: Tensor, settings: InstanceLossSettings) -> Tensor:
    """λ · instance loss + (1 − λ) · class loss."""
    return settings.weight * instance + (1 - settings.weight) * classes
