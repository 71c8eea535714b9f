"""Weights of slide encoders: the file at hand first, the hub second, fitted strictly."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from torch import nn

from cryostat.core.errors import EncoderError
from cryostat.encoders.slide.card import SlideCard
from cryostat.encoders.weights import fit_weights, read_weights


def load_weights(network: nn.Module, card: SlideCard, weights: Path | str) -> str:
    """Load weights into a network, every one of them and nothing else.

    Args:
        network: The network.
        card: Names the file on the hub, for messages and downloads.
        weights: A `.safetensors` or torch file (read with `weights_only`), `hub`, or `hub@COMMIT`.

    Returns:
        What had to be done to make the names match; empty where nothing had.

    Raises:
        InputError: The file is missing or empty.
        EncoderError: It is damaged, is another model's, or cannot be had from the hub.
    """
    source, _, revision = str(weights).partition("@")
    path = download(card, revision or card.revision) if source == "hub" else Path(weights)
    tensors = read_weights(path)
    try:
        prefix = fit_weights(network, tensors, path)
    except EncoderError as error:
        raise EncoderError(error.problem, where=path, remedy=_cure(tensors, card)) from error
    return f"The prefix {prefix!r} was taken off the tensor names of {path.name}." if prefix else ""


def _cure(names: Collection[str], card: SlideCard) -> str:
    wanted = f"{card.hub_file} of {card.hub_id}" if card.hub_id else "the weights of this very architecture"
    if any("blocks.0.attn" in name for name in names):
        return f"This looks like a tile encoder's file; supply {wanted}"
    return f"Supply {wanted}, with the names as released"


def download(card: SlideCard, revision: str | None) -> Path:
    """The weights of a card's hub repository, from the local cache or the network.

    Raises:
        EncoderError: There is no repository, no network, or no permission; the remedy says what to do by hand.
        MissingExtraError: huggingface-hub is not installed.
    """
    if card.hub_id is None or card.hub_file is None:
        raise EncoderError(f"{card.name} has no repository on the hub", remedy="Give its weights as a file")
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(card.hub_id, card.hub_file, revision=revision))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        pinned = f" --revision {revision}" if revision else ""
        consent = "accept its terms on the hub, set HF_TOKEN, and " if card.gated else ""
        raise EncoderError(
            f"the weights of {card.name} could not be had from the hub ({type(error).__name__})",
            where=card.hub_id,
            remedy=f"On a machine with network {consent}run: hf download {card.hub_id} {card.hub_file}{pinned} "
            "— then pass the file as weights=PATH",
        ) from error
