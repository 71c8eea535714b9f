"""Heads: the small things trained on top of a frozen encoder."""

from __future__ import annotations

from cryostat.cells.heads.registry import HEADS, HeadCard, head_card, head_settings

__all__ = ["HEADS", "HeadCard", "head_card", "head_settings"]
