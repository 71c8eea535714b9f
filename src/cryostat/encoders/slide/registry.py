"""Slide encoders by name, and which tile encoders they go with."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cryostat.core.errors import MissingExtraError, SettingError
from cryostat.encoders.card import EncoderCard
from cryostat.encoders.loading import needs_weights
from cryostat.encoders.reading import nearest, normalised
from cryostat.encoders.registry import torch_device
from cryostat.encoders.slide.card import SlideCard
from cryostat.encoders.slide.catalogue import CARDS, SlideRecipe, read_recipe, shipped

if TYPE_CHECKING:
    from cryostat.encoders.slide.base import SlideEncoder
    from cryostat.encoders.slide.longnet import LongNetSettings


def slide_names() -> list[str]:
    """Names of the slide encoders."""
    return list(shipped())


def slide_card(name: str) -> SlideCard:
    """A slide encoder's card, read without torch.

    Args:
        name: Registered name (case, spaces, hyphens and underscores do not matter), or the path of a card file.

    Raises:
        SettingError: There is no such slide encoder.
    """
    return _recipe(name).card


def _recipe(name: str) -> SlideRecipe:
    if name.endswith(".toml"):
        return read_recipe(Path(name))
    if path := shipped().get(normalised(name)):
        return read_recipe(path)
    raise SettingError(
        f"there is no slide encoder {name!r}",
        remedy=f"{nearest(name, slide_names())}Choose one of {', '.join(slide_names())}, or a card file NAME.toml",
    )


def require_pair(tile: EncoderCard | str, slide: SlideCard | str) -> None:
    """Refuse a slide encoder that does not understand a tile encoder's features.

    Equal width is not enough: UNI2-h is as wide as Prov-GigaPath and means something else by every channel.

    Args:
        tile: Card or name of the tile encoder; what follows an `@` in the name (random weights, a seed) is passed over.
        slide: Card or name of the slide encoder.

    Raises:
        SettingError: They do not belong together.
    """
    facts = slide_card(slide) if isinstance(slide, str) else slide
    name = tile if isinstance(tile, str) else tile.name
    wide = None if isinstance(tile, str) else tile.width
    if facts.tile_encoder is not None and normalised(name.partition("@")[0]) != facts.tile_encoder:
        raise SettingError(
            f"{facts.name} was trained on features of {facts.tile_encoder} and means nothing on those of {name}",
            remedy=f"Encode the tiles with {facts.tile_encoder}, or choose {_any_tiles()} for the slides",
        )
    if wide is not None and facts.width_in not in (None, wide):
        raise SettingError(
            f"{facts.name} takes tiles of {facts.width_in} channels, {name} gives {wide}",
            remedy="Correct the width in one of the two cards",
        )


def _any_tiles() -> str:
    return ", ".join(name for name in slide_names() if slide_card(name).tile_encoder is None)


def load_slide_encoder(
    name: str,
    weights: Path | str | None = None,
    device: str = "auto",
    *,
    layer: str | None = None,
    pooling: str | None = None,
    order: str = "row-major",
    tile_encoder: EncoderCard | str | None = None,
    seed: int = 0,
) -> SlideEncoder:
    """Build a slide encoder, frozen.

    Args:
        name: As for `slide_card`.
        weights: A `.safetensors` or torch file; `"hub"` for the card's pinned revision, `"hub@COMMIT"` for another;
            `"random"` for none, said so in its name.
        device: `auto` takes a GPU where there is one.
        layer: Reading of the final layer: `last-state` (default), `encoder-norm`, `penultimate`, or `state-K`.
        pooling: `mean` (default) or `cls`.
        order: `row-major`, or `as-given` to repeat what other programs did.
        tile_encoder: The encoder of the tiles, refused unless the two belong together.
        seed: Of random weights.

    Raises:
        EncoderError: Weights are needed, missing, damaged or do not fit.
        SettingError: A name or setting is unknown, or the tile encoder is another.
        MissingExtraError: torch is not installed.
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError("torch", extra="encoders", purpose="Encoding slides")
    recipe = _recipe(name)
    if tile_encoder is not None:
        require_pair(tile_encoder, recipe.card)
    target = torch_device(device)
    if recipe.way == "pooling":
        return _pooling(recipe, weights, layer, pooling, order).to(target)
    return _longnet(recipe, weights, layer or "last-state", pooling or "mean", order, seed).to(target)


def _pooling(
    recipe: SlideRecipe, weights: Path | str | None, layer: str | None, pooling: str | None, order: str
) -> SlideEncoder:
    from cryostat.encoders.slide.pooling import PoolingEncoder

    given = {"weights": weights not in (None, "random"), "layer": layer is not None, "pooling": pooling is not None}
    if superfluous := [setting for setting, is_given in given.items() if is_given]:
        raise SettingError(
            f"{recipe.card.name} has no {superfluous[0]} to choose", remedy=f"Leave {superfluous[0]} out"
        )
    return PoolingEncoder(recipe.card, str(recipe.settings.get("rule")), order)


def _longnet(
    recipe: SlideRecipe, weights: Path | str | None, layer: str, pooling: str, order: str, seed: int
) -> SlideEncoder:
    import torch

    from cryostat.encoders.slide.gigapath import GigaPathSlideEncoder, require_sense
    from cryostat.encoders.slide.longnet import GigaPathNetwork, initialise
    from cryostat.encoders.weights import load_weights

    card = recipe.card
    settings = longnet_settings(recipe)
    if weights is None:
        raise needs_weights(card)
    # Made without memory: choices are checked before a file is read, and nothing is drawn that a file replaces.
    with torch.device("meta"):
        network = GigaPathNetwork(settings).eval().requires_grad_(False)
    require_sense(card, network, layer, pooling)
    network = network.to_empty(device="cpu")
    if weights == "random":
        initialise(network, seed)
        card = replace(card, name=f"{card.name}@random{seed}")
    else:
        card = load_weights(network, card, str(weights))
    return GigaPathSlideEncoder(card, network, layer=layer, pooling=pooling, order=order)


def longnet_settings(recipe: SlideRecipe) -> LongNetSettings:
    """The architecture that a card's [longnet] states.

    Raises:
        SettingError: A setting is unknown, of the wrong type, or impossible.
    """
    from cryostat.encoders.slide.longnet import LongNetSettings

    name, section = recipe.card.name, "[longnet] "
    facts = CARDS.checked(LongNetSettings, recipe.settings, name, section)
    for field, value in facts.items():
        if min(value if isinstance(value, tuple) else (value,), default=0) < 1:
            raise CARDS.wrong(name, f"{section}{field} = {value!r} is not positive")
    settings = LongNetSettings(**facts)
    if fault := settings.fault():
        raise CARDS.wrong(name, f"{section}{fault}")
    return settings
