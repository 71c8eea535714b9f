"""A language model without its training: the architecture that a card states, random weights, a made-up vocabulary."""

from __future__ import annotations

import string
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, PreTrainedTokenizerFast

from cryostat.core.errors import EncoderError
from cryostat.encoders.hf_folder import build_model
from cryostat.encoders.loading import random_network
from cryostat.encoders.text.card import SETTINGS, TextCard
from cryostat.encoders.text.transformer import Reading, TransformerText

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def untrained(card: TextCard, seed: int) -> TransformerText:
    """What a card describes, without a file: it reads letter by letter, for only the trained model has a vocabulary.

    Args:
        card: Of a language model.
        seed: Of the weights.

    Raises:
        EncoderError: The card does not describe the network.
    """
    settings = SETTINGS[card.name]
    config = AutoConfig.for_model(settings["model_type"], **settings["config"])
    model = random_network(lambda: build_model(config, card.name), seed)
    if (count := sum(p.numel() for p in model.parameters())) != card.parameters:
        raise EncoderError(
            f"the card of {card.name} says parameters = {card.parameters}, the network has {count}",
            remedy="Correct [card] or [transformer.config]",
        )
    overlap = min(Reading.overlap, card.max_tokens // 8)
    reading = Reading(pooling=card.pooling, max_tokens=card.max_tokens, overlap=overlap)
    return TransformerText(f"{card.name}@random{seed}", model, letters(config.vocab_size), reading)


def letters(size: int) -> Any:
    """A tokenizer of `size` tokens at least, of which only special ones and letters, digits and signs occur."""
    signs = [c for c in string.printable if not c.isspace() and not c.isupper()]
    known = [*SPECIAL, *signs, *(f"##{c}" for c in signs)]
    known += [f"[unused{i}]" for i in range(size - len(known))]
    tokenizer = Tokenizer(models.WordPiece({token: i for i, token in enumerate(known)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
