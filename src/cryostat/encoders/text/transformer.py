"""Language models of transformers as text encoders: BERT and its kin, and those of sentence-transformers."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryostat.core.errors import SettingError
from cryostat.core.identity import code_version, digest
from cryostat.encoders.text import chunks
from cryostat.encoders.text.base import TextEncoder
from cryostat.encoders.text.card import POOLING
from cryostat.encoders.text.chunks import windows
from cryostat.encoders.weights import weights_sha256

SILENT = {"transformers_version", "_name_or_path", "architectures", "dtype", "torch_dtype", "id2label", "label2id"}
"""Entries of a configuration on which no embedding depends."""


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
        self._config = {key: value for key, value in model.config.to_dict().items() if key not in SILENT}
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
        """Name, hashes of weights, configuration and tokenizer, how it reads, code version."""
        return {
            "encoder": self.name,
            "weights": self._weights,
            "config": digest(self._config),
            "tokenizer": digest([type(self._tokenizer).__name__, _tokenizer_state(self._tokenizer)]),
            "reading": asdict(self.reading),
            "code": code_version(chunks, sys.modules[__name__]),
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
