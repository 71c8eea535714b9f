"""The heads by name: what each one is, which layers it wants, and what can be set.

Nothing here needs torch, so that the command line can list heads at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

from cryostat.core.errors import SettingError
from cryostat.encoders.card import EncoderCard


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
    """Training of the linear head; a vector is a pixel.

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
    """Pooling and training of the cell probe; a vector is a nucleus.

    Attributes:
        ring_um: Width of the ring of context around each nucleus in µm; 0 for none.
        hidden: Width of a hidden layer; 0 makes the probe linear.
        dropout: On the standardised features and on the hidden layer.
    """

    ring_um: float = 4.0
    hidden: int = 0
    dropout: float = 0.0


@dataclass(frozen=True)
class HeadCard:
    """What a head is.

    Attributes:
        name: Name on the command line and in tables.
        about: One line.
        kind: `dense` (logits in every pixel) or `pooled` (one feature vector a nucleus).
        settings: Dataclass of its settings with their defaults.
    """

    name: str
    about: str
    kind: str
    settings: type[Any]

    def layers(self, card: EncoderCard) -> tuple[str, ...]:
        """The layers of an encoder that the head reads."""
        return ("final",)


HEADS: Mapping[str, HeadCard] = {
    card.name: card
    for card in (
        HeadCard("linear", "A 1×1 convolution on the token grid, enlarged to pixels", "dense", LinearSettings),
        HeadCard("cell-probe", "Features pooled over each nucleus and its surroundings", "pooled", CellProbeSettings),
    )
}


def head_card(name: str) -> HeadCard:
    """A head by name.

    Raises:
        SettingError: There is none of that name.
    """
    if name not in HEADS:
        raise SettingError(f"there is no head {name!r}", remedy=f"Choose one of: {', '.join(HEADS)}")
    return HEADS[name]


def head_settings(name: str, given: Mapping[str, Any] | None = None) -> Any:
    """The settings of a head, with some given as numbers or text.

    Raises:
        SettingError: A setting is unknown or not a number of the right kind.
    """
    kind = head_card(name).settings
    types = get_type_hints(kind)
    known = [f.name for f in fields(kind)]
    values: dict[str, Any] = {}
    for key, value in (given or {}).items():
        if key not in known:
            raise SettingError(f"head {name!r} has no setting {key!r}", remedy=f"Choose from: {', '.join(known)}")
        values[key] = _number(value, types[key], f"{name}.{key}")
    return kind(**values)


def _number(value: Any, kind: type[Any], where: str) -> Any:
    try:
        number = kind(value)
    except (TypeError, ValueError):
        number = None
    if number is None or float(number) != float(value) or number < 0:
        raise SettingError(f"{where} = {value!r} is not a non-negative {kind.__name__}", remedy="Give a plain number")
    return number
