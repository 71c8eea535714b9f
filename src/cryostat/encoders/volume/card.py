"""Cards of volume encoders: one TOML file each, read without loading any framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryostat.core.errors import SettingError
from cryostat.core.files import read_toml

FOLDER = Path(__file__).parent / "cards"
"""The cards that come with Cryostat."""

ACCESS = ("open", "gated", "local")


@dataclass(frozen=True)
class VolumeCard:
    """Facts about a volume encoder.

    Attributes:
        name: Registry name, lower case with hyphens.
        title: Name in full.
        architecture: What it is.
        width: Numbers of an embedding.
        token_mm: mm that a token covers: across slices, rows, columns; empty where there are no tokens.
        modalities: What it may be shown.
        licence: Licence of the weights.
        training_data: What it has seen, in words.
        trained_on: The same as names of sources; empty means unknown, `nothing` means untrained.
        hub_id: Repository on the Hugging Face hub, or None.
        hub_file: File of the weights there, or None for the usual names.
        revision: Pinned commit on the hub, or None.
        access: Who gets the weights: `open` to all, `gated` by a login and consent, or `local` as a file of one's own.
        parameters: Parameter count, or None when there are none to count.
        mean: Mean of the voxels (0 to 1) it was trained on.
        std: Standard deviation of these.
        citation: How to cite it.
        notes: Traps worth knowing, one sentence each.
    """

    name: str
    title: str
    architecture: str
    width: int
    token_mm: tuple[float, ...] = ()
    modalities: tuple[str, ...] = ("MRI",)
    licence: str = ""
    training_data: str = ""
    trained_on: tuple[str, ...] = ()
    hub_id: str | None = None
    hub_file: str | None = None
    revision: str | None = None
    access: str = "open"
    parameters: int | None = None
    mean: float = 0.0
    std: float = 1.0
    citation: str = ""
    notes: tuple[str, ...] = ()

    @property
    def gated(self) -> bool:
        """The hub asks for a login and consent."""
        return self.access == "gated"


@dataclass(frozen=True)
class VolumeRecipe:
    """How to build a volume encoder.

    Attributes:
        card: Its facts.
        factory: `module:function`, called with the card and a `VolumeOrder`.
        args: Arguments of the network's constructor.
    """

    card: VolumeCard
    factory: str
    args: Mapping[str, int] = field(default_factory=dict)


@lru_cache(maxsize=1)
def shipped() -> Mapping[str, Path]:
    """Name to file of the cards that come with Cryostat."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}


def read_recipe(path: Path) -> VolumeRecipe:
    """Read one card file.

    Raises:
        InputError: The file is missing or not TOML.
        SettingError: A field is unknown, missing or of the wrong type, or the file does not say how to build it.
    """
    content = read_toml(path)
    if set(content) != {"card", "build"} or not all(isinstance(part, dict) for part in content.values()):
        raise _wrong(path, "needs the sections [card] and [build], and no others")
    build = content["build"]
    factory, args = build.get("factory"), build.get("args", {})
    if set(build) - {"factory", "args"} or not isinstance(factory, str) or ":" not in factory:
        raise _wrong(path, "[build] needs a factory, module:function, and beside it only args")
    if not isinstance(args, dict) or not all(isinstance(v, int) and not isinstance(v, bool) for v in args.values()):
        raise _wrong(path, "[build.args] may hold whole numbers only")
    return VolumeRecipe(_card(path, content["card"]), factory, args)


def _card(path: Path, table: Mapping[str, Any]) -> VolumeCard:
    known = {f.name: f for f in fields(VolumeCard)}
    if unknown := sorted(set(table) - set(known)):
        raise _wrong(path, f"[card] has an unknown field {unknown[0]!r}")
    if lacking := [name for name, f in known.items() if f.default is MISSING and name not in table]:
        raise _wrong(path, f"[card] lacks {lacking[0]!r}")
    for name, value in table.items():
        if not _fits(value, str(known[name].type)):
            raise _wrong(path, f"[card] {name} = {value!r} is not {known[name].type}")
    facts: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in table.items()}
    card = VolumeCard(**facts)
    if card.access not in ACCESS:
        raise _wrong(path, f"[card] access {card.access!r} is not one of {', '.join(ACCESS)}")
    if card.width < 1 or card.std <= 0:
        raise _wrong(path, "[card] width and std must be positive")
    return card


def _fits(value: Any, annotation: str) -> bool:
    kind = annotation.split(" |")[0]
    if kind.startswith("tuple["):
        inner = kind.removeprefix("tuple[").split(",")[0]
        return isinstance(value, list) and all(_fits(item, inner) for item in value)
    if isinstance(value, bool):
        return kind == "bool"
    return isinstance(value, {"str": (str,), "int": (int,), "float": (int, float)}.get(kind, ()))


def _wrong(path: Path, problem: str) -> SettingError:
    return SettingError(problem, where=path, remedy="Compare it with a card of cryostat/encoders/volume/cards")
