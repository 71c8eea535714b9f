"""Encoders of ours on the files of patients; what is encoded once is found again, patient by patient."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryostat.cases.embeddings.arrays import Embedding
from cryostat.core.errors import InputError, SettingError
from cryostat.core.files import read_npy, write_npy
from cryostat.core.identity import digest

if TYPE_CHECKING:
    from cryostat.encoders.slide.base import SlideEncoder
    from cryostat.encoders.slide.coordinates import TileCoordinates
    from cryostat.encoders.text.base import TextEncoder
    from cryostat.encoders.volume.base import VolumeEncoder

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Shelf:
    """Vectors of one encoder on disk, each under a hash of what was encoded: neither ids nor texts are stored.

    Attributes:
        folder: Of this encoder's identity.
    """

    folder: Path

    def recalled(self, content: Any, encode: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        """(d,) float32: what is stored for this content, else what `encode` gives, then stored."""
        path = self.folder / f"{digest(content, 32)}.npy"
        if path.exists():
            try:
                found = read_npy(path, mmap=False)
                if found.ndim == 1 and found.dtype == np.float32:
                    return found
            except InputError:
                pass  # a damaged one is made again
        found = encode()
        write_npy(path, found)
        return found


def checked_options(load: Callable[..., Any], options: Options, own: Sequence[str], where: str) -> dict[str, Any]:
    """Those options that a loader takes; `own` are for us.

    Raises:
        SettingError: An option is neither, or of another kind than the loader's default.
    """
    keywords = inspect.signature(load).parameters.values()
    known = {p.name: p.default for p in keywords if p.kind is p.KEYWORD_ONLY}
    for name in options:
        if name not in (*known, *own):
            close = difflib.get_close_matches(name, [*known, *own], 1)
            hint = f"Did you mean {close[0]}? " if close else ""
            raise SettingError(
                f"has no option {name!r}",
                where=where,
                remedy=f"{hint}Choose from {', '.join((*known, *own)) or 'none'}",
            )
        if name in known and not _fits(options[name], known[name]):
            raise SettingError(
                f"has {name} = {options[name]!r}", where=where, remedy=f"Write it as its default, {known[name]!r}, is"
            )
    return {name: value for name, value in options.items() if name in known}


def _fits(value: Any, default: Any) -> bool:
    """Whether an option is of the kind of its default; where there is none, any single value is."""
    if default is None or default is inspect.Parameter.empty:
        return isinstance(value, str | int | float)
    kinds = (int, float) if isinstance(default, float) else type(default)
    return isinstance(value, kinds) and isinstance(value, bool) == isinstance(default, bool)


def text_vector(encoder: TextEncoder, text: str, shelf: Shelf) -> NDArray[np.float32]:
    """(d,) embedding of one report."""
    return shelf.recalled({"text": text}, lambda: encoder.encode([text])[0])


def slide_vector(encoder: SlideEncoder, tiles: Embedding, content: str, side: float | None, shelf: Shelf) -> Embedding:
    """The embedding of one slide.

    Args:
        encoder: Ours.
        tiles: Its tiles.
        content: Hash of its file.
        side: Side of a tile in level-0 px as the manifest says; None: as the file does.
        shelf: Where embeddings are kept.

    Raises:
        InputError: The encoder needs to know where tiles lie, and the file does not tell, or tells what cannot be.
    """
    where = _places(tiles, side) if encoder.card.needs_coordinates else None
    facts = {"file": content, "side": (side or tiles.tile_side) if where is not None else None}
    vector = shelf.recalled(facts, lambda: encoder.encode(tiles.values, where).vector)
    return Embedding(vector[None], tiles.where, len(tiles.values))


def _places(tiles: Embedding, side: float | None) -> TileCoordinates:
    from cryostat.encoders.slide.coordinates import TileCoordinates

    if tiles.coords is None:
        raise InputError(
            "does not tell where its tiles lie", where=tiles.where, remedy="Supply coords (k, 2) beside the features"
        )
    known = side or tiles.tile_side
    if known is None:
        raise InputError(
            "does not tell the scale of its coordinates",
            where=tiles.where,
            remedy="Say how many level-0 px wide a tile is: options = { tile_side = 512 } for 40× slides",
        )
    return TileCoordinates.from_level0(tiles.coords, known)


def volume_vector(
    encoder: VolumeEncoder,
    series: Mapping[str, Path],
    masks: Mapping[str, Path],
    content: Callable[[Path], str],
    shelf: Shelf,
) -> NDArray[np.float32]:
    """(d,) embedding of the series of one patient.

    Args:
        encoder: Ours.
        series: Name to file.
        masks: `tumour` and `brain`, where there are such.
        content: Hash of a file.
        shelf: Where embeddings are kept.

    Raises:
        InputError: A file is no volume, or cannot be encoded.
    """
    from cryostat.encoders.volume.nifti import read_volume

    facts = {
        "series": {name: content(path) for name, path in series.items()},
        "masks": {name: content(path) for name, path in masks.items()},
    }

    def encode() -> NDArray[np.float32]:
        return encoder.encode([read_volume(path, name=name, **masks) for name, path in series.items()]).vector

    return shelf.recalled(facts, encode)
