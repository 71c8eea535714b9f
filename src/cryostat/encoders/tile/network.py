"""Any network that gives tokens, as a tile encoder; first of all those of users' own files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cryostat.core.errors import EncoderError, SettingError
from cryostat.core.identity import code_version
from cryostat.encoders.card import EncoderCard
from cryostat.encoders.catalogue import Recipe
from cryostat.encoders.loading import RANDOM, Order, fitted, needs_weights, random_network
from cryostat.encoders.plugins import users_code, users_error
from cryostat.encoders.tile.base import TileEncoder
from cryostat.encoders.weights import tensors_sha256


def load(recipe: Recipe, order: Order) -> NetworkEncoder:
    """The network that a user's file builds, with the weights that are asked for, else those that it declares.

    Raises:
        EncoderError: The file's code ends in an error, gives no network, or the weights are missing or do not fit.
        SettingError: Random weights are asked of a file that loads its own.
    """
    settings, file = recipe.settings, Path(recipe.settings["file"])

    def build() -> nn.Module:
        with users_code(file, "building the model", settings["helpers"]):
            return _network(settings["thing"](), recipe.card, settings["blocks"], file)

    if order.weights == RANDOM and settings["loads_weights"]:
        raise SettingError("loads its own weights, so they cannot be random", where=file, remedy="Leave out --weights")
    if order.weights is None and "weights" not in settings:
        module, card = random_network(build, order.seed), recipe.card
        if module.state_dict() and not settings["loads_weights"]:
            raise _needs_weights(recipe.card, file)
    else:
        module, card = fitted(recipe, order, build, names="the names of your model's own state_dict()")
    parameters = sum(p.numel() for p in module.parameters())
    origin = {"file": settings["version"], "thing": settings["thing"].__qualname__}
    return NetworkEncoder(
        _counted(card, parameters), module, settings["blocks"], origin, file, order.precision or card.precision
    )


def _needs_weights(card: EncoderCard, file: Path) -> EncoderError:
    error = needs_weights(card)
    remedy = f"{error.remedy}; or let the file say weights='FILE' for one beside it, or loads_weights=True"
    return EncoderError(error.problem, where=file, remedy=remedy)


def _counted(card: EncoderCard, parameters: int) -> EncoderCard:
    return replace(card, parameters=parameters or None)


def _network(thing: Any, card: EncoderCard, blocks: str, file: Path) -> nn.Module:
    """What was built, if it is a network that can be hashed and whose blocks are where they are said to be."""
    if not isinstance(thing, nn.Module):
        raise EncoderError(
            f"gave a {type(thing).__name__} where a torch.nn.Module is needed",
            where=file,
            remedy="Mark a class derived from torch.nn.Module, or a function that returns such a model",
        )
    for name, part in thing.named_modules():
        if loose := [key for key, value in vars(part).items() if isinstance(value, Tensor)]:
            raise EncoderError(
                f"has a tensor that is neither parameter nor buffer: {'.'.join(filter(None, (name, loose[0])))}",
                where=file,
                remedy="Register it with register_buffer, so that it follows the device and is part of the identity",
            )
    if blocks:
        _require_blocks(thing, card.depth, blocks, file)
    return thing


def _require_blocks(module: nn.Module, depth: int, blocks: str, file: Path) -> None:
    try:
        found = module.get_submodule(blocks)
    except AttributeError:
        found = None
    if not isinstance(found, nn.ModuleList | nn.Sequential) or len(found) != depth:
        has = f"{len(found)} of them" if isinstance(found, nn.ModuleList | nn.Sequential) else "no such list"
        raise EncoderError(
            f"says that {blocks!r} is a list of {depth} blocks, the model has {has}",
            where=file,
            remedy="Correct depth and blocks in @cryostat.tile_encoder(...)",
        )


class NetworkEncoder(TileEncoder):
    """A network that gives tokens or a map.

    Args:
        card: Its facts.
        module: The network, frozen.
        blocks: Name of its list of blocks; empty for none.
        origin: What else than its tensors determines it, for the identity.
        file: Where it comes from, for messages.
        precision: Arithmetic.
    """

    def __init__(
        self,
        card: EncoderCard,
        module: nn.Module,
        blocks: str,
        origin: Mapping[str, Any],
        file: Path,
        precision: str,
    ) -> None:
        self.card, self.module, self.precision = card, module, precision
        self._blocks, self._origin, self._file = blocks, dict(origin), file
        # Buffers that are not saved may differ too.
        self._weights = tensors_sha256({**module.state_dict(), **dict(module.named_buffers())})

    def identity(self) -> Mapping[str, Any]:
        """Name, hashes of weights and of the file's logic, normalisation, code version and precision."""
        return {
            "encoder": self.card.name,
            "weights": self._weights,
            **self._origin,
            "mean": self.card.mean,
            "std": self.card.std,
            "code": code_version(NetworkEncoder, TileEncoder),
            "precision": self.precision,
        }

    def _maps(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        side = self.card.tokens_across(images.shape[-1])
        seen: dict[str, Any] = {}
        handles = [self._watch(layer, seen) for layer in layers if layer != "final"]
        try:
            seen["final"] = self._forward(images)
        finally:
            for handle in handles:
                handle.remove()
        if lacking := [layer for layer in layers if layer not in seen]:
            raise self._wrong(f"does not call {lacking[0]}", f"See that {self._blocks} is what the model runs")
        return {layer: self._map(seen[layer], len(images), side, layer) for layer in layers}

    def _watch(self, layer: str, seen: dict[str, Any]) -> Any:
        """Keep what a block returns."""
        number = int(layer.removeprefix("block-")) - 1
        block = self.module.get_submodule(f"{self._blocks}.{number}")
        return block.register_forward_hook(lambda _block, _inputs, output: seen.__setitem__(layer, output))

    def _forward(self, images: Tensor) -> Any:
        try:
            return self.module(images)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:
            raise users_error(self._file, f"encoding images of shape {tuple(images.shape)}", error) from error

    def _map(self, output: Any, count: int, side: int, layer: str) -> Tensor:
        """(N, side, side, width) of what the network or a block gave."""
        # transformers' blocks and models give tuples and records around the tokens.
        output = getattr(output, "last_hidden_state", output[0] if isinstance(output, tuple) else output)
        prefix, width = self.card.prefix_tokens, self.card.width
        if not isinstance(output, Tensor) or not output.is_floating_point():
            raise self._wrong(
                f"gives {type(output).__name__} for {layer}, not a tensor of floats", "Return the tokens alone"
            )
        shape = tuple(output.shape)
        if shape == (count, prefix + side * side, width):
            return output[:, prefix:].reshape(count, side, side, width)
        if shape == (count, side, side, width):
            return output
        if shape == (count, width, side, side):
            return output.permute(0, 2, 3, 1)
        raise self._wrong(
            f"gives {shape} for {layer} of {count} images, which make {side}×{side} patches; tokens would be "
            f"({count}, {prefix} + {side * side}, {width}), a map ({count}, {side}, {side}, {width})",
            self._advice(shape, side),
        )

    def _advice(self, shape: tuple[int, ...], side: int) -> str:
        if len(shape) == 3 and shape[2] == self.card.width and shape[1] > side * side:
            return f"State prefix_tokens={shape[1] - side * side}, or drop what is not a patch"
        if len(shape) == 3 and shape[1] != side * side + self.card.prefix_tokens:
            return "Return all patch tokens, neither pooled nor dropped, and state patch_size as it is"
        return "Return tokens or a map in one of these shapes, and state width and patch_size as they are"

    def _wrong(self, problem: str, remedy: str) -> EncoderError:
        return EncoderError(f"{self.card.name} {problem}", where=self._file, remedy=remedy)
