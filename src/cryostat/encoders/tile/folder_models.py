"""Vision transformers in a local Hugging Face folder (config.json and weights), by transformers' own code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from cryostat.core.errors import EncoderError, InputError
from cryostat.core.files import read_json
from cryostat.core.identity import digest
from cryostat.encoders.card import IMAGENET_MEAN, IMAGENET_STD, EncoderCard
from cryostat.encoders.catalogue import Recipe, card_of, normalised
from cryostat.encoders.hf_folder import CONFIG, build_model, load_model, read_config, read_folder_weights
from cryostat.encoders.loading import RANDOM, Order, random_network
from cryostat.encoders.tile.network import NetworkEncoder
from cryostat.encoders.weights import read_weights

PREPROCESSOR = "preprocessor_config.json"


@dataclass(frozen=True)
class Family:
    """What is to be known of a family of models besides its configuration.

    Attributes:
        prefix: Class and register tokens of a configuration.
        stretches: Positions are interpolated only where the call asks for it.
    """

    prefix: Callable[[Any], int]
    stretches: bool = False


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "vit": Family(lambda config: 1, stretches=True),
        "deit": Family(lambda config: 2, stretches=True),
        "vit_msn": Family(lambda config: 1, stretches=True),
        "ijepa": Family(lambda config: 0, stretches=True),
        "dinov2": Family(lambda config: 1),
        "dinov2_with_registers": Family(lambda config: 1 + config.num_register_tokens),
        "dinov3_vit": Family(lambda config: 1 + config.num_register_tokens),
    }
)
"""transformers' `model_type` to what is known of it."""


class Tokens(nn.Module):
    """A model of transformers that gives the tokens of its final layer.

    Args:
        model: The model.
        stretches: Positions are interpolated only where the call asks for it.
    """

    def __init__(self, model: nn.Module, stretches: bool) -> None:
        super().__init__()
        self.model = model
        self._asked = {"interpolate_pos_encoding": True} if stretches else {}

    def forward(self, images: Tensor) -> Tensor:
        """(N, prefix + T, width) tokens of images (N, 3, S, S)."""
        tokens: Tensor = self.model(pixel_values=images, **self._asked).last_hidden_state
        return tokens


def folder_recipe(name: str) -> Recipe:
    """The recipe of a folder: its card follows from its configuration.

    Raises:
        InputError: A file is missing or damaged.
        EncoderError: The model is of no family that is known here.
    """
    folder = Path(name).expanduser()
    config = read_config(folder)
    if config.model_type not in FAMILIES:
        raise EncoderError(
            f"is a model of type {config.model_type!r}, which is not known here",
            where=folder / CONFIG,
            remedy=f"Use {', '.join(FAMILIES)}, or wrap the model in a Python file (cryostat encoders template)",
        )
    settings = {"folder": folder, "config": config, "loads_weights": True}
    return Recipe(_card(folder, config), "folder", settings)


def _card(folder: Path, config: Any) -> EncoderCard:
    mean, std, note = _normalisation(folder)
    return card_of(
        {
            "name": f"hf:{normalised(folder.resolve().name)}",
            "title": f"{config.model_type} in {folder.resolve().name}",
            "architecture": f"{config.model_type}/{config.patch_size}",
            "input_size": config.image_size,
            "patch_size": config.patch_size,
            "width": config.hidden_size,
            "depth": config.num_hidden_layers,
            "prefix_tokens": FAMILIES[config.model_type].prefix(config),
            "mean": mean,
            "std": std,
            "flexible_size": True,
            "access": "local",
            "notes": [note] if note else [],
        },
        folder / CONFIG,
    )


def _normalisation(folder: Path) -> tuple[list[float], list[float], str]:
    """Mean and standard deviation as the folder states them, and a note where it does not."""
    path = folder / PREPROCESSOR
    if not path.is_file():
        return (
            list(IMAGENET_MEAN),
            list(IMAGENET_STD),
            f"There is no {PREPROCESSOR}: ImageNet's normalisation is assumed.",
        )
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError("is no table of settings", where=path, remedy="Download it again")
    if content.get("do_normalize") is False:
        return [0.0] * 3, [1.0] * 3, ""
    return content.get("image_mean", list(IMAGENET_MEAN)), content.get("image_std", list(IMAGENET_STD)), ""


def load(recipe: Recipe, order: Order) -> NetworkEncoder:
    """The model of a folder with its weights, those of another file, or random ones.

    Raises:
        InputError: There are no weights.
        EncoderError: They are damaged or do not fit.
    """
    folder, config, card = recipe.settings["folder"], recipe.settings["config"], recipe.card
    stretches = FAMILIES[config.model_type].stretches
    if order.weights == RANDOM:
        model = random_network(lambda: build_model(config, folder), order.seed)
        card = replace(card, name=f"{card.name}@random{order.seed}")
    else:
        tensors = read_weights(Path(order.weights)) if order.weights else read_folder_weights(folder)
        model, _ = load_model(config, tensors, Path(order.weights) if order.weights else folder)
    origin = {"transformers": digest(_facts(folder))}
    return NetworkEncoder(
        card,
        Tokens(model, stretches),
        _blocks(model, config, folder),
        origin,
        folder,
        order.precision or card.precision,
    )


def _facts(folder: Path) -> Mapping[str, Any]:
    """What of a configuration may tell how the network computes."""
    return {key: value for key, value in read_json(folder / CONFIG).items() if key not in _SILENT}


_SILENT = {"transformers_version", "_name_or_path", "architectures", "dtype", "torch_dtype", "id2label", "label2id"}


def _blocks(model: nn.Module, config: Any, folder: Path) -> str:
    """Where in `Tokens` the list of a model's blocks is."""
    for name, part in model.named_modules():
        if isinstance(part, nn.ModuleList) and len(part) == config.num_hidden_layers:
            return f"model.{name}"
    raise EncoderError(
        f"has no list of {config.num_hidden_layers} blocks in this release of transformers",
        where=folder,
        remedy="Wrap the model in a Python file of your own (cryostat encoders template)",
    )
