"""Volume encoders by name."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cryostat.core.errors import MissingExtraError, SettingError
from cryostat.encoders.reading import nearest, normalised
from cryostat.encoders.registry import torch_device
from cryostat.encoders.volume.card import VolumeCard, VolumeRecipe, read_recipe, shipped
from cryostat.encoders.volume.order import VolumeOrder

if TYPE_CHECKING:
    from cryostat.encoders.volume.base import VolumeEncoder


def volume_encoder_names() -> list[str]:
    """Names of the volume encoders that have a card."""
    return list(shipped())


def volume_card(name: str) -> VolumeCard:
    """A volume encoder's card; needs neither torch nor nibabel.

    Args:
        name: Registered name, or the path of a card file.

    Raises:
        SettingError: There is no such encoder.
    """
    return _recipe(name).card


def load_volume_encoder(
    name: str,
    weights: Path | str | None = None,
    device: str = "auto",
    *,
    pooling: str = "series-mean",
    mode: str = "explicit",
    keep: float = 0.25,
    precision: str = "fp32",
    seed: int = 0,
) -> VolumeEncoder:
    """Build a volume encoder, frozen.

    Args:
        name: As for `volume_card`.
        weights: A `.safetensors` or torch file; `"hub"` for the card's repository, `"hub@COMMIT"` for a commit of it;
            `"random"` for none.
        device: `auto` takes a GPU where there is one.
        pooling: `series-mean`, `token-mean` or `tumour`.
        mode: Preprocessing, `explicit` or `compat` (as NeuroVFM's own program).
        keep: Part of a token that must be tissue, in mode explicit.
        precision: `fp32` or `bf16`.
        seed: Of random weights.

    Raises:
        EncoderError: Weights are needed, missing, damaged or do not fit.
        SettingError: A name or setting is unknown.
        MissingExtraError: nibabel or torch is not installed.
    """
    recipe = _recipe(name)
    order = VolumeOrder(None if weights is None else str(weights), pooling, mode, keep, precision, seed)
    _require("nibabel", "volumes")
    module, _, factory = recipe.factory.partition(":")
    if module not in BUILDERS:
        raise SettingError(
            f"there is no builder {module!r} of volume encoders", where=name, remedy=f"Use {', '.join(BUILDERS)}"
        )
    if BUILDERS[module]:
        _require("torch", "encoders")
        device = torch_device(device)
    build: Callable[[VolumeRecipe, VolumeOrder], VolumeEncoder] = getattr(importlib.import_module(module), factory)
    return build(recipe, order).to(device)


BUILDERS = {
    "cryostat.encoders.volume.transformer": True,
    "cryostat.encoders.volume.stats.encoder": False,
}
"""Modules that a card may name as its factory, and whether they need torch."""


def _recipe(name: str) -> VolumeRecipe:
    if name.endswith(".toml"):
        return read_recipe(Path(name))
    if path := shipped().get(normalised(name)):
        return read_recipe(path)
    raise SettingError(
        f"there is no volume encoder {name!r}",
        remedy=f"{nearest(name, shipped())}Choose one of {', '.join(shipped())}, or a card file NAME.toml",
    )


def _require(package: str, extra: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(package, extra=extra, purpose="Encoding volumes")
