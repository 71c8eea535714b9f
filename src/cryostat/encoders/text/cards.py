"""Cards of text encoders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class TextCard:
    """Facts about a text encoder.

    Attributes:
        name: Registry name.
        title: Name in full.
        width: Channels of an embedding; 0 where training texts decide.
        max_tokens: Tokens that it reads at once, special ones included; 0 for all.
        pooling: How tokens become an embedding: `mean` or `cls`; empty for none.
        hub_id: Repository on the Hugging Face hub, or None.
        revision: Pinned commit there.
        parameters: Parameter count without a pooler, or None.
        licence: Of the weights.
        access: `open`, `gated` or `local`.
        training_data: What it has read.
        citation: How to cite it.
        notes: Traps worth knowing.
    """

    name: str
    title: str
    width: int = 0
    max_tokens: int = 0
    pooling: str = ""
    hub_id: str | None = None
    revision: str | None = None
    parameters: int | None = None
    licence: str = ""
    access: str = "open"
    training_data: str = ""
    citation: str = ""
    notes: tuple[str, ...] = ()

    @property
    def gated(self) -> bool:
        """The hub asks for a login and consent."""
        return self.access == "gated"


_CARDS = (
    TextCard(
        name="tfidf",
        title="TF-IDF of words and pairs of words",
        licence="Apache-2.0",
        training_data="The training texts of each split",
        notes=("Its vocabulary holds words of the training texts: keep a fitted one as you keep the reports.",),
    ),
    TextCard(
        name="biomedbert",
        title="BiomedBERT base, uncased, abstracts and full texts (formerly PubMedBERT)",
        width=768,
        max_tokens=512,
        pooling="mean",
        hub_id="microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract-fulltext",
        revision="e1354b7a3a09615f6aba48dfad4b7a613eef7062",
        parameters=108_891_648,
        licence="MIT",
        training_data="Abstracts of PubMed and full texts of PubMed Central",
        citation="Gu et al., ACM Transactions on Computing for Healthcare 3 (2022) 1-23",
        notes=("Trained to fill in words, not to compare texts: a mean of tokens is a choice, not its recipe.",),
    ),
)

TEXT_CARDS: Mapping[str, TextCard] = MappingProxyType({card.name: card for card in _CARDS})
"""Name to card of the text encoders that are known by name."""
