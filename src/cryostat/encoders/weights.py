"""Weights from a file or the hub: read without running code, fitted strictly, hashed."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from cryostat.core.errors import EncoderError
from cryostat.core.files import require_file
from cryostat.encoders.card import EncoderCard

PREFIXES = (
    "module.",
    "model.",
    "backbone.",
    "encoder.",
    "teacher.backbone.",
    "student.backbone.",
    "vit.",
    "dinov2.",
    "dinov2_with_registers.",
)
"""Prefixes that frameworks put before the names of an encoder's tensors."""

CONTAINERS = ("state_dict", "model", "module", "teacher", "student", "model_state_dict")
"""Keys under which checkpoints keep their tensors."""

HUB_FILES = ("model.safetensors", "pytorch_model.bin")
"""Names of the weights of a timm model on the hub, in order of preference."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a `.safetensors` file, or of a torch file read with `weights_only`.

    Raises:
        InputError: The file is missing or empty.
        EncoderError: It is damaged, holds pickled code, or holds no tensors.
    """
    require_file(path)
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    tensors = _tensors(content)
    if not tensors:
        raise EncoderError("holds no tensors", where=path, remedy="Name the file of the encoder's state dict")
    return tensors


def _read_safetensors(path: Path) -> object:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error


def _read_torch(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise EncoderError(
            "holds more than plain tensors, and reading that could run code",
            where=path,
            remedy="Save model.state_dict() alone, best with safetensors.torch.save_file",
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, UnicodeDecodeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> EncoderError:
    reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    return EncoderError(
        f"is damaged or no file of weights ({reason})", where=path, remedy="Download it again; it may be incomplete"
    )


def _tensors(content: object) -> dict[str, Tensor]:
    while isinstance(content, Mapping):
        inner = next((content[k] for k in CONTAINERS if isinstance(content.get(k), Mapping)), None)
        if inner is None:
            return {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
        content = inner
    return {}


def fit_weights(module: nn.Module, tensors: Mapping[str, Tensor], where: Path | str, classifier: str = "") -> str:
    """Load tensors into a module, every one of them and nothing else.

    A prefix that a training framework put before every name is taken off, only where that makes all names match.

    Args:
        module: The network.
        tensors: Name to tensor.
        where: Their origin, for messages.
        classifier: Layer of the checkpoint that the module was built without, passed over; empty for none.

    Returns:
        The prefix that was taken off; empty when the names matched as they are.

    Raises:
        EncoderError: Tensors are missing, left over or of another shape; the message names them.
    """
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    for prefix in ("", *PREFIXES):
        if not all(name.startswith(prefix) for name in tensors):
            continue
        found = _without(classifier, {name.removeprefix(prefix): value for name, value in tensors.items()}, wanted)
        if {name: tuple(value.shape) for name, value in found.items()} == wanted:
            module.load_state_dict(found, strict=True)
            return prefix
    left = _without(classifier, tensors, wanted)
    raise _misfit(wanted, {name: tuple(value.shape) for name, value in left.items()}, where)


def _without(classifier: str, tensors: Mapping[str, Tensor], wanted: Collection[str]) -> dict[str, Tensor]:
    dropped = f"{classifier}." if classifier else None
    return {n: v for n, v in tensors.items() if n in wanted or not (dropped and n.startswith(dropped))}


def _misfit(
    wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], where: Path | str
) -> EncoderError:
    misshaped = [f"{n} is {found[n]} not {wanted[n]}" for n in wanted if n in found and found[n] != wanted[n]]
    complaints = [
        _some("missing", [n for n in wanted if n not in found]),
        _some("unexpected", [n for n in found if n not in wanted]),
        _some("of another shape", misshaped),
    ]
    return EncoderError(
        "the weights do not fit the encoder: " + "; ".join(c for c in complaints if c),
        where=where,
        remedy="Supply the weights of this very architecture, with the names of its timm implementation",
    )


def _some(what: str, names: list[str]) -> str:
    shown = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    return f"{len(names)} {what} ({shown})" if names else ""


def weights_sha256(module: nn.Module) -> str:
    """Hex SHA-256 over the names, types, shapes and bytes of a module's parameters and buffers, names ascending."""
    return tensors_sha256(module.state_dict())


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """`weights_sha256` of tensors by name."""
    state = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        plain = tensor.detach().cpu().contiguous()
        state.update(f"{name}|{plain.dtype}|{tuple(plain.shape)}|".encode())
        state.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    return state.hexdigest()


def hub_files(card: EncoderCard) -> tuple[str, ...]:
    """Files of a card's hub repository that may hold its weights, in order of preference."""
    return (card.hub_file,) if card.hub_file else HUB_FILES


def download_weights(card: EncoderCard, revision: str | None = None) -> Path:
    """The weights of a card's hub repository, from the local cache or the network.

    Args:
        card: Names the repository and its pinned revision.
        revision: Another commit.

    Raises:
        EncoderError: There is no repository, no network, or no permission; the remedy says what to do by hand.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    if card.hub_id is None:
        raise EncoderError(
            f"{card.name} has no repository on the hub", remedy="Give its weights as a file with --weights PATH"
        )
    revision = revision or card.revision
    for name in hub_files(card):
        try:
            return Path(hf_hub_download(card.hub_id, name, revision=revision))
        except LocalEntryNotFoundError as error:
            raise _unreachable(card, revision, error) from error
        except EntryNotFoundError:
            continue
        except (HfHubHTTPError, OSError) as error:
            raise _unreachable(card, revision, error) from error
    raise EncoderError(
        f"{card.hub_id} holds none of {', '.join(hub_files(card))}",
        remedy="Download its weights and use --weights PATH",
    )


def _unreachable(card: EncoderCard, revision: str | None, error: Exception) -> EncoderError:
    pinned = f" --revision {revision}" if revision else ""
    consent = "accept its terms on the hub, set HF_TOKEN, and " if card.gated else ""
    return EncoderError(
        f"the weights of {card.name} could not be had from the hub ({type(error).__name__})",
        where=card.hub_id,
        remedy=f"On a machine with network {consent}run: hf download {card.hub_id} "
        f"{hub_files(card)[0]}{pinned} — then pass the file with --weights PATH",
    )
