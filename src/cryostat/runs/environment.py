"""What a run ran on."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

PACKAGES = (
    "cryostat",
    "numpy",
    "pandas",
    "peft",
    "scikit-image",
    "scikit-learn",
    "scipy",
    "segmentation-models-pytorch",
    "timm",
    "torch",
    "torchvision",
)


def environment() -> dict[str, Any]:
    """Python, packages, processor, threads, accelerator."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpu": gpu,
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


class Phases:
    """Seconds, and the process' peak memory by the end, of each phase of a run."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, float | None]] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time what happens inside; a phase entered twice adds up."""
        start = time.perf_counter()
        try:
            yield
        finally:
            before = self.entries.get(name, {}).get("seconds") or 0.0
            seconds = round(before + time.perf_counter() - start, 3)
            self.entries[name] = {"seconds": seconds, "peak_memory_mb": _peak_memory_mb()}


def _peak_memory_mb() -> float | None:
    """Highest resident memory so far; None on Windows, which does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 1024**2 if sys.platform == "darwin" else peak / 1024, 1)
