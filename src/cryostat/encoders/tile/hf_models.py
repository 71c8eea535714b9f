"""Vision transformers published for the transformers library, built with timm: no remote code, no download.

The configuration is stated in the card under transformers' own names; the tensors of the file are renamed. With equal
weights the outputs at the stated image_size equal those of transformers' ViTModel, Dinov2Model and
Dinov2WithRegistersModel; image_size is that of use, whatever the file's position table was made for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cryostat.core.errors import EncoderError
from cryostat.encoders.catalogue import Recipe
from cryostat.encoders.loading import Order, fitted
from cryostat.encoders.tile.renaming import from_hf
from cryostat.encoders.tile.timm_models import TimmEncoder, build

MODEL = "vit_base_patch16_224"
"""The timm model whose every argument is then stated."""

MODEL_TYPES = ("vit", "dinov2", "dinov2_with_registers")
"""transformers' `model_type` of the families that timm can build."""

NEEDED = ("hidden_size", "num_hidden_layers", "num_attention_heads", "image_size", "patch_size")
"""What a configuration must state; the rest has transformers' defaults."""

ACTIVATIONS = {"gelu": "GELU", "relu": "ReLU", "silu": "SiLU"}
"""transformers' `hidden_act` to the class of torch."""

NUMBERS = {*NEEDED, "intermediate_size", "mlp_ratio", "layer_norm_eps", "layerscale_value"}
"""What must be a positive number, below `MOST`, where it is stated."""

MOST = 1e6

_COPY = "Copy it from the model's config.json"

NORM_EPS = {"vit": 1e-12}
"""`layer_norm_eps` where the configuration does not state it; 1e-6 for others."""


def load(recipe: Recipe, order: Order) -> TimmEncoder:
    """The model that a card's [hf] describes, with the weights that are asked for.

    Args:
        recipe: Its settings are `model_type` and `config`, as in the `config.json` of a hub repository.
        order: How it is wanted.

    Raises:
        EncoderError: The family is not known, the card does not describe it, or its weights are missing or do not fit.
    """
    card = recipe.card
    arguments = timm_arguments(str(recipe.settings["model_type"]), recipe.settings.get("config", {}), where=card.name)
    across = arguments["img_size"] // arguments["patch_size"]
    module, card = fitted(
        recipe,
        order,
        lambda: build(MODEL, arguments, where=card.name),
        translate=lambda tensors: with_positions(from_hf(tensors), across),
        names="the names of the published file or those of transformers",
    )
    return TimmEncoder(card, module, model=MODEL, arguments=arguments, precision=order.precision or card.precision)


def timm_arguments(model_type: str, config: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Arguments of timm's vision transformer that make it the model of a transformers configuration.

    Args:
        model_type: `vit`, `dinov2` or `dinov2_with_registers`.
        config: As in `config.json`; entries without effect on the network's output are passed over.
        where: Card or folder, for messages.

    Raises:
        EncoderError: The family, its activation, or what is needed to build it is not known.
    """
    if model_type not in MODEL_TYPES:
        raise EncoderError(
            f"transformers' {model_type!r} is not a vision transformer that can be built here",
            where=where,
            remedy=f"Use a model of type {', '.join(MODEL_TYPES)}, or a timm model",
        )
    if not isinstance(config, Mapping) or (lacking := [key for key in NEEDED if key not in config]):
        lacks = ", ".join(lacking) if isinstance(config, Mapping) else "everything"
        raise EncoderError(f"the configuration lacks {lacks}", where=where, remedy=_COPY)
    for key in NUMBERS & set(config):
        if isinstance(config[key], bool) or not isinstance(config[key], int | float) or not 0 < config[key] < MOST:
            raise EncoderError(f"{key} = {config[key]!r} is no positive number", where=where, remedy=_COPY)
    registers = int(config.get("num_register_tokens", 4 if model_type == "dinov2_with_registers" else 0))
    return {
        "img_size": int(config["image_size"]),
        "patch_size": int(config["patch_size"]),
        "embed_dim": int(config["hidden_size"]),
        "depth": int(config["num_hidden_layers"]),
        "num_heads": int(config["num_attention_heads"]),
        "qkv_bias": bool(config.get("qkv_bias", True)),
        "init_values": None if model_type == "vit" else float(config.get("layerscale_value", 1.0)),
        "reg_tokens": registers,
        "no_embed_class": registers > 0,
        "norm_eps": float(config.get("layer_norm_eps", NORM_EPS.get(model_type, 1e-6))),
        **_feed_forward(model_type, config, where),
    }


def with_positions(tensors: Mapping[str, Tensor], across: int) -> Mapping[str, Tensor]:
    """Bring a position table to the size at which the network is used, by the rule of transformers.

    timm would do it at every pass, and with antialiasing where transformers does without.

    Args:
        tensors: In timm's names.
        across: Tokens along a side.
    """
    name = next((n for n in tensors if n.endswith("pos_embed")), None)
    registers = any(n.endswith("reg_token") for n in tensors)
    table = tensors[name] if name else torch.empty(0)
    prefix = 0 if registers else 1
    side = math.isqrt(max(table.shape[1] - prefix, 0)) if table.ndim == 3 else 0
    if name is None or side in (0, across) or side**2 != table.shape[1] - prefix:
        return tensors
    grid = table[:, prefix:].float().reshape(1, side, side, -1).permute(0, 3, 1, 2)
    resized = functional.interpolate(grid, (across, across), mode="bicubic", align_corners=False, antialias=registers)
    rows = resized.permute(0, 2, 3, 1).reshape(1, across**2, -1)
    return {**tensors, name: torch.cat((table[:, :prefix].float(), rows), 1)}


def _feed_forward(model_type: str, config: Mapping[str, Any], where: str) -> dict[str, Any]:
    width = int(config["hidden_size"])
    if config.get("use_swiglu_ffn"):
        hidden = (int(int(width * config.get("mlp_ratio", 4)) * 2 / 3) + 7) // 8 * 8
        # timm rounds width × ratio down; the half keeps it from landing one below.
        return {"mlp_ratio": (2 * hidden + 0.5) / width, "mlp_layer": "SwiGLUPacked", "act_layer": "SiLU"}
    activation = str(config.get("hidden_act", "gelu"))
    if activation not in ACTIVATIONS:
        raise EncoderError(
            f"the activation {activation!r} is not known", where=where, remedy=f"Use one of {', '.join(ACTIVATIONS)}"
        )
    hidden = int(
        config.get("intermediate_size", 4 * width) if model_type == "vit" else width * config.get("mlp_ratio", 4)
    )
    return {"mlp_ratio": (hidden + 0.5) / width, "act_layer": ACTIVATIONS[activation]}
