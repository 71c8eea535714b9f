"""Language models from local folders, as transformers and sentence-transformers publish them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from cryostat.core.errors import EncoderError, InputError
from cryostat.core.files import read_json
from cryostat.encoders.hf_folder import build_model, load_model, read_config, read_folder_weights
from cryostat.encoders.loading import random_network
from cryostat.encoders.text.transformer import Reading, TransformerText

LONGEST = 8192
"""Tokens at once where neither tokenizer nor configuration sets a limit."""

LEAST_SHARE = 0.9
"""Of a model's vocabulary that its tokenizer must have: some models round theirs up."""

_MODULES = "modules.json"
_LIMITS = "sentence_bert_config.json"
_KINDS = ("Transformer", "Pooling", "Normalize")
"""Parts of a sentence-transformers model that are known here, by the last word of their type."""


def load_folder(folder: Path, name: str, reading: Reading | None = None, *, seed: int | None = None) -> TransformerText:
    """A language model from a local folder, without network and without code of the folder.

    Args:
        folder: Holds config.json, the weights and the tokenizer's files; of sentence-transformers models also
            modules.json, which decides pooling.
        name: What it is called in results.
        reading: How it reads, as far as the folder does not say.
        seed: Of random weights in place of the folder's; None for the folder's.

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
    if seed is None:
        model, _ = load_model(config, read_folder_weights(folder), folder)
    else:
        model = random_network(lambda: build_model(config, folder), seed)
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
    if (folder / _LIMITS).is_file():
        stated = _table(folder / _LIMITS)
        if stated.get("do_lower_case"):
            remedy = "State do_lower_case in tokenizer_config.json, where the tokenizer reads it, and not here"
            raise EncoderError("asks for lower case beside the tokenizer", where=folder / _LIMITS, remedy=remedy)
        limit = stated.get("max_seq_length")
        found = replace(found, max_tokens=limit) if type(limit) is int and limit > 0 else found
    return found


def _table(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError("is no table of settings", where=path, remedy="Download it again")
    return content


def _pooling(path: Path) -> str:
    content = _table(path)
    chosen = [key for key, on in content.items() if key.startswith("pooling_mode") and on]
    names = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    if len(chosen) != 1 or chosen[0] not in names:
        raise EncoderError(
            f"pools by {', '.join(chosen) or 'nothing'}, which is not known here",
            where=path,
            remedy="Choose a model that pools by the mean or by its first token",
        )
    return names[chosen[0]]
