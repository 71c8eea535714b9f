"""Training modes: where the features of a head come from, and whether the encoder learns."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cryostat.cells.heads import HeadCard
from cryostat.cells.protocols import Protocol
from cryostat.core.errors import SettingError

KINDS = ("cached", "live", "finetune", "lora", "supervised")

LORA_RANK = 16
"""Rank of `lora` without a number."""

_REMEDY = "Write cached, cached:8 (a bank of eight views), live, finetune, or lora:16 (its rank)"


@dataclass(frozen=True)
class Mode:
    """One way to train.

    Attributes:
        kind: `cached` reads stored features; `live` passes augmented tiles through the frozen encoder; `finetune`
            trains the encoder as well, `lora` low-rank additions to it; `supervised` has no encoder.
        number: Views in the bank (`cached`) or rank (`lora`); 0 for the others.
    """

    kind: str
    number: int = 0

    @classmethod
    def parse(cls, text: str) -> Mode:
        """A mode from `kind` or `kind:number`.

        Raises:
            SettingError: There is no such mode, or its number makes no sense.
        """
        match = re.fullmatch(r"(\w+)(?::(\d+))?", text.strip())
        kind, number = match.groups() if match else ("", None)
        if kind not in KINDS or (number is not None and kind not in ("cached", "lora")) or number == "0":
            raise SettingError(f"there is no training mode {text!r}", remedy=_REMEDY)
        return cls(kind, int(number or {"cached": 1, "lora": LORA_RANK}.get(kind, 0)))

    def __str__(self) -> str:
        shown = self.kind == "lora" or (self.kind == "cached" and self.number > 1)
        return f"{self.kind}:{self.number}" if shown else self.kind

    @property
    def views(self) -> int:
        """Views in the bank of stored features."""
        return self.number if self.kind == "cached" else 1

    @property
    def tunes(self) -> bool:
        """Whether the encoder learns."""
        return self.kind in ("finetune", "lora")

    @property
    def frozen(self) -> bool:
        """Whether the encoder must not change."""
        return self.kind in ("cached", "live")


def resolve_mode(text: str | None, head: HeadCard, protocol: Protocol) -> Mode:
    """The mode of a run: as asked for, else the protocol's for that head.

    Raises:
        SettingError: The mode does not exist, or not for this head.
    """
    given = Mode.parse(text) if text else None
    if head.reads == "pixels":
        if given and given.kind != "supervised":
            raise SettingError(f"{head.name} has no encoder to be {given}", remedy="Leave out the mode")
        return Mode("supervised")
    if given and given.kind == "supervised":
        raise SettingError(f"{head.name} stands on an encoder", remedy=_REMEDY)
    return given or _usual(head, protocol)


def _usual(head: HeadCard, protocol: Protocol) -> Mode:
    if head.reads == "blocks" and protocol.training.decoders == "unfrozen":
        return Mode("finetune")
    if head.name == "linear" and protocol.training.linear == "tiles":
        return Mode("live")
    return Mode("cached", 1)
