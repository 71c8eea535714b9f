"""What can be set of a head and its training, as data; values come from files and command lines as text or numbers.

Nothing here needs torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_type_hints

from cryostat.core.errors import SettingError

COUNTS = frozenset({"steps", "batch", "validate_every", "patience", "window", "pixels", "features"})
"""Settings that are 1 or more."""

SHARES = frozenset({"label_smoothing", "dropout", "drop_path"})
"""Settings below 1."""


@dataclass(frozen=True)
class ClassifierSettings:
    """Training of any head that classifies feature vectors.

    Attributes:
        steps: Most optimiser steps.
        batch: Vectors a step.
        lr: Peak learning rate of AdamW, after a linear warm-up, followed by a cosine to 1 % of it.
        weight_decay: Of AdamW.
        label_smoothing: Of the cross-entropy.
        balance: Class weights are frequency to the power of −balance; 0 trusts the frequencies, 1 undoes them.
        validate_every: Steps between looks at the validation part.
        patience: Looks without a better validation macro F1 before training stops.
    """

    steps: int = 2000
    batch: int = 512
    lr: float = 5e-3
    weight_decay: float = 0.03
    label_smoothing: float = 0.05
    balance: float = 0.5
    validate_every: int = 50
    patience: int = 12


@dataclass(frozen=True)
class LinearSettings(ClassifierSettings):
    """Training of the linear head on stored features; a vector is a pixel.

    Attributes:
        pixels: Labelled pixels drawn from the training tiles.
    """

    steps: int = 1000
    batch: int = 4096
    validate_every: int = 100
    patience: int = 5
    pixels: int = 131_072


@dataclass(frozen=True)
class CellProbeSettings(ClassifierSettings):
    """Pooling and training of the cell probe on stored features; a vector is a nucleus.

    Attributes:
        ring_um: Width of the ring of context around each nucleus in µm; 0 for none.
        hidden: Width of a hidden layer; 0 makes the probe linear.
        dropout: On the standardised features and on the hidden layer.
    """

    ring_um: float = 4.0
    hidden: int = 0
    dropout: float = 0.0


@dataclass(frozen=True)
class TileSettings:
    """Training of a head on batches of tiles: the recipe of dense training.

    Attributes:
        steps: Most optimiser steps.
        batch: Tiles a step.
        lr: Peak learning rate of AdamW.
        encoder_lr: Peak learning rate of the encoder where it is trained.
        warmup: Steps of the linear rise from a tenth of the peak.
        period: Steps of the cosine after it; 0 for all that are left.
        lowest_lr: Where the cosine ends, at the latest.
        weight_decay: Of AdamW.
        label_smoothing: Of the cross-entropy.
        class_weighting: Rare classes count for more, by running inverse frequency of their pixels.
        balanced: Tiles of rare classes are drawn more often.
        clip: Longest gradient; 0 does not clip.
        augment: Tiles are augmented (where they pass the encoder during training).
        validate_every: Steps between looks at the validation part.
        patience: Looks without a better validation macro F1 before training stops.
        window: Steps whose tiles pass the encoder together; a tile drawn twice in a window is seen alike.
        precision: Arithmetic of training: bf16 by autocast, fp32, or auto (bf16 where the machine is fast at it).
    """

    steps: int = 2000
    batch: int = 16
    lr: float = 1e-3
    encoder_lr: float = 3e-5
    warmup: int = 100
    period: int = 0
    lowest_lr: float = 1e-6
    weight_decay: float = 0.03
    label_smoothing: float = 0.05
    class_weighting: bool = True
    balanced: bool = True
    clip: float = 2.0
    augment: bool = True
    validate_every: int = 100
    patience: int = 8
    window: int = 8
    precision: str = field(default="auto", metadata={"choices": ("auto", "bf16", "fp32")})


@dataclass(frozen=True)
class ProbeTileSettings(TileSettings):
    """Training of the cell probe on augmented tiles; the loss is over their nuclei.

    Attributes:
        ring_um: Width of the ring of context around each nucleus in µm; 0 for none.
        hidden: Width of a hidden layer; 0 makes the probe linear.
        dropout: On the standardised features and on the hidden layer.
    """

    lr: float = 5e-3
    ring_um: float = 4.0
    hidden: int = 0
    dropout: float = 0.0


@dataclass(frozen=True)
class LeanDPTSettings(TileSettings):
    """Training of the lean DPT.

    Attributes:
        features: Channels inside the decoder.
    """

    features: int = 256


@dataclass(frozen=True)
class HoverNeXtSettings(TileSettings):
    """The HoVer-NeXt baseline and its training.

    Attributes:
        backbone: ConvNeXtV2 by its timm name.
        weights: File of the backbone's weights; empty for none.
        instances: Also train the instance decoder, so that the model finds nuclei by itself.
        instance_weight: Share of the instance loss.
        gamma: Power of the focal loss.
        drop_path: Stochastic depth of the backbone.
    """

    lr: float = 1e-4
    backbone: str = "convnextv2_tiny"
    weights: str = ""
    instances: bool = True
    instance_weight: float = 0.1
    gamma: float = 2.0
    drop_path: float = 0.1


def parse_settings(kind: type[Any], given: Mapping[str, Any], owner: str) -> Any:
    """Settings of a dataclass, with some given as numbers, booleans or text.

    Raises:
        SettingError: A setting is unknown, or its value is of the wrong kind.
    """
    types, known = get_type_hints(kind), {f.name: f for f in fields(kind)}
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known:
            raise SettingError(f"head {owner!r} has no setting {key!r}", remedy=f"Choose from: {', '.join(known)}")
        values[key] = _value(value, types[key], known[key].metadata.get("choices"), f"{owner}.{key}")
    return kind(**values)


def _value(value: Any, kind: type[Any], choices: tuple[str, ...] | None, where: str) -> Any:
    if kind is bool:
        return _truth(value, where)
    if kind is str:
        if choices and str(value) not in choices:
            raise SettingError(f"{where} = {value!r} is not known", remedy=f"Choose one of: {', '.join(choices)}")
        return str(value)
    return _number(value, kind, where)


def _truth(value: Any, where: str) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    text = str(value).strip().lower()
    if text not in known:
        raise SettingError(f"{where} = {value!r} is neither true nor false", remedy="Write true or false")
    return known[text]


def _number(value: Any, kind: type[Any], where: str) -> Any:
    try:
        number = kind(value)
    except (TypeError, ValueError):
        number = None
    if number is None or float(number) != float(value) or not 0 <= number < math.inf:
        raise SettingError(f"{where} = {value!r} is not a non-negative {kind.__name__}", remedy="Give a plain number")
    name = where.rpartition(".")[2]
    if name in COUNTS and number < 1:
        raise SettingError(f"{where} = {value!r} leaves nothing to do", remedy="Give 1 or more")
    if name in SHARES and number >= 1:
        raise SettingError(f"{where} = {value!r} is no share", remedy="Give a number from 0 to less than 1")
    return number
