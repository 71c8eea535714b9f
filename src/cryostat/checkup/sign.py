"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["good", "lacking", "bad", "unknown"]
"""`lacking` keeps something optional from working, `bad` keeps Cryostat from working, `unknown` was not looked at."""


@dataclass(frozen=True)
class Sign:
    """One thing that was looked at.

    Attributes:
        part: What it belongs to: `machine`, `disk`, `packages`, `hub` or `commands`.
        name: What it is.
        state: How it is.
        detail: What was seen.
        remedy: What to do about it, an imperative sentence without a full stop; empty when nothing.
    """

    part: str
    name: str
    state: State
    detail: str
    remedy: str = ""
