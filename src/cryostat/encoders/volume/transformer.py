"""NeuroVFM as an encoder: preprocessing, network and pooling together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryostat.core.errors import EncoderError
from cryostat.core.identity import code_version
from cryostat.encoders.loading import needs_weights, random_network
from cryostat.encoders.volume import neurovfm
from cryostat.encoders.volume import pooling as poolings
from cryostat.encoders.volume.base import VolumeEmbedding, VolumeEncoder
from cryostat.encoders.volume.card import VolumeCard, VolumeRecipe
from cryostat.encoders.volume.neurovfm import NeuroVfm
from cryostat.encoders.volume.order import VolumeOrder
from cryostat.encoders.volume.preprocessing import Preprocessing
from cryostat.encoders.volume.tokens import Tokens
from cryostat.encoders.volume.volume import Volume
from cryostat.encoders.weights import load_weights, weights_sha256


class VolumeTransformer(VolumeEncoder):
    """A transformer of volume tokens.

    Args:
        card: Its facts, checked against the network.
        module: The network, frozen.
        preprocessing: From volumes to tokens.
        pooling: From features of tokens to vectors.
        precision: `fp32`, or `bf16` (autocast).

    Raises:
        EncoderError: The card does not describe the network.
        SettingError: There is no such pooling.
    """

    def __init__(
        self,
        card: VolumeCard,
        module: NeuroVfm,
        *,
        preprocessing: Preprocessing | None = None,
        pooling: str = "series-mean",
        precision: str = "fp32",
    ) -> None:
        self.card, self.module, self.precision = card, module.eval().requires_grad_(False), precision
        self.preprocessing = preprocessing or Preprocessing()
        self.pooling = poolings.check_pooling(pooling)
        self.device = torch.device("cpu")
        self._weights = weights_sha256(module)
        self._check_card()

    def _check_card(self) -> None:
        found = {"width": self.module.width, "parameters": sum(p.numel() for p in self.module.parameters())}
        for name, value in found.items():
            if getattr(self.card, name) not in (None, value):
                raise EncoderError(
                    f"the card of {self.card.name} says {name} = {getattr(self.card, name)}, the network has {value}",
                    remedy="Correct the card, or the arguments that build the network",
                )

    def identity(self) -> Mapping[str, Any]:
        """Name, hash of the weights, normalisation, preprocessing, pooling, code version and precision."""
        return {
            "encoder": self.card.name,
            "weights": self._weights,
            "mean": self.card.mean,
            "std": self.card.std,
            "preprocessing": self.preprocessing.identity(),
            "pooling": self.pooling,
            "code": code_version(neurovfm, poolings, VolumeTransformer, VolumeEncoder),
            "precision": self.precision,
        }

    def weights_hash(self) -> str:
        """Hex SHA-256 of all tensors as they are now."""
        return weights_sha256(self.module)

    def to(self, device: str) -> VolumeTransformer:
        """Move to a device."""
        self.device = torch.device(device)
        self.module.to(self.device)
        return self

    def _embed(self, series: Sequence[Volume]) -> VolumeEmbedding:
        tokens = [self.preprocessing.tokenise(volume) for volume in series]
        vector, each = poolings.pooled(self.token_features(tokens), tokens, self.pooling)
        return VolumeEmbedding(vector, each, tuple(t.series for t in tokens), facts=tuple(map(_facts, tokens)))

    @torch.no_grad()
    def token_features(self, series: Sequence[Tokens]) -> list[NDArray[np.float32]]:
        """Features of every token: for each series (N, width) float32."""
        lengths = [len(tokens) for tokens in series]
        values = torch.from_numpy(np.concatenate([tokens.values for tokens in series])).to(self.device)
        coords = torch.from_numpy(np.concatenate([tokens.coords for tokens in series])).to(self.device)
        starts = torch.tensor([0, *np.cumsum(lengths)])
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            features: Tensor = self.module((values - self.card.mean) / self.card.std, coords, starts)
        return [part.cpu().numpy() for part in features.split(lengths)]


def _facts(tokens: Tokens) -> Mapping[str, Any]:
    return {
        "series": tokens.series,
        "shape": tokens.shape,
        "tokens": len(tokens),
        "candidates": tokens.candidates,
        "background": tokens.rule,
        "notes": tokens.notes,
    }


def build(recipe: VolumeRecipe, order: VolumeOrder) -> VolumeTransformer:
    """The encoder of a recipe, with the weights that were asked for.

    Raises:
        EncoderError: Weights are needed, missing, damaged or do not fit.
        SettingError: A setting is unknown.
    """
    card = recipe.card
    if order.weights is None:
        raise needs_weights(card)
    if order.weights == "random":
        module = random_network(lambda: NeuroVfm(**recipe.args), order.seed)
        card = replace(card, name=f"{card.name}@random{order.seed}")
    else:
        module = NeuroVfm(**recipe.args)
        card = load_weights(module, card, order.weights)
    preprocessing = Preprocessing(order.mode, order.keep)
    return VolumeTransformer(
        card, module, preprocessing=preprocessing, pooling=order.pooling, precision=order.precision
    )
