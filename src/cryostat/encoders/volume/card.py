"""The card of a volume encoder, its file on disk, and how to build what it describes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryostat.encoders.card import Card
from cryostat.encoders.reading import CardFolder


@dataclass(frozen=True)
class VolumeCard(Card):
    """Facts about a volume encoder.

    Attributes:
        width: Numbers of an embedding.
        token_mm: mm that a token covers: across slices, rows, columns; empty where there are no tokens.
        modalities: What it may be shown.
        mean: Mean of the voxels (0 to 1) it was trained on.
        std: Standard deviation of these.
    """

    width: int
    token_mm: tuple[float, ...] = ()
    modalities: tuple[str, ...] = ("MRI",)
    mean: float = 0.0
    std: float = 1.0

    def fault(self) -> str:
        """What makes the card impossible, a clause; empty when nothing does."""
        return "width and std must be positive" if self.width < 1 or self.std <= 0 else super().fault()


CARDS = CardFolder(VolumeCard, Path(__file__).parent / "cards", {"build": "factory"})


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


def shipped() -> Mapping[str, Path]:
    """Name to file of the cards that come with Cryostat."""
    return CARDS.shipped


def read_recipe(path: Path) -> VolumeRecipe:
    """Read one card file.

    Raises:
        InputError: The file is missing or not TOML.
        SettingError: A field is unknown, missing or of the wrong type, or the file does not say how to build it.
    """
    card, _, build = CARDS.read(path)
    factory, args = build["factory"], build.get("args", {})
    if set(build) - {"factory", "args"} or ":" not in factory:
        raise CARDS.wrong(path, "[build] needs a factory, module:function, and beside it only args")
    if not isinstance(args, dict) or not all(type(value) is int and value > 0 for value in args.values()):
        raise CARDS.wrong(path, "[build.args] may hold positive whole numbers only")
    return VolumeRecipe(card, factory, args)
