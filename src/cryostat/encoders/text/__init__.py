"""Text encoders: TF-IDF, and any BERT or sentence-transformers model by local folder or name."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

from cryostat.core.errors import EncoderError, MissingExtraError, SettingError
from cryostat.encoders.reading import normalised
from cryostat.encoders.text.card import SETTINGS, TEXT_CARDS, TextCard

if TYPE_CHECKING:
    from cryostat.encoders.text.base import TextEncoder
    from cryostat.encoders.text.transformer import TransformerText

__all__ = ["TEXT_CARDS", "TextCard", "load_text_encoder", "text_names"]

HUB = "hub"
RANDOM = "random"
_HUB_NAME = re.compile(r"^[\w.-]+/[\w.-]+$")
_HUB_FILES = ("*.json", "*.txt", "*.model", "*.safetensors", "pytorch_model.bin")


def text_names() -> list[str]:
    """Names of the text encoders that have a card."""
    return list(TEXT_CARDS)


def load_text_encoder(
    name: str, weights: Path | str | None = None, device: str = "auto", *, seed: int = 0
) -> TextEncoder:
    """Build a text encoder, frozen.

    Args:
        name: `tfidf`, `biomedbert`, a local folder of a transformers or sentence-transformers model, or `owner/model`
            on the hub.
        weights: A local folder of the model; `hub` or `hub@COMMIT` to download it; `random` for none. By default only
            what lies in the hub's local cache is used.
        device: `auto` takes a GPU where there is one.
        seed: Of random weights.

    Raises:
        SettingError: There is no such encoder.
        EncoderError: Its files are not here, or do not fit.
        MissingExtraError: torch or transformers is not installed.
    """
    card = TEXT_CARDS.get(normalised(name))
    if card is not None and card.hub_id is None:
        if weights not in (None, RANDOM):
            raise SettingError(f"{card.name} has no weights to load", remedy="Leave out the weights")
        from cryostat.encoders.text.tfidf import TfIdf

        return TfIdf(**SETTINGS[card.name])
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(package, extra="encoders", purpose="Encoding texts")
    from cryostat.encoders.registry import torch_device

    target = torch_device(device)
    if card is not None and weights == RANDOM:
        from cryostat.encoders.text.untrained import untrained

        return untrained(card, seed).to(target)
    return _from_folder(name, card, weights, seed).to(target)


def _from_folder(name: str, card: TextCard | None, weights: Path | str | None, seed: int) -> TransformerText:
    from cryostat.encoders.text.published import load_folder
    from cryostat.encoders.text.transformer import Reading

    is_random = weights == RANDOM
    folder = _folder(name, card, None if is_random else weights)
    reading = Reading(pooling=card.pooling, max_tokens=card.max_tokens) if card else None
    called = card.name if card else folder.resolve().name if Path(name).expanduser().is_dir() else name
    if is_random:
        return load_folder(folder, f"{called}@random{seed}", reading, seed=seed)
    return load_folder(folder, called, reading)


def _folder(name: str, card: TextCard | None, weights: Path | str | None) -> Path:
    """Where the files of a model lie: as given, or in the hub's cache."""
    if weights is not None and str(weights).partition("@")[0] != HUB:
        return Path(weights).expanduser()
    if card is None and Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    hub_id = card.hub_id if card else name
    if hub_id is None or not _HUB_NAME.match(hub_id):
        raise SettingError(
            f"there is no text encoder {name!r}",
            remedy=f"Choose one of {', '.join(text_names())}, a folder with config.json, or owner/model of the hub",
        )
    revision = (str(weights).partition("@")[2] if weights else "") or (card.revision if card else None)
    return _snapshot(hub_id, revision, download=weights is not None)


def _snapshot(hub_id: str, revision: str | None, *, download: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(hub_id, revision=revision, allow_patterns=list(_HUB_FILES), local_files_only=not download)
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        pinned = f" --revision {revision}" if revision else ""
        raise EncoderError(
            f"its files are not on this machine ({type(error).__name__})",
            where=hub_id,
            remedy=f"On a machine with network run: hf download {hub_id}{pinned} — then give the folder as weights",
        ) from error
