"""Python and the packages: which are here, which commands lack some, and what installs them."""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata

from cryostat.checkup.sign import Sign
from cryostat.core.extras import EXTRAS

OLDEST = (3, 11)

DISTRIBUTIONS = {
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "umap": "umap-learn",
    "openslide": "openslide-python",
}
"""Import name to the name of the package, where more than hyphens differ."""

BASE = ("numpy", "pandas", "scipy", "skimage", "sklearn", "pyarrow", "tifffile", "PIL", "filelock", "click", "rich")
"""What every command needs."""

ENCODING = ("torch", "torchvision", "timm", "safetensors")

COMMANDS: Mapping[str, tuple[str, ...]] = {
    "data, score, segmentation, results": (),
    "demo, run, features extract, plan": ENCODING,
    "run with --mode lora:R": (*ENCODING, "peft"),
    "run with --head hovernext": (*ENCODING, "segmentation_models_pytorch"),
    "data import of .h5, .lmdb, .xlsx": ("h5py", "lmdb", "openpyxl"),
    "Hugging Face folders, text encoders": ("torch", "transformers", "safetensors", "huggingface_hub"),
    "weights from the hub": ("huggingface_hub", "safetensors"),
    "volume encoders": ("torch", "nibabel"),
}
"""What a user may want to do, and the optional packages that it needs."""


def python() -> Sign:
    """The interpreter."""
    detail = f"{platform.python_implementation()} {platform.python_version()}"
    if sys.version_info < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        return Sign("packages", "Python", "bad", detail, f"Install Python {wanted} or newer")
    return Sign("packages", "Python", "good", detail)


def packages() -> Iterator[Sign]:
    """Cryostat, what it always needs, and its extras."""
    lacking = [package for package in BASE if not _here(package)]
    detail = ", ".join(f"{_distribution(package)} {version_of(package)}" for package in ("cryostat", *BASE[:4]))
    if lacking:
        names = ", ".join(map(_distribution, lacking))
        yield Sign(
            "packages", "base", "bad", f"lacks {names}", "Install it again: pip install --force-reinstall cryostat"
        )
    else:
        yield Sign("packages", "base", "good", detail)
    for extra in sorted(set(EXTRAS.values())):
        yield _extra(extra, [package for package, brought in sorted(EXTRAS.items()) if brought == extra])


def _extra(extra: str, wanted: list[str]) -> Sign:
    lacking = [package for package in wanted if not _here(package)]
    here = ", ".join(f"{_distribution(p)} {version_of(p)}" for p in wanted if p not in lacking)
    if lacking:
        detail = f"lacks {', '.join(map(_distribution, lacking))}" + (f"; has {here}" if here else "")
        return Sign("packages", extra, "lacking", detail, pip(extra))
    return Sign("packages", extra, "good", here)


def commands() -> Iterator[Sign]:
    """What a user may want to do, and what it lacks."""
    for name, wanted in COMMANDS.items():
        lacking = [package for package in wanted if not _here(package)]
        if not lacking:
            yield Sign("commands", name, "good", "has all that it needs")
            continue
        extras = dict.fromkeys(EXTRAS.get(package, "encoders") for package in lacking)
        yield Sign("commands", name, "lacking", f"lacks {', '.join(map(_distribution, lacking))}", pip(*extras))


def pip(*extras: str) -> str:
    """The command that installs extras."""
    return f"Run: pip install 'cryostat[{','.join(extras)}]'"


def _here(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def version_of(package: str) -> str:
    """Its version; `?` for one that is here without telling."""
    try:
        return metadata.version(_distribution(package))
    except metadata.PackageNotFoundError:
        return "?"


def _distribution(package: str) -> str:
    return DISTRIBUTIONS.get(package, package.replace("_", "-"))
