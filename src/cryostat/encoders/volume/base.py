"""The one interface of volume encoders: the series of a patient in, one vector out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import EncoderError, InputError
from cryostat.encoders.volume.card import VolumeCard
from cryostat.encoders.volume.volume import Volume


@dataclass(frozen=True, eq=False)
class VolumeEmbedding:
    """What an encoder says of a patient's series.

    Attributes:
        vector: (width,) float32, one for the patient.
        per_series: (S, width) float32, one for each series.
        series: Names of the series.
        features: What each number of a vector is, unit included; empty where they have no names.
        facts: For each series, how it went: tokens kept, rule of the background, notes and the like.
    """

    vector: NDArray[np.float32]
    per_series: NDArray[np.float32]
    series: tuple[str, ...]
    features: tuple[str, ...] = ()
    facts: tuple[Mapping[str, Any], ...] = ()


class VolumeEncoder(ABC):
    """A frozen encoder of volumes.

    Subclasses set `card` and write `identity`, `weights_hash` and `_embed`.

    Attributes:
        card: Its facts.
    """

    card: VolumeCard

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """All that determines its output: name, hash of the weights, preprocessing, pooling, code, precision."""

    @abstractmethod
    def weights_hash(self) -> str:
        """Hex SHA-256 of all tensors as they are now; empty where there are none."""

    @abstractmethod
    def _embed(self, series: Sequence[Volume]) -> VolumeEmbedding:
        """The embedding of at least one series."""

    def to(self, device: str) -> VolumeEncoder:
        """Move to a device; encoders without tensors stay where they are."""
        return self

    @final
    def encode(self, series: Sequence[Volume]) -> VolumeEmbedding:
        """Encode the series of one patient.

        Args:
            series: In any number from one on, with different names; their order does not change the vector.

        Raises:
            InputError: There is none, two have one name, or one cannot be encoded.
            EncoderError: The encoder breaks its contract.
        """
        names = [volume.name for volume in series]
        if not names:
            raise InputError("there is no series to encode", remedy="Pass at least one volume of the patient")
        if doubled := {name for name in names if names.count(name) > 1}:
            raise InputError(
                f"two series are named {min(doubled)!r}",
                where=next(volume.where for volume in series if volume.name in doubled),
                remedy="Give each series of a patient a name of its own",
            )
        order = sorted(range(len(names)), key=names.__getitem__)
        found = self._embed([series[i] for i in order])
        self._check(found, len(names))
        back = np.argsort(order)
        return VolumeEmbedding(
            found.vector,
            found.per_series[back],
            tuple(names),
            found.features,
            tuple(found.facts[i] for i in back) if found.facts else (),
        )

    def _check(self, found: VolumeEmbedding, count: int) -> None:
        width = self.card.width
        if found.vector.shape != (width,) or found.per_series.shape != (count, width):
            raise EncoderError(
                f"{self.card.name} returned {found.vector.shape} and {found.per_series.shape} for {count} series, "
                f"its card says {width} channels",
                remedy="Correct the width in the card",
            )
        if not (np.isfinite(found.vector).all() and np.isfinite(found.per_series).all()):
            raise EncoderError(
                f"{self.card.name} returned numbers that are not finite",
                remedy="Use precision fp32, and check that the weights are whole",
            )
