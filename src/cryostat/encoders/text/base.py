"""The one interface of text encoders. What patients' reports say goes in here and never into messages or logs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import EncoderError, InputError


class TextEncoder(ABC):
    """A frozen encoder of texts.

    Attributes:
        name: What it is called in results.
    """

    name: str

    @property
    def learns_from_texts(self) -> bool:
        """True when it must be `fitted` to training texts before it encodes."""
        return False

    def fitted(self, texts: Sequence[str]) -> TextEncoder:
        """An encoder that has learnt from training texts; itself, if it learns from none. This one stays as it is.

        Args:
            texts: Those of the training part alone: whatever of a test text is learnt here leaks.
        """
        return self

    @property
    @abstractmethod
    def width(self) -> int:
        """Channels of an embedding."""

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """All that determines its output; of texts learnt from, only hashes."""

    @abstractmethod
    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, width) embeddings of texts that are not blank."""

    @final
    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One embedding a text.

        Args:
            texts: n texts, none blank.

        Returns:
            (n, width) float32.

        Raises:
            InputError: One is no text, or blank; the message tells its place, never its words.
            EncoderError: The encoder has yet to be fitted, or gives what is no number.
        """
        checked = checked_texts(texts)
        if not checked:
            return np.zeros((0, self.width), np.float32)
        found = self._embed(checked)
        if found.shape != (len(checked), self.width) or not np.isfinite(found).all():
            what = "embeddings that are no numbers" if found.ndim == 2 else f"embeddings of shape {found.shape}"
            raise EncoderError(f"{self.name} gave {what}", remedy="Check that its weights are whole")
        return found

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


def checked_texts(texts: Sequence[str]) -> list[str]:
    """The texts, if each is one.

    Raises:
        InputError: One is no text, or blank, or there is one text where several belong.
    """
    if isinstance(texts, str):
        raise InputError("is one text, not a sequence of texts", where="texts", remedy="Put it into a list")
    for place, text in enumerate(texts):
        if fault := _fault(text):
            raise InputError(fault, where=f"text {place}", remedy="Correct it, or mark a report as missing")
    return list(texts)


def _fault(text: Any) -> str:
    """What is wrong with a text, in words that hold none of its own; empty when nothing is."""
    if not isinstance(text, str):
        return f"is {type(text).__name__}, not text"
    if not text.strip():
        return "is blank"
    return "" if text.encode(errors="replace") == text.encode(errors="surrogatepass") else "holds broken characters"
