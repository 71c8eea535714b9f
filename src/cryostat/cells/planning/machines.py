"""How fast machines are: this one, measured in a moment, and reference GPUs, from their data sheets."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cryostat.core.errors import SettingError

TRANSFORMER_SHARE = 0.6
"""Of the rate of large matrix products, what a vision transformer reaches (measured with a ViT-S on a CPU)."""

MEASURED_SECONDS = 0.15
"""Time given to each of the two measurements."""


@dataclass(frozen=True)
class Work:
    """Floating-point operations, by the kind of network that asks for them.

    Attributes:
        tokens: In transformers: matrix products.
        pixels: In convolutional networks, which reach a smaller part of a machine's speed.
    """

    tokens: float = 0.0
    pixels: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.tokens + other.tokens, self.pixels + other.pixels)

    def __mul__(self, times: float) -> Work:
        return Work(self.tokens * times, self.pixels * times)

    @property
    def flops(self) -> float:
        """All of them."""
        return self.tokens + self.pixels


@dataclass(frozen=True)
class Machine:
    """Operations a second, as networks reach them.

    Attributes:
        name: What it is.
        tokens: In transformers.
        pixels: In convolutional networks.
        basis: Where the numbers come from, for the reader.
    """

    name: str
    tokens: float
    pixels: float
    basis: str

    def seconds(self, work: Work) -> float:
        """Time for some work."""
        return work.tokens / self.tokens + work.pixels / self.pixels


PEAKS: Mapping[str, float] = MappingProxyType(
    {"T4": 65e12, "L4": 121e12, "RTX 4090": 165e12, "A100": 312e12, "H100": 989e12, "H200": 989e12}
)
"""GPU to its dense 16-bit operations a second by its data sheet."""

TOKENS_OF_PEAK, PIXELS_OF_PEAK = 0.40, 0.20
"""Assumed shares of that peak which transformers and convolutional networks reach in practice; nothing is measured."""


def reference_gpu(name: str) -> Machine:
    """A GPU of the table.

    Raises:
        SettingError: It is not in the table.
    """
    found = next((gpu for gpu in PEAKS if gpu.lower() == name.strip().lower()), None)
    if found is None:
        raise SettingError(f"there is no reference GPU {name!r}", remedy=f"Choose one of: {', '.join(PEAKS)}")
    basis = f"assumed: {TOKENS_OF_PEAK:.0%} (transformers) and {PIXELS_OF_PEAK:.0%} (convolutions) of its 16-bit peak"
    return Machine(found, PEAKS[found] * TOKENS_OF_PEAK, PEAKS[found] * PIXELS_OF_PEAK, basis)


def this_machine(device: str = "auto") -> Machine:
    """This machine, measured for a third of a second.

    Args:
        device: `auto`, `cpu`, `cuda` …; on a GPU in bf16, else in fp32.

    Raises:
        ModuleNotFoundError: torch is not installed.
    """
    import torch
    from torch.nn import functional as F

    target = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    kind, side, maps = (torch.bfloat16, 4096, 32) if target.type == "cuda" else (torch.float32, 512, 2)

    def wait() -> None:
        if target.type == "cuda":
            torch.cuda.synchronize(target)

    with torch.no_grad():
        matrix = torch.ones(side, side, device=target, dtype=kind)
        image = torch.ones(maps, 64, 112, 112, device=target, dtype=kind)
        kernel = torch.ones(64, 64, 3, 3, device=target, dtype=kind)
        products = _rate(lambda: matrix @ matrix, 2 * side**3, wait)
        convolutions = _rate(lambda: F.conv2d(image, kernel, padding=1), 2 * 9 * 64 * 64 * 112**2 * maps, wait)
    name = torch.cuda.get_device_name(target) if target.type == "cuda" else f"this machine ({target.type})"
    return Machine(name, products * TRANSFORMER_SHARE, convolutions, "measured just now, as busy as it is")


def _rate(call: Callable[[], object], flops: float, wait: Callable[[], None]) -> float:
    """Operations a second of a call: its quickest, as others may be using the machine."""
    call()
    wait()
    end, quickest = time.perf_counter() + MEASURED_SECONDS, float("inf")
    while time.perf_counter() < end or quickest == float("inf"):
        began = time.perf_counter()
        call()
        wait()
        quickest = min(quickest, time.perf_counter() - began)
    return flops / quickest
