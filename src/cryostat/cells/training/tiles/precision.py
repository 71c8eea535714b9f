"""Arithmetic of training."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path

import torch

FAST_ON_CPU = ("avx512_bf16", "amx_bf16", "avx512_bf16_vl")
"""Processor flags that make bf16 faster than single precision."""


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Autocast as a setting asks: `fp32` never, `bf16` always, `auto` where it is fast."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=resolved(device, precision) == "bf16")


def resolved(device: torch.device, precision: str) -> str:
    """`bf16` or `fp32`."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if device.type == "cpu" and _cpu_is_fast_at_bf16() else "fp32"


@cache
def _cpu_is_fast_at_bf16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return False
    return any(flag in FAST_ON_CPU for flag in flags)
