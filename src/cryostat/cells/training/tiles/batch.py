"""What a step of training looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from cryostat.cells.training.tiles.streams import Stream


@dataclass(frozen=True)
class Wants:
    """What a learner wants to see.

    Attributes:
        layers: Maps of a frozen encoder.
        images: The pixels.
        instances: Which nucleus each pixel belongs to.
        ring_um: Width of the ring of context around each nucleus in µm; 0 for none.
    """

    layers: tuple[str, ...] = ()
    images: bool = False
    instances: bool = False
    ring_um: float = 0.0


@dataclass(frozen=True)
class Batch:
    """Some tiles, in the same order everywhere.

    Attributes:
        labels: (N, S, S) class ids, 0 for none.
        maps: Layer to (N, h, w, C) features of the frozen encoder.
        images: (N, 3, S, S) in 0 … 1, or None.
        instances: (N, S, S) nucleus ids, 0 outside, or None.
        rings: (N, S, S) ids of the nucleus whose ring of context a pixel is in, or None.
    """

    labels: Tensor
    maps: Mapping[str, Tensor] = field(default_factory=dict)
    images: Tensor | None = None
    instances: Tensor | None = None
    rings: Tensor | None = None


class Feed(Protocol):
    """Where batches come from."""

    def batch(self, stream: Stream, step: int, wants: Wants) -> Batch:
        """The batch of a step, on the device of the training."""
        ...

    def retire(self, stream: Stream) -> None:
        """A learner is done: its tiles are no longer needed."""
        ...

    def close(self) -> None:
        """No more batches will be asked for."""
        ...
