"""Models of transformers from a local folder: its own code only, every tensor accounted for, nothing unpickled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers import MODEL_MAPPING, AutoConfig
from transformers.utils import logging

from cryostat.core.errors import EncoderError, InputError
from cryostat.core.files import read_json, require_file, require_folder
from cryostat.encoders.weights import HUB_FILES, read_weights, require_numbers

_WHOLE = (torch.int64, torch.int32, torch.bool)
"""Types of tables of positions and the like; smaller whole numbers are quantised weights."""

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"

_TROUBLE = (ValueError, TypeError, LookupError, AttributeError, OSError, RuntimeError, ArithmeticError)
"""What transformers raises over a configuration that it cannot use."""


def is_folder(name: str) -> bool:
    """True for a folder with the configuration of a model."""
    return Path(name).is_dir() and (Path(name) / CONFIG).is_file()


def read_config(folder: Path) -> Any:
    """The configuration of a folder's model.

    Raises:
        InputError: There is no configuration, or it cannot be read.
        EncoderError: The model needs code that transformers does not have; that of the folder is never run.
    """
    require_folder(folder)
    path = folder / CONFIG
    content = read_json(path)
    kind = content.get("model_type") if isinstance(content, dict) else None
    if not isinstance(kind, str):
        raise InputError("does not say its model_type", where=path, remedy="Name the folder of a transformers model")
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (*_TROUBLE, StrictDataclassError) as error:
        raise _unknown(path, kind, "auto_map" in content, error) from error


def _unknown(path: Path | str, kind: str, own_code: bool, error: Exception) -> EncoderError:
    import transformers

    why = " and brings code of its own, which is never run" if own_code else ""
    return EncoderError(
        f"transformers {transformers.__version__} cannot read this model ({kind}){why}: {_first_line(error)}",
        where=path,
        remedy="Install a release of transformers that has it, or wrap the model in a Python file of your own "
        "(cryostat encoders template)",
    )


def read_folder_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder: one file, or the shards that an index names.

    Raises:
        InputError: There is no file of weights.
        EncoderError: One is damaged or holds pickled code.
    """
    for name in HUB_FILES:
        if (folder / name).is_file():
            return read_weights(folder / name)
    if (folder / INDEX).is_file():
        return _shards(folder, read_json(folder / INDEX))
    raise InputError(
        f"holds none of {', '.join((*HUB_FILES, INDEX))}", where=folder, remedy="Put the weights beside config.json"
    )


def _shards(folder: Path, index: Any) -> dict[str, Tensor]:
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise InputError("has no weight_map", where=folder / INDEX, remedy="Download it again")
    tensors: dict[str, Tensor] = {}
    for name in sorted(set(places.values())):
        require_file(folder / Path(name).name)
        tensors.update(read_weights(folder / Path(name).name))
    return tensors


def build_model(config: Any, where: Path | str) -> Any:
    """An untrained model without a pooler, in eval mode, frozen.

    Raises:
        EncoderError: transformers has no such model, or cannot build it.
    """
    kind = _class(config, where)
    try:
        model = kind(config)
    except _TROUBLE as error:
        raise _unknown(where, str(config.model_type), False, error) from error
    return _finished(model)


def load_model(config: Any, tensors: Mapping[str, Tensor], where: Path) -> tuple[Any, tuple[str, ...]]:
    """A model with a checkpoint's tensors; transformers translates names that older releases of it wrote.

    Returns:
        The model without a pooler, in eval mode, frozen; and the names of tensors of other heads, passed over.

    Raises:
        EncoderError: Tensors are missing, left over, of another shape, or no finite floats; the message names them.
    """
    kind = _class(config, where)
    require_numbers(tensors, where, [n for n, t in tensors.items() if t.dtype in _WHOLE])
    try:
        with _quiet():
            model, told = kind.from_pretrained(
                None,
                config=config,
                state_dict=dict(tensors),
                output_loading_info=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
            )
    except _TROUBLE as error:
        raise EncoderError(
            f"the weights do not fit the model: {_first_line(error)}", where=where, remedy=_REMEDY
        ) from error
    missing = sorted(key for key in told["missing_keys"] if not key.startswith("pooler."))
    others = sorted(key for key in told["unexpected_keys"] if not key.startswith("pooler."))
    # Every tensor of the body must find its place; those of heads lie beside its prefix.
    prefix = f"{kind.base_model_prefix}."
    bare = not any(key.startswith(prefix) for key in tensors)
    left = [key for key in others if bare or key.startswith(prefix)]
    misshaped = [f"{key} is {tuple(theirs)} not {tuple(ours)}" for key, theirs, ours in sorted(told["mismatched_keys"])]
    if missing or left or misshaped:
        complaints = (_some("missing", missing), _some("unexpected", left), _some("of another shape", misshaped))
        raise EncoderError(
            "the weights do not fit the model: " + "; ".join(filter(None, complaints)), where=where, remedy=_REMEDY
        )
    return _finished(model), tuple(others)


_REMEDY = "Supply the weights that belong to this config.json"


def _class(config: Any, where: Path | str) -> Any:
    try:
        kind = MODEL_MAPPING[type(config)]
    except KeyError as error:
        raise EncoderError(
            f"transformers has no plain model for {config.model_type!r}", where=where, remedy="Choose another model"
        ) from error
    return kind[0] if isinstance(kind, tuple | list) else kind


def _finished(model: Any) -> Any:
    # Tokens are read, never what a pooler makes of them; checkpoints of many models have none.
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    return model.eval().requires_grad_(False)


def _some(what: str, names: list[str]) -> str:
    shown = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    return f"{len(names)} {what} ({shown})" if names else ""


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence: transformers reports on stderr and draws bars; what matters of it becomes our error."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
