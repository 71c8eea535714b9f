"""What is known of an encoder before it is loaded."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from cryostat.cells.planning.flops import timm_flops, transformer_flops
from cryostat.cells.planning.machines import Machine, Work
from cryostat.cells.planning.obstacles import missing_packages, of_weights
from cryostat.cells.planning.stored import Encoder, resolved_name
from cryostat.cells.runs.spec import NO_ENCODER, RunSpec
from cryostat.core.errors import CryostatError
from cryostat.core.identity import code_version
from cryostat.encoders.card import EncoderCard
from cryostat.encoders.catalogue import Recipe
from cryostat.encoders.registry import TIMM, card, load_encoder, recipe_of
from cryostat.encoders.tile.base import TileEncoder
from cryostat.runs.obstacles import Obstacle

UNKNOWN = EncoderCard("unknown", "Unknown", "unknown", 224, 16, 0, 0)
"""In place of the card of an encoder that has none: its tiles are those of most."""

TIMED_TILES = 2
"""Tiles that pass a built-in encoder when it is timed."""


@dataclass(frozen=True)
class KnownEncoder:
    """An encoder as far as it is known.

    Attributes:
        name: As the study calls it.
        card: Its card, or None where there is none.
        recipe: How to build it; None without a card of ours.
        label: The name that it bears in stores and records.
        precision: Its arithmetic.
        obstacles: What keeps it from being loaded.
    """

    name: str
    card: EncoderCard | None
    recipe: Recipe | None
    label: str
    precision: str
    obstacles: tuple[Obstacle, ...]

    @cached_property
    def stored_as(self) -> Encoder:
        """What tells its features from those of others, except its weights."""
        return self.label, self.precision, _code(self.name, self.recipe) if self.card else ""

    def work(self, side: int, machine: Machine) -> Work | None:
        """Of one tile of `side` px through it; None where that cannot be known.

        Built-in encoders are neither transformers nor counted by torch: they are timed on noise, here.
        """
        if self.name == NO_ENCODER:
            return Work()
        if self.card is None:
            return None
        if self.recipe is not None and self.recipe.builtin:
            return Work(pixels=_timed(self.name, side) * machine.pixels)
        if self.card.depth:
            return Work(tokens=transformer_flops(self.card, side)) if self.card.parameters else None
        if self.recipe is not None and not self.recipe.timm:
            return None
        model = str(self.recipe.timm["model"]) if self.recipe and self.recipe.timm else self.name.removeprefix(TIMM)
        return Work(pixels=timm_flops(model, side))


def known_encoder(spec: RunSpec) -> KnownEncoder:
    """What is known of the encoder of a run."""
    name = spec.encoder
    if name == NO_ENCODER:
        return KnownEncoder(name, card(name), None, name, "fp32", ())
    try:
        recipe = recipe_of(name)
        facts = card(name)
    except CryostatError as error:
        return KnownEncoder(name, None, None, name, "", (Obstacle.of(error),))
    needs = [] if recipe and recipe.builtin else missing_packages(["timm"])
    weights = of_weights(recipe, name, spec.weights)
    label = resolved_name(facts.name, recipe, spec.weights)
    precision = spec.precision if spec.precision not in (None, "auto") else facts.precision
    return KnownEncoder(name, facts, recipe, label, precision or "fp32", (*needs, *weights))


def _code(name: str, recipe: Recipe | None) -> str:
    """Version of the code that encodes; empty where only loading would tell."""
    if recipe is not None and recipe.builtin:
        return str(_ready(name, 64)[0].identity().get("code"))
    if recipe is not None and recipe.way not in ("timm", "hf"):
        return ""
    from cryostat.encoders.tile.timm_models import TimmEncoder

    return code_version(TimmEncoder, TileEncoder)


def _ready(name: str, side: int) -> tuple[TileEncoder, torch.Tensor]:
    """A built-in encoder that has seen noise, and noise (N, 3, side, side) to encode."""
    noise = np.random.default_rng(0).random((TIMED_TILES, side, side, 3), np.float32)
    encoder = load_encoder(name, device="cpu")
    if encoder.learns_from_pixels:
        encoder.prepare(noise)
    return encoder, torch.from_numpy(noise).permute(0, 3, 1, 2)


def _timed(name: str, side: int) -> float:
    """Seconds that a tile takes a built-in encoder on this machine's processor."""
    encoder, images = _ready(name, side)
    encoder.encode(images[:1])
    began = time.perf_counter()
    encoder.encode(images)
    return (time.perf_counter() - began) / TIMED_TILES
