"""Processor, memory, GPUs and disks."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cryostat.checkup.sign import Sign
from cryostat.core.home import Home

GB = 1e9

LITTLE_MEMORY = 8 * GB
"""Below this, encoders of a billion parameters do not fit beside the images."""

LITTLE_DISK = 20 * GB
"""Below this, the features of a few encoders fill the disk: a layer of one on Lizard takes about 3 GB."""

LITTLE_TMP = 1 * GB

VECTORS = ("avx512f", "avx2", "amx_bf16", "avx512_bf16", "asimd", "bf16")
"""Instructions of processors that torch makes use of."""


def processor() -> Sign:
    """Its name, cores and the instructions that matter."""
    flags = _flags()
    vectors = [name for name in VECTORS if name in flags]
    detail = f"{platform.machine()}, {_cores()} of {os.cpu_count()} cores" + (
        f", {' '.join(vectors)}" if vectors else ""
    )
    if platform.machine() in ("x86_64", "AMD64") and flags and "avx2" not in flags:
        return Sign("machine", "processor", "lacking", detail, "Expect long times: it lacks AVX2; use another machine")
    return Sign("machine", "processor", "good", detail)


def _flags() -> frozenset[str]:
    """Instruction sets, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    found = [line.partition(":")[2] for line in lines if line.lower().startswith(("flags", "features"))]
    return frozenset(found[0].split()) if found else frozenset()


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> Sign:
    """Of the machine, and what is free of it."""
    total, free = _memory()
    if total is None:
        return Sign("machine", "memory", "unknown", "the system does not tell")
    detail = f"{total / GB:.0f} GB" + (f", {free / GB:.0f} GB free" if free is not None else "")
    if (free if free is not None else total) < LITTLE_MEMORY:
        remedy = "Close other programs, or choose small encoders and a small --batch-size"
        return Sign("machine", "memory", "lacking", detail, remedy)
    return Sign("machine", "memory", "good", detail)


def _memory() -> tuple[int | None, int | None]:
    """Bytes in all and free; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        told = {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines if len(line.split()) > 1}
        return told.get("MemTotal"), told.get("MemAvailable")
    except (OSError, ValueError):
        pass
    if sys.platform == "win32":
        return None, None
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), None
    except (OSError, ValueError):
        return None, None


def gpus() -> list[Sign]:
    """Each GPU that torch sees: memory, free memory, bf16."""
    if importlib.util.find_spec("torch") is None:
        return [Sign("machine", "GPU", "unknown", "torch is not installed, so none can be seen")]
    import torch

    if torch.cuda.is_available():
        return [_gpu(number) for number in range(torch.cuda.device_count())]
    if shutil.which("nvidia-smi"):
        remedy = "Install a CUDA build of torch that fits the driver: see https://pytorch.org/get-started"
        return [Sign("machine", "GPU", "lacking", "there is a driver, but torch sees no GPU", remedy)]
    remedy = "None is needed; large encoders take minutes a field without one (cryostat plan tells)"
    return [Sign("machine", "GPU", "lacking", "none", remedy)]


def _gpu(number: int) -> Sign:
    import torch

    free, total = torch.cuda.mem_get_info(number)
    facts = torch.cuda.get_device_properties(number)
    half = "bf16" if facts.major >= 8 else "fp16 only"
    detail = f"{facts.name}, {total / GB:.0f} GB, {free / GB:.0f} GB free, {half}"
    if free < total / 4:
        remedy = f"Another program holds most of it: see nvidia-smi, or choose another with --device cuda:{number + 1}"
        return Sign("machine", f"GPU {number}", "lacking", detail, remedy)
    return Sign("machine", f"GPU {number}", "good", detail)


def disks(home: Home) -> Iterator[Sign]:
    """Free space where things are kept, and where drafts are made."""
    yield _disk("home", home.root, LITTLE_DISK, "Free some, or choose another folder with --home or CRYOSTAT_HOME")
    yield _disk("temporary", Path(tempfile.gettempdir()), LITTLE_TMP, "Free some, or set TMPDIR to a roomier folder")


def _disk(name: str, folder: Path, little: float, remedy: str) -> Sign:
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    detail = f"{folder}: {free / GB:.0f} GB free"
    if not os.access(there, os.W_OK):
        return Sign(
            "disk", name, "bad", f"{folder}: cannot be written to", "Choose another with --home or CRYOSTAT_HOME"
        )
    return Sign("disk", name, "good" if free >= little else "lacking", detail, "" if free >= little else remedy)
