"""What all ways of building an encoder share: which weights are asked for, and fitting them to the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from cryostat.core.errors import EncoderError
from cryostat.encoders.card import Card, EncoderCard
from cryostat.encoders.catalogue import Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn

Network = TypeVar("Network", bound="nn.Module")

RANDOM = "random"

AS_RELEASED = "the names as released"
"""What the names of a file's tensors must be, where nothing else is said."""


@dataclass(frozen=True)
class Order:
    """How an encoder is wanted.

    Attributes:
        weights: A file; `hub`, `hub@COMMIT` or `random`; None for what its recipe says.
        precision: Arithmetic, or None for the card's.
        seed: Of random weights and filters.
    """

    weights: str | None = None
    precision: str | None = None
    seed: int = 0


def fitted(
    recipe: Recipe,
    order: Order,
    build: Callable[[], nn.Module],
    *,
    classifier: str = "",
    translate: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] | None = None,
    names: str = AS_RELEASED,
) -> tuple[nn.Module, EncoderCard]:
    """A network with the weights that are asked for, frozen, in eval mode.

    Args:
        recipe: Of the encoder.
        order: How it is wanted.
        build: Makes the untrained network.
        classifier: Layer of the checkpoint that the network was built without, passed over.
        translate: From the names of the file's tensors to those of the network.
        names: What the names of the file's tensors must be, for messages.

    Returns:
        The network, and its card: the name tells of random weights, the notes of a prefix taken off.

    Raises:
        EncoderError: Weights are needed, missing, damaged or do not fit.
    """
    weights = order.weights or recipe.settings.get("weights")
    if weights is None:
        raise needs_weights(recipe.card)
    if weights == RANDOM:
        return random_network(build, order.seed), _random_card(recipe, order.seed)
    from cryostat.encoders.weights import load_weights

    module = _frozen(build())
    card = load_weights(module, recipe.card, weights, classifier=classifier, translate=translate, names=names)
    return module, card


def seeded(card: EncoderCard, seed: int) -> EncoderCard:
    """The card of an encoder whose seed is not 0 says so in its name."""
    return replace(card, name=f"{card.name}@seed{seed}") if seed else card


def needs_weights(card: Card) -> EncoderError:
    """Our error for weights that were not given; the remedy names every way to give them."""
    consent = " (gated: accept its terms there first)" if card.gated else ""
    hub = f", or --weights hub to download {card.hub_id}{consent}" if card.hub_id else ""
    return EncoderError(
        f"{card.name} needs its weights",
        where=card.hub_id,
        remedy=f"Pass a file with --weights PATH{hub}; "
        "--weights random measures the bare architecture, named so in the results",
    )


def _frozen(module: Network) -> Network:
    return module.eval().requires_grad_(False)


def random_network(build: Callable[[], Network], seed: int) -> Network:
    """Initial weights that follow from the seed alone; the global random state stays as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _frozen(build())


def _random_card(recipe: Recipe, seed: int) -> EncoderCard:
    card = recipe.card
    return seeded(card, seed) if recipe.untrained else replace(card, name=f"{card.name}@random{seed}")
