"""Language models of transformers as text encoders: BERT and its kin, and those of sentence-transformers."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoTokenizer

from cryostat.core.errors import EncoderError, InputError, SettingError
from cryostat.core.files import read_json
from cryostat.core.identity import code_version, digest
from cryostat.encoders.hf_folder import load_model, read_config, read_folder_weights
from cryostat.encoders.text.base import TextEncoder
from cryostat.encoders.text.chunks import windows
from cryostat.encoders.weights import weights_sha256

POOLING = ("mean", "cls")
"""From tokens to an embedding: their mean, special ones included, or the first."""

LONGEST = 8192
"""Tokens at once where neither tokenizer nor configuration sets a limit."""

LEAST_SHARE = 0.9
"""Of a model's vocabulary that its tokenizer must have: some models round theirs up."""

_MODULES = "modules.json"
_KINDS = ("Transformer", "Pooling", "Normalize")
"""Parts of a sentence-transformers model that are known here, by the last word of their type."""


@dataclass(frozen=True)
class Reading:
    """How a model reads a text.

    Attributes:
        pooling: One of `POOLING`.
        normalised: Embeddings of chunks are brought to unit length.
        max_tokens: Tokens of a chunk, special ones included.
        overlap: Tokens that neighbouring chunks share.
    """

    pooling: str = "mean"
    normalised: bool = False
    max_tokens: int = 512
    overlap: int = 64


class TransformerText(TextEncoder):
    """A language model; the embedding of a long text is the mean over its chunks.

    Args:
        name: What it is called in results.
        model: From `hf_folder.load_model`.
        tokenizer: Its tokenizer.
        reading: How it reads.
        batch: Chunks at once.
    """

    def __init__(self, name: str, model: Any, tokenizer: Any, reading: Reading, *, batch: int = 16) -> None:
        self.name, self.model, self.reading = name, model, reading
        self._tokenizer, self._batch = tokenizer, batch
        self._weights = weights_sha256(model)
        self._before, self._after = _specials(tokenizer)
        room = reading.max_tokens - len(self._before) - len(self._after)
        if reading.pooling not in POOLING:
            raise SettingError(f"there is no pooling {reading.pooling!r}", remedy=f"Choose one of {', '.join(POOLING)}")
        windows(0, room, reading.overlap)
        self._room = room

    @property
    def width(self) -> int:
        """Channels of a token."""
        return int(self.model.config.hidden_size)

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        device: torch.device = next(self.model.parameters()).device
        return device

    def to(self, device: torch.device | str) -> TransformerText:
        """Move to a device."""
        self.model.to(device)
        return self

    def identity(self) -> Mapping[str, Any]:
        """Name, hashes of weights and tokenizer, how it reads, code version."""
        return {
            "encoder": self.name,
            "weights": self._weights,
            "tokenizer": digest([type(self._tokenizer).__name__, _tokenizer_state(self._tokenizer)]),
            "reading": asdict(self.reading),
            "code": code_version(sys.modules[__name__]),
        }

    def chunks(self, text: str) -> list[list[int]]:
        """The chunks of a text, as numbers of tokens with the special ones around them."""
        tokens = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        cut = [tokens[w.start : w.stop] for w in windows(len(tokens), self._room, self.reading.overlap)]
        return [[*self._before, *piece, *self._after] for piece in cut]

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        pieces = [(number, chunk) for number, text in enumerate(texts) for chunk in self.chunks(text)]
        # Chunks of like length together: little is padded.
        order = sorted(range(len(pieces)), key=lambda i: (-len(pieces[i][1]), i))
        sums = np.zeros((len(texts), self.width))
        counts = np.bincount([number for number, _ in pieces], minlength=len(texts))
        for start in range(0, len(order), self._batch):
            chosen = order[start : start + self._batch]
            vectors = self._vectors([pieces[i][1] for i in chosen])
            np.add.at(sums, [pieces[i][0] for i in chosen], vectors)
        found: NDArray[np.float32] = (sums / counts[:, None]).astype(np.float32)
        return found

    @torch.no_grad()
    def _vectors(self, chunks: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """(n, width) embeddings of chunks."""
        longest = max(map(len, chunks))
        padding = self._tokenizer.pad_token_id or 0
        tokens = torch.tensor([[*chunk, *[padding] * (longest - len(chunk))] for chunk in chunks], device=self.device)
        lengths = torch.tensor([len(chunk) for chunk in chunks], device=self.device)
        mask = torch.arange(longest, device=self.device) < lengths[:, None]
        states = self.model(input_ids=tokens, attention_mask=mask.long()).last_hidden_state.double()
        pooled = states[:, 0] if self.reading.pooling == "cls" else _mean(states, mask)
        found: Tensor = torch.nn.functional.normalize(pooled, dim=1) if self.reading.normalised else pooled
        return found.cpu().numpy()


def _mean(states: Tensor, mask: Tensor) -> Tensor:
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)


def load_folder(folder: Path, name: str, reading: Reading | None = None) -> TransformerText:
    """A language model from a local folder, without network and without code of the folder.

    Args:
        folder: Holds config.json, the weights and the tokenizer's files; of sentence-transformers models also
            modules.json, which decides pooling.
        name: What it is called in results.
        reading: How it reads, as far as the folder does not say.

    Raises:
        InputError: A file is missing or damaged.
        EncoderError: transformers cannot read the model, or its weights do not fit.
    """
    config = read_config(folder)
    sizes = [getattr(config, name, None) for name in ("hidden_size", "vocab_size")]
    if not all(isinstance(size, int) for size in sizes) or getattr(config, "is_encoder_decoder", False):
        raise EncoderError("is no encoder of texts", where=folder, remedy="Choose BERT or a model of its kind")
    tokenizer = _tokenizer(folder, config)
    asked = _as_published(folder, reading or Reading())
    limits = [limit for limit in (asked.max_tokens, _limit(config, tokenizer)) if limit]
    asked = replace(asked, max_tokens=min(limits), overlap=min(asked.overlap, min(limits) // 8))
    model, _ = load_model(config, read_folder_weights(folder), folder)
    return TransformerText(name, model, tokenizer, asked)


def _tokenizer(folder: Path, config: Any) -> Any:
    try:
        found = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (ValueError, TypeError, LookupError, OSError, AttributeError, RuntimeError, ImportError) as error:
        raise _no_tokenizer(folder, f"has no tokenizer that can be read ({type(error).__name__})") from error
    # Without its vocabulary, transformers makes up an empty one and goes on.
    known, wanted = found.get_vocab(), int(config.vocab_size)
    if len(known) < LEAST_SHARE * wanted or max(known.values()) >= wanted:
        raise _no_tokenizer(folder, f"has a tokenizer of {len(known)} tokens, the model knows {wanted}")
    return found


def _no_tokenizer(folder: Path, problem: str) -> InputError:
    remedy = "Put the model's tokenizer.json, or its vocab.txt and tokenizer_config.json, beside config.json"
    return InputError(problem, where=folder, remedy=remedy)


def _limit(config: Any, tokenizer: Any) -> int:
    """Tokens that a model can read at once."""
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet"):
        # Their positions begin after the padding's.
        positions -= 2
    stated = [
        limit for limit in (positions, tokenizer.model_max_length) if isinstance(limit, int) and 0 < limit < 10**6
    ]
    return min(stated, default=LONGEST)


def _as_published(folder: Path, reading: Reading) -> Reading:
    """How a sentence-transformers model reads; of others, as asked.

    Raises:
        EncoderError: It has a part that is not known here.
    """
    if not (folder / _MODULES).is_file():
        return reading
    listed = read_json(folder / _MODULES)
    if not isinstance(listed, list) or not all(isinstance(m, dict) and {"type", "path"} <= set(m) for m in listed):
        raise InputError("is no list of modules", where=folder / _MODULES, remedy="Download it again")
    modules = [(str(m["type"]).rpartition(".")[2], folder / str(m["path"])) for m in listed]
    if strange := [kind for kind, _ in modules if kind not in _KINDS]:
        raise EncoderError(
            f"has a part {strange[0]!r} that is not known here", where=folder / _MODULES, remedy="Choose another model"
        )
    found = replace(reading, normalised=any(kind == "Normalize" for kind, _ in modules))
    for kind, path in modules:
        if kind == "Pooling":
            found = replace(found, pooling=_pooling(path / "config.json"))
    if (folder / "sentence_bert_config.json").is_file():
        stated = read_json(folder / "sentence_bert_config.json").get("max_seq_length")
        found = replace(found, max_tokens=stated) if isinstance(stated, int) and stated > 0 else found
    return found


def _pooling(path: Path) -> str:
    content = read_json(path)
    chosen = [key for key, on in content.items() if key.startswith("pooling_mode") and on]
    names = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    if len(chosen) != 1 or chosen[0] not in names:
        raise EncoderError(
            f"pools by {', '.join(chosen) or 'nothing'}, which is not known here",
            where=path,
            remedy="Choose a model that pools by the mean or by its first token",
        )
    return names[chosen[0]]


def _specials(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Special tokens before and after a text."""
    found = tokenizer("a", return_special_tokens_mask=True)
    tokens, mask = found["input_ids"], found["special_tokens_mask"]
    first = mask.index(0) if 0 in mask else len(mask)
    last = len(mask) - mask[::-1].index(0) if 0 in mask else len(mask)
    return tokens[:first], tokens[last:]


def _tokenizer_state(tokenizer: Any) -> Any:
    """What determines the tokens of a text."""
    fast = getattr(tokenizer, "backend_tokenizer", None)
    return fast.to_str() if fast is not None else sorted(tokenizer.get_vocab().items())
