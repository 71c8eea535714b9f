"""Encoders by name: the built-in ones, those with a card, any timm model, and cards of one's own."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryostat.core.errors import EncoderError, MissingExtraError, SettingError
from cryostat.encoders.card import EncoderCard
from cryostat.encoders.catalogue import PRECISIONS, Recipe, normalised, read_recipe, shipped

if TYPE_CHECKING:
    from cryostat.encoders.tile.base import TileEncoder

TIMM = "timm:"


def names() -> list[str]:
    """Names of the encoders that have a card; beside these there is every timm model."""
    return list(shipped())


def card(name: str) -> EncoderCard:
    """An encoder's card; only timm models without a card of ours need torch for it.

    Args:
        name: Registered name (case, spaces, hyphens and underscores do not matter), a timm name with or without
            `timm:` before and `+stageK` after it, or the path of a card file.

    Raises:
        SettingError: There is no such encoder.
    """
    recipe = _recipe(name)
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
    target = _device(device)
    chosen = None if precision == "auto" else precision
    recipe = _recipe(name)
    if recipe is None:
        bare = Recipe(_derived(name), timm={"model": name.removeprefix(TIMM)})
        return _timm(bare, weights or "random", chosen, seed).to(target)
    build = _builtin if recipe.builtin else _timm
    return build(recipe, weights, chosen, seed).to(target)


def _recipe(name: str) -> Recipe | None:
    """The card file of a name; None for timm models without one."""
    if name.endswith(".toml"):
        return read_recipe(Path(name))
    path = shipped().get(normalised(name))
    return read_recipe(path) if path else None


def _derived(name: str) -> EncoderCard:
    _require("timm")
    from cryostat.encoders.tile.timm_models import derive_card, is_timm_name

    model = name.removeprefix(TIMM)
    if not is_timm_name(model):
        close = difflib.get_close_matches(normalised(name), names(), 1)
        hint = f"Did you mean {close[0]}? " if close else ""
        raise SettingError(
            f"there is no encoder {name!r}",
            remedy=f"{hint}Choose one of {', '.join(names())}, a timm model as timm:NAME, or a card file NAME.toml",
        )
    return derive_card(model)


def _require(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(package, extra="encoders", purpose="Encoding images")


def _device(device: str) -> str:
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise SettingError(f"there is no device {device!r}", remedy="Use auto, cpu, cuda or cuda:N") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise SettingError("torch sees no CUDA GPU", remedy="Use --device cpu, or install a CUDA build of torch")
    return device


def _builtin(recipe: Recipe, weights: Path | str | None, precision: str | None, seed: int) -> TileEncoder:
    facts, settings = recipe.card, recipe.builtin or {}
    if weights not in (None, "random"):
        raise SettingError(f"{facts.name} has no weights to load", remedy="Leave out --weights")
    if precision not in (None, "fp32"):
        raise SettingError(f"{facts.name} computes in fp32 only", remedy="Leave out --precision")
    module, _, factory = str(settings["factory"]).partition(":")
    build: Callable[..., TileEncoder] = getattr(importlib.import_module(module), factory)
    return build(_seeded(facts, seed), seed) if settings.get("seeded") else build(facts)


def _seeded(facts: EncoderCard, seed: int) -> EncoderCard:
    return replace(facts, name=f"{facts.name}@seed{seed}") if seed else facts


def _timm(recipe: Recipe, weights: Path | str | None, precision: str | None, seed: int) -> TileEncoder:
    _require("timm")
    from cryostat.encoders.tile.timm_models import TimmEncoder, build, build_random

    facts, settings = recipe.card, recipe.timm or {}
    model, arguments = str(settings["model"]), dict(settings.get("args", {}))
    untrained_on_purpose = settings.get("weights") == "random"
    chosen = weights or settings.get("weights")
    if chosen is None:
        raise _needs_weights(facts)
    if chosen == "random":
        module = build_random(model, arguments, seed, where=facts.name)
        facts = _seeded(facts, seed) if untrained_on_purpose else replace(facts, name=f"{facts.name}@random{seed}")
    else:
        module = build(model, arguments, where=facts.name)
        facts = _load(module, facts, str(chosen))
    return TimmEncoder(facts, module, model=model, arguments=arguments, precision=precision or facts.precision)


def _load(module: Any, facts: EncoderCard, weights: str) -> EncoderCard:
    """Load weights strictly; the card notes a prefix that had to be taken off their names."""
    from cryostat.encoders.weights import download_weights, fit_weights, read_weights

    source, _, revision = weights.partition("@")
    path = download_weights(facts, revision or None) if source == "hub" else Path(weights)
    classifier = module.pretrained_cfg.get("classifier")
    prefix = fit_weights(module, read_weights(path), path, classifier if isinstance(classifier, str) else "")
    note = f"The prefix {prefix!r} was taken off the tensor names of {path.name}."
    return replace(facts, notes=(*facts.notes, note)) if prefix else facts


def _needs_weights(facts: EncoderCard) -> EncoderError:
    consent = " (gated: accept its terms there first)" if facts.gated else ""
    return EncoderError(
        f"{facts.name} needs its weights",
        where=facts.hub_id,
        remedy=f"Pass a file with --weights PATH, or --weights hub to download {facts.hub_id}{consent}; "
        "--weights random measures the bare architecture, named so in the results",
    )
