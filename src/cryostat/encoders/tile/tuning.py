"""Encoders that learn: whole, or by low-rank adapters (LoRA) beside frozen weights."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from cryostat.core.errors import MissingExtraError, SettingError
from cryostat.encoders.tile.base import TileEncoder
from cryostat.encoders.weights import tensors_sha256

ATTENTION = re.compile(r"(^|\.)attn\.(qkv|q|k|v|kv|q_proj|k_proj|v_proj|proj|out_proj)$")
"""Names of the linear layers of attention in timm's models."""

ADAPTER = ".lora_"
"""In the names of adapters' tensors."""

WRAPPED = ".base_layer."
"""Put by peft into the names of a layer's own tensors, when the layer gets an adapter."""


class TunedEncoder(TileEncoder):
    """A copy of an encoder whose network learns; its identity follows its weights.

    Args:
        base: The encoder to copy.
        how: How it learns, for its identity: `whole` or `lora-R`.
    """

    def __init__(self, base: TileEncoder, how: str) -> None:
        self._base, self._how = deepcopy(base), how
        self.card, self.module = self._base.card, self._base.module
        self.device, self.precision = base.device, base.precision

    def identity(self) -> Mapping[str, Any]:
        """That of the encoder it came from, how it learns, and the hash of its weights as they are now."""
        return {
            **self._base.identity(),
            "precision": self.precision,
            "tuned": self._how,
            "tuned_weights": self.weights_hash(),
        }

    def to(self, device: torch.device | str) -> TileEncoder:
        """Move to a device."""
        self._base.to(device)
        return super().to(device)

    def _maps(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        return self._base._maps(images, layers)


def tuned(encoder: TileEncoder, *, lora: int = 0, seed: int = 0) -> TileEncoder:
    """An independent copy that learns, on the same device, in eval mode; before its first step it is the same encoder.

    Args:
        encoder: Left as it is.
        lora: Rank of adapters on the attention layers (on all linear layers where there is no attention), the rest
            frozen; 0 for the whole network.
        seed: Of the adapters; the global random state stays as it was.

    Raises:
        SettingError: The encoder has nothing that could learn, or no layer for adapters.
        MissingExtraError: peft is not installed.
    """
    if lora < 0:
        raise SettingError(f"adapters cannot have rank {lora}", remedy="Give a rank of 1 or more, or 0 for no adapters")
    if not any(p.is_floating_point() for p in encoder.module.parameters()):
        raise SettingError(
            f"{encoder.card.name} has no trained parameters, so it cannot be tuned",
            remedy="Choose the training mode live or cached for it",
        )
    copy = TunedEncoder(encoder, f"lora-{lora}" if lora else "whole")
    if lora:
        _adapt(copy, lora, seed)
    for name, parameter in copy.module.named_parameters():
        parameter.requires_grad_(parameter.is_floating_point() and (not lora or ADAPTER in name))
    copy.module.eval()
    return copy


def learnt(encoder: TileEncoder) -> dict[str, nn.Parameter]:
    """The parameters that learn, by name; none of a frozen encoder."""
    return {name: p for name, p in encoder.module.named_parameters() if p.requires_grad}


def base_hash(encoder: TileEncoder) -> str:
    """Hex SHA-256 of all tensors but adapters: with LoRA, at all times that of the encoder the copy was made of."""
    tensors = encoder.module.state_dict()
    return tensors_sha256({n.replace(WRAPPED, "."): t for n, t in tensors.items() if ADAPTER not in n})


def _adapt(encoder: TileEncoder, rank: int, seed: int) -> None:
    """Put adapters beside the layers, in place."""
    if importlib.util.find_spec("peft") is None:
        raise MissingExtraError("peft", extra="training", purpose="LoRA")
    from peft import LoraConfig, inject_adapter_in_model

    layers = "|".join(map(re.escape, _adaptable(encoder)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=layers), encoder.module)


def _adaptable(encoder: TileEncoder) -> list[str]:
    """Names of the layers that get adapters: linear ones of attention, or all linear ones."""
    linear = _called_linear(encoder)
    chosen = [name for name in linear if ATTENTION.search(name)] or linear
    if not chosen:
        raise SettingError(
            f"{encoder.card.name} ({encoder.card.architecture}) has no linear layers to put adapters on",
            remedy="Tune it whole (rank 0), or choose the training mode live or cached",
        )
    return chosen


def _called_linear(encoder: TileEncoder) -> list[str]:
    """Names of the linear layers that a forward pass calls.

    Some models read a layer's weight without calling the layer: an adapter there would never be reached.
    """
    called: list[str] = []
    hooks = [
        module.register_forward_pre_hook(lambda _module, _inputs, name=name: called.append(name))
        for name, module in encoder.module.named_modules()
        if isinstance(module, nn.Linear)
    ]
    size = encoder.card.input_size
    encoder.encode(torch.zeros(1, 3, size, size), encoder.card.layers())
    for hook in hooks:
        hook.remove()
    return sorted(set(called))
