"""Weights from a file or the hub: read without running code, fitted strictly, hashed."""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from cryostat.core.errors import EncoderError, MissingExtraError
from cryostat.core.files import require_file
from cryostat.encoders.card import Card
from cryostat.encoders.loading import AS_RELEASED

AnyCard = TypeVar("AnyCard", bound=Card)

CONTAINERS = ("state_dict", "model", "module", "teacher", "student", "model_state_dict")
"""Keys under which checkpoints keep their tensors."""

FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
"""Types that weights come in; smaller ones are quantised."""

DEEPEST = 4
"""Containers within containers that are opened."""

MARKS: Mapping[str, str] = {
    "blocks.0.attn.": "a tile encoder",
    "encoder.layer.0.attention.": "a model of transformers",
    "self_attn.inner_attn_ln.": "a slide encoder",
    "mixer.qkv.": "a volume encoder",
    "embeddings.word_embeddings.": "a text encoder",
}
"""In the names of tensors, and whose file it then is."""

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
    except _DAMAGE as error:
        raise _damaged(path, error) from error


_DAMAGE = (
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    ImportError,
    MemoryError,
    struct.error,
)
"""What torch raises over files that are no checkpoints, or made to look like one."""


def _damaged(path: Path, error: Exception) -> EncoderError:
    reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    return EncoderError(
        f"is damaged or no file of weights ({reason})", where=path, remedy="Download it again; it may be incomplete"
    )


def _tensors(content: object) -> dict[str, Tensor]:
    # A dictionary in a hostile file can hold itself.
    for _ in range(DEEPEST):
        if not isinstance(content, Mapping):
            return {}
        inner = next((content[k] for k in CONTAINERS if isinstance(content.get(k), Mapping)), None)
        if inner is None:
            return {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
        content = inner
    return {}


def load_weights(
    module: nn.Module,
    card: AnyCard,
    weights: str,
    *,
    classifier: str = "",
    translate: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] | None = None,
    names: str = AS_RELEASED,
) -> AnyCard:
    """Load a file or what the hub holds into a network, every tensor and nothing else.

    Args:
        module: The network.
        card: Names the repository, for downloads and messages.
        weights: A `.safetensors` or torch file (read with `weights_only`), `hub`, or `hub@COMMIT`.
        classifier: Layer of the checkpoint that the module was built without, passed over; empty for none.
        translate: From the names of the file's tensors to those of the network.
        names: What the names must be, for the remedy.

    Returns:
        The card; its notes tell of a prefix that was taken off.

    Raises:
        InputError: The file is missing or empty.
        EncoderError: It is damaged, is another model's, or cannot be had from the hub.
    """
    source, _, revision = weights.partition("@")
    path = download_weights(card, revision or None) if source == "hub" else Path(weights)
    tensors = read_weights(path)
    wanted = f"{hub_files(card)[0]} of {card.hub_id}" if card.hub_id else "the weights of this very architecture"
    ours = translate(tensors) if translate else tensors
    prefix = fit_weights(module, ours, path, classifier, remedy=f"Supply {wanted}, with {names}")
    note = f"The prefix {prefix!r} was taken off the tensor names of {path.name}."
    return replace(card, notes=(*card.notes, note)) if prefix else card


def fit_weights(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    where: Path | str,
    classifier: str = "",
    remedy: str = f"Supply the weights of this very architecture, with {AS_RELEASED}",
) -> str:
    """Load tensors into a module, every one of them and nothing else.

    A prefix that a training framework put before every name is taken off, only where that makes all names match.

    Args:
        module: The network.
        tensors: Name to tensor.
        where: Their origin, for messages.
        classifier: Layer of the checkpoint that the module was built without, passed over; empty for none.
        remedy: What to do when they do not fit.

    Returns:
        The prefix that was taken off; empty when the names matched as they are.

    Raises:
        EncoderError: Tensors are missing, left over, of another shape, or no finite numbers; the message names them.
    """
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    best: dict[str, Tensor] | None = None
    for prefix in _prefixes(tensors):
        found = _without(classifier, _bare(tensors, prefix), wanted)
        if _shapes(found) == wanted:
            require_numbers(found, where, [n for n, t in module.state_dict().items() if not t.is_floating_point()])
            module.load_state_dict(found, strict=True)
            return prefix
        best = found if best is None or _alike(found, wanted) > _alike(best, wanted) else best
    raise _misfit(wanted, _shapes(best or {}), where, _cure(tensors, wanted) or remedy)


def _prefixes(names: Collection[str]) -> Iterator[str]:
    """None, then all that ends with a dot and stands before every name: `a.`, `a.b.` and so on."""
    yield ""
    parts = next(iter(names), "").split(".")
    stems = (".".join(parts[:length]) + "." for length in range(1, len(parts)))
    yield from (stem for stem in stems if all(name.startswith(stem) for name in names))


def _bare(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items()}


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in tensors.items()}


def _alike(tensors: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]]) -> int:
    return len(set(tensors) & set(wanted))


def _without(classifier: str, tensors: Mapping[str, Tensor], wanted: Collection[str]) -> dict[str, Tensor]:
    dropped = f"{classifier}." if classifier else None
    return {n: v for n, v in tensors.items() if n in wanted or not (dropped and n.startswith(dropped))}


def require_numbers(tensors: Mapping[str, Tensor], where: Path | str, whole: Collection[str] = ()) -> None:
    """Refuse tensors that would be cast to what they never were, and those that are not finite.

    Args:
        tensors: Name to tensor.
        where: Their origin, for messages.
        whole: Names of those that hold whole numbers; all others must be floats.

    Raises:
        EncoderError: One is quantised, complex, sparse, or holds NaN or infinity.
    """
    for name, tensor in tensors.items():
        sparse = "" if tensor.layout == torch.strided else "sparse "
        if sparse or tensor.is_complex() or (tensor.dtype in FLOATS) == (name in whole):
            raise EncoderError(
                f"the tensor {name} holds {sparse}{str(tensor.dtype).removeprefix('torch.')} numbers",
                where=where,
                remedy="Supply the weights as plain floats, neither quantised nor sparse",
            )
        if tensor.dtype in FLOATS and not bool(torch.isfinite(tensor).all()):
            raise EncoderError(
                f"the tensor {name} holds NaN or infinity", where=where, remedy="Download it again, or train it again"
            )


def _misfit(
    wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]], where: Path | str, remedy: str
) -> EncoderError:
    misshaped = [f"{n} is {found[n]} not {wanted[n]}" for n in wanted if n in found and found[n] != wanted[n]]
    complaints = [
        _some("missing", [n for n in wanted if n not in found]),
        _some("unexpected", [n for n in found if n not in wanted]),
        _some("of another shape", misshaped),
    ]
    problem = "the weights do not fit the encoder: " + "; ".join(c for c in complaints if c)
    if suspects := [kind for mark, kind in MARKS.items() if _bears(found, mark) and not _bears(wanted, mark)]:
        remedy = f"This looks like the file of {suspects[0]}; {remedy[0].lower()}{remedy[1:]}"
    return EncoderError(problem, where=where, remedy=remedy)


def _bears(names: Iterable[str], mark: str) -> bool:
    return any(mark in name for name in names)


def _cure(tensors: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]]) -> str:
    """What to do where part of the file is the encoder: name that part; empty where none is."""
    first = next(iter(wanted), "")
    for prefix in sorted({name.removesuffix(first) for name in tensors if name.endswith(first)}):
        part = {name: value for name, value in tensors.items() if name.startswith(prefix)}
        if _shapes(_bare(part, prefix)) == wanted:
            return f"Its tensors under {prefix!r} fit: save these alone, best with safetensors.torch.save_file"
    return ""


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


def hub_files(card: Card) -> tuple[str, ...]:
    """Files of a card's hub repository that may hold its weights, in order of preference."""
    return (card.hub_file,) if card.hub_file else HUB_FILES


def download_weights(card: Card, revision: str | None = None) -> Path:
    """The weights of a card's hub repository, from the local cache or the network.

    Args:
        card: Names the repository and its pinned revision.
        revision: Another commit.

    Raises:
        EncoderError: There is no repository, no network, or no permission; the remedy says what to do by hand.
        MissingExtraError: huggingface-hub is not installed.
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        raise MissingExtraError("huggingface-hub", extra="encoders", purpose="Downloading weights")
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
        except (HfHubHTTPError, OSError, ValueError) as error:
            raise _unreachable(card, revision, error) from error
    raise EncoderError(
        f"{card.hub_id} holds none of {', '.join(hub_files(card))}",
        remedy="Download its weights and use --weights PATH",
    )


def _unreachable(card: Card, revision: str | None, error: Exception) -> EncoderError:
    pinned = f" --revision {revision}" if revision else ""
    consent = "accept its terms on the hub, set HF_TOKEN, and " if card.gated else ""
    return EncoderError(
        f"the weights of {card.name} could not be had from the hub ({type(error).__name__})",
        where=card.hub_id,
        remedy=f"On a machine with network {consent}run: hf download {card.hub_id} "
        f"{hub_files(card)[0]}{pinned} — then pass the file with --weights PATH",
    )
