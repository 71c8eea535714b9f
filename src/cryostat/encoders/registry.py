"""Encoders by name: the built-in ones, those with a card, any timm model, and cards of one's own."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cryostat.core.errors import MissingExtraError, SettingError
from cryostat.core.extras import missing_extra
from cryostat.encoders.card import PRECISIONS, EncoderCard
from cryostat.encoders.catalogue import Recipe, read_recipe, shipped
from cryostat.encoders.loading import RANDOM, Order
from cryostat.encoders.plugins import is_plugin, plugin_recipe
from cryostat.encoders.reading import nearest, normalised

if TYPE_CHECKING:
    from cryostat.encoders.tile.base import TileEncoder

TIMM = "timm:"
"""Before the name of a timm model."""

LOADERS = {
    "builtin": "cryostat.encoders.tile.builtin:load",
    "timm": "cryostat.encoders.tile.timm_models:load",
    "hf": "cryostat.encoders.tile.hf_models:load",
    "conch": "cryostat.encoders.tile.conch:load",
    "musk": "cryostat.encoders.tile.musk:load",
    "plugin": "cryostat.encoders.tile.network:load",
    "folder": "cryostat.encoders.tile.folder_models:load",
}
"""Way of building (`catalogue.WAYS`) to the function, of a recipe and an order, that returns the encoder on the CPU."""

DEVICES = ("cpu", "cuda", "mps", "xpu")
"""Kinds of devices of torch that compute."""


def names() -> list[str]:
    """Names of the encoders that have a card; beside these there is every timm model."""
    return list(shipped())


def card(name: str) -> EncoderCard:
    """An encoder's card; only timm models without a card of ours need torch for it.

    Args:
        name: Registered name (case, spaces, hyphens and underscores do not matter), a timm name with or without
            `timm:` before and `+stageK` after it; or the path of a card file, of a Python file of one's own (`FILE.py`
            or `FILE.py:NAME`, which is run), or of a Hugging Face folder.

    Raises:
        SettingError: There is no such encoder.
    """
    recipe = recipe_of(name)
    return recipe.card if recipe else _derived(name)


def load_encoder(
    name: str,
    *,
    weights: Path | str | None = None,
    device: str = "auto",
    precision: str | None = None,
    seed: int = 0,
) -> TileEncoder:
    """Build an encoder, frozen.

    Args:
        name: As for `card`.
        weights: A `.safetensors` or torch file; `"hub"` for the card's pinned revision, `"hub@COMMIT"` for another;
            `"random"` for none. By default timm models without a card have random weights, said so in their name.
        device: `auto` takes a GPU where there is one.
        precision: `fp32`, `bf16` or `fp16`; the card's by default.
        seed: Of random weights and filters.

    Raises:
        EncoderError: Weights are needed, missing, damaged or do not fit.
        SettingError: A name or setting is unknown.
        MissingExtraError: torch or timm is not installed.
    """
    if precision not in (None, "auto", *PRECISIONS):
        raise SettingError(f"there is no precision {precision!r}", remedy=f"Choose one of: {', '.join(PRECISIONS)}")
    _require("torch")
    target = torch_device(device)
    chosen = None if precision == "auto" else precision
    recipe = recipe_of(name)
    if recipe is None:
        recipe, weights = Recipe(_derived(name), "timm", {"model": name.removeprefix(TIMM)}), weights or RANDOM
    order = Order(str(weights) if weights is not None else None, chosen, seed)
    return _loader(recipe.way)(recipe, order).to(target)


def _loader(way: str) -> Callable[[Recipe, Order], TileEncoder]:
    name, _, function = LOADERS[way].partition(":")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise missing_extra(error) or error from error
    found: Callable[[Recipe, Order], TileEncoder] = getattr(module, function)
    return found


def recipe_of(name: str) -> Recipe | None:
    """How to build an encoder; None for timm models without a card. A Python file of one's own is run.

    Args:
        name: As for `card`.
    """
    if name.endswith(".toml"):
        return read_recipe(Path(name))
    if is_plugin(name):
        return plugin_recipe(name)
    if path := shipped().get(normalised(name)):
        return read_recipe(path)
    return _folder_recipe(name) if (Path(name).expanduser() / "config.json").is_file() else None


def _folder_recipe(name: str) -> Recipe:
    for package in ("torch", "transformers"):
        _require(package)
    from cryostat.encoders.tile.folder_models import folder_recipe

    return folder_recipe(name)


def _derived(name: str) -> EncoderCard:
    _require("timm")
    from cryostat.encoders.tile.timm_models import derive_card, is_timm_name

    model = name.removeprefix(TIMM)
    if not is_timm_name(model):
        raise SettingError(
            f"there is no encoder {name!r}",
            remedy=f"{nearest(name, names())}Choose one of {', '.join(names())}, a timm model as timm:NAME, "
            "a card NAME.toml, your own FILE.py, or a Hugging Face folder",
        )
    return derive_card(model)


def _require(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(package, extra="encoders", purpose="Encoding images")


def torch_device(device: str) -> str:
    """The name of a device for torch: `auto` is a GPU where there is one.

    Raises:
        SettingError: There is no such device.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.device(device)
    except RuntimeError:
        found = torch.device("meta")
    if found.type not in DEVICES:
        raise SettingError(f"there is no device {device!r} to encode on", remedy="Use auto, cpu, cuda or cuda:N")
    if found.type == "cuda" and not torch.cuda.is_available():
        raise SettingError("torch sees no CUDA GPU", remedy="Use --device cpu, or install a CUDA build of torch")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise SettingError(
            f"there is no {device}: torch sees {torch.cuda.device_count()} GPUs", remedy="Number them from cuda:0"
        )
    return device
