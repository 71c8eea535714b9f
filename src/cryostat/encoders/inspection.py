"""The passport of an encoder of any kind, by name: load it, run the self-test of its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from cryostat.core.errors import SettingError
from cryostat.encoders.passport import CheckReport
from cryostat.encoders.shelf import Kind, kind_of


@dataclass(frozen=True)
class Wish:
    """How an encoder is to be loaded and tested.

    Attributes:
        weights: A file, `hub`, `hub@COMMIT` or `random`; None for what its name implies.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: Arithmetic, or None for its own.
        seed: Of random weights and filters.
        batch: Inputs at once when speed is measured.
        seconds: How long to measure it.
    """

    weights: str | None = None
    device: str = "auto"
    precision: str | None = None
    seed: int = 0
    batch: int = 4
    seconds: float = 0.5


@dataclass(frozen=True)
class Inspection:
    """The passport of an encoder, and how it was loaded.

    Attributes:
        kind: Tile, slide, volume or text.
        report: What was tested.
        setting: Device, precision and batch.
        notes: What its card warns of.
    """

    kind: Kind
    report: CheckReport
    setting: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {"kind": self.kind, **self.report.as_json(), **self.setting}


def inspect(name: str, wish: Wish | None = None) -> Inspection:
    """Load an encoder and test it.

    Args:
        name: Of any encoder that comes with Cryostat, or as for `registry.card`; a card file, a folder of a language
            model, or `owner/model` of one in the hub's local cache.
        wish: How to load and test it.

    Raises:
        EncoderError: Weights are needed, missing, damaged or do not fit.
        SettingError: A name or setting is unknown.
    """
    return _WAYS[kind_of(name)](name, wish or Wish())


def _tile(name: str, wish: Wish) -> Inspection:
    from cryostat.encoders.registry import load_encoder
    from cryostat.encoders.tile import selftest

    encoder = load_encoder(name, weights=wish.weights, device=wish.device, precision=wish.precision, seed=wish.seed)
    report = selftest.check(encoder, batch=wish.batch, seconds=wish.seconds)
    return Inspection("tile", report, _setting(encoder.device, encoder.precision, wish.batch), encoder.card.notes)


SLIDE_BATCH = 64
"""Tiles of the slide on which speed is measured, for each of a batch."""


def _slide(name: str, wish: Wish) -> Inspection:
    _require_fp32(wish, "slide")
    from cryostat.encoders.slide import passport
    from cryostat.encoders.slide.registry import load_slide_encoder

    encoder = load_slide_encoder(name, wish.weights, wish.device, seed=wish.seed)
    report = passport.check(encoder, tiles=SLIDE_BATCH * wish.batch, seconds=wish.seconds)
    return Inspection("slide", report, _setting(encoder.device, "fp32", wish.batch), encoder.card.notes)


def _volume(name: str, wish: Wish) -> Inspection:
    from cryostat.encoders.volume import passport
    from cryostat.encoders.volume.registry import load_volume_encoder

    precision = "fp32" if wish.precision in (None, "auto") else str(wish.precision)
    encoder = load_volume_encoder(name, wish.weights, wish.device, precision=precision, seed=wish.seed)
    report = passport.check(encoder, batch=wish.batch, seconds=wish.seconds)
    device = getattr(encoder, "device", "cpu")
    return Inspection("volume", report, _setting(device, precision, wish.batch), encoder.card.notes)


def _text(name: str, wish: Wish) -> Inspection:
    _require_fp32(wish, "text")
    from cryostat.encoders.reading import normalised
    from cryostat.encoders.text import TEXT_CARDS, load_text_encoder, passport

    card = TEXT_CARDS.get(normalised(name))
    encoder = load_text_encoder(name, wish.weights, wish.device, seed=wish.seed)
    report = passport.check(encoder, card, batch=wish.batch, seconds=wish.seconds)
    device = getattr(encoder, "device", "cpu")
    return Inspection("text", report, _setting(device, "fp32", wish.batch), card.notes if card else ())


def _require_fp32(wish: Wish, kind: str) -> None:
    if wish.precision not in (None, "auto", "fp32"):
        raise SettingError(f"{kind} encoders compute in fp32 only", remedy="Leave out --precision")


def _setting(device: object, precision: str, batch: int) -> dict[str, Any]:
    return {"device": str(device), "precision": precision, "batch": batch}


_WAYS: Mapping[Kind, Callable[[str, Wish], Inspection]] = MappingProxyType(
    {"tile": _tile, "slide": _slide, "volume": _volume, "text": _text}
)
