"""PanNuke: nuclei of nineteen tissues in three folds, as released (npy)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from cryostat.cells.datasets.arrays import eight_bits, whole_numbers
from cryostat.cells.datasets.clinical import with_clinical
from cryostat.cells.datasets.importing import FieldSource, ImportOptions, Listing
from cryostat.cells.datasets.settings import Setting, read_settings
from cryostat.cells.field import CellClass, DatasetFacts, Field, field_from_semantic, nucleus_ids, nucleus_index
from cryostat.cells.splits import published
from cryostat.core.errors import InputError
from cryostat.core.files import read_npy

FACTS = DatasetFacts(
    name="pannuke",
    title="PanNuke: pan-cancer nuclei of nineteen tissues",
    classes=(
        CellClass(1, "Epithelial", "#00a650"),
        CellClass(2, "Dead Cells", "#ffd400"),
        CellClass(3, "Connective/Soft tissue cells", "#00c8d7"),
        CellClass(4, "Inflammatory", "#0072ff"),
        CellClass(5, "Neoplastic cells", "#e6194b"),
    ),
    mpp=0.25,
    licence="CC BY-NC-SA 4.0",
    citation="Gamper et al., PanNuke Dataset Extension, Insights and Baselines, arXiv:2003.10778, 2020",
    url="https://warwick.ac.uk/fac/cross_fac/tia/data/pannuke",
    notes=(
        "The class of a pixel is the channel with the highest instance id, channels taken in reverse; where two are"
        " equal the class with the lower id wins, and background wins over instance 1.",
        "A nucleus is all pixels that one id of one channel holds; where ids overlap the highest has the pixel.",
        "A nucleus has the commonest class of its pixels; none (class 0) where the background channel covers it.",
        "The tissue is the group tissue; patients and hospitals are not published.",
    ),
)

SETTINGS = MappingProxyType(
    {
        "pieces": Setting(
            "together",
            "together: an id is one nucleus, as released; apart: one in two pieces is two, as the benchmark counts",
            ("together", "apart"),
        )
    }
)
APART_NOTE = (
    "Read with pieces=apart, as the benchmark has it: a nucleus is a connected piece (8 neighbours) of one value in the"
    " maximum of the five nucleus channels."
)

CHANNELS = 6
"""Neoplastic, inflammatory, connective, dead, epithelial, background."""

FOLD = re.compile(r"fold[ _-]?(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class _Fold:
    """The three arrays of one fold, memory-mapped.

    Attributes:
        number: 1, 2 or 3.
        images: (n, H, W, 3) whole numbers 0 … 255, of any type.
        masks: (n, H, W, 6) instance ids in five channels, then background 0 or 1.
        tissues: n names.
        where: Path of the masks below the source folder.
    """

    number: int
    images: NDArray[Any]
    masks: NDArray[Any]
    tissues: list[str]
    where: str


def listing(source: Path, options: ImportOptions) -> Listing:
    """List the tiles of all folds that are there, in the order of folds; nothing but headers and tissues is read.

    Folds are found by a folder named `fold1`, `Fold 1` or `fold_1` anywhere above the arrays.

    Raises:
        InputError: An array is missing, damaged, pickled or of another shape, or folds cannot be told apart.
        SettingError: An option does not concern this format.
    """
    pieces = read_settings("pannuke", options, SETTINGS, uses=("clinical",))["pieces"]
    folds = [_fold(number, files, source) for number, files in sorted(_found(source).items())]
    torn = _Torn(apart=pieces == "apart")
    sources = [
        FieldSource(f"fold{fold.number}_{i}", partial(_load, fold, i, torn))
        for fold in folds
        for i in range(len(fold.tissues))
    ]
    facts = replace(FACTS, notes=(*FACTS.notes, APART_NOTE)) if torn.apart else FACTS
    found = Listing(facts, sources, partial(published, "pannuke"), remarks=torn.remarks)
    return with_clinical(found, options.clinical)


def _found(source: Path) -> dict[int, dict[str, Path]]:
    """Fold number to its files, by `images`, `masks` and `types`."""
    found: dict[int, dict[str, Path]] = {}
    for path in _arrays(source):
        files = found.setdefault(_number(path, source), {})
        if path.stem.lower() in files:
            raise InputError(
                f"{path.relative_to(source)} and {files[path.stem.lower()].relative_to(source)} are of one fold",
                where=source,
                remedy="Keep one copy of the release in the folder",
            )
        files[path.stem.lower()] = path
    if not found or not set(found) <= {1, 2, 3}:
        raise InputError(
            f"holds the folds {sorted(found) or 'none'}, not 1, 2 and 3",
            where=source,
            remedy="Unpack fold_1.zip, fold_2.zip and fold_3.zip into folders of these names",
        )
    return found


def _arrays(source: Path) -> Iterator[Path]:
    for path in sorted(source.rglob("*.npy")):
        if path.stem.lower() in ("images", "masks", "types") and "__MACOSX" not in path.parts:
            yield path


def _number(path: Path, source: Path) -> int:
    folders = (source.name, *path.relative_to(source).parts[:-1])
    numbers = {int(found[1]) for folder in folders if (found := FOLD.fullmatch(folder.strip()))}
    if len(numbers) != 1:
        raise InputError(
            f"lies below folders of {len(numbers)} folds",
            where=path,
            remedy="Name one folder above it fold1, fold2 or fold3",
        )
    return numbers.pop()


def _fold(number: int, files: Mapping[str, Path], source: Path) -> _Fold:
    for name in ("images", "masks", "types"):
        if name not in files:
            raise InputError(
                f"fold {number} has no {name}.npy", where=source, remedy="Unpack the fold's archive completely"
            )
    images, masks = read_npy(files["images"]), read_npy(files["masks"])
    tissues = read_npy(files["types"], mmap=False)
    if images.ndim != 4 or images.shape[3] != 3:
        raise _misshapen(files["images"], images, "(n, height, width, 3)")
    if masks.shape != (*images.shape[:3], CHANNELS):
        raise _misshapen(files["masks"], masks, str((*images.shape[:3], CHANNELS)))
    if tissues.shape != (len(images),) or tissues.dtype.kind not in "US":
        raise _misshapen(files["types"], tissues, f"{len(images)} names")
    names = [name.decode("latin-1") if isinstance(name, bytes) else str(name) for name in tissues.tolist()]
    return _Fold(number, images, masks, names, str(files["masks"].relative_to(source)))


def _misshapen(path: Path, array: NDArray[Any], expected: str) -> InputError:
    return InputError(
        f"holds {array.dtype} of shape {array.shape}, not {expected}",
        where=path,
        remedy="Supply the file as released, from the same fold as the others",
    )


@dataclass
class _Torn:
    """What becomes of ids that lie in several pieces, and how many pieces there are beyond the ids."""

    apart: bool
    tiles: int = 0
    nuclei: int = 0

    def instance_map(self, masks: NDArray[Any]) -> NDArray[Any]:
        """The instance map of a tile, the surplus of pieces over ids noted."""
        pieces, ids = instance_map(masks), whole_instance_map(masks)
        surplus = int(pieces.max()) - int(ids.max())
        self.tiles, self.nuclei = self.tiles + (surplus > 0), self.nuclei + max(surplus, 0)
        return pieces if self.apart else ids

    def remarks(self) -> list[str]:
        if not self.nuclei:
            return []
        what, other = ("nuclei", "together") if self.apart else ("pieces", "apart")
        return [
            f"Beyond the released ids, {what} from ids in several pieces: {self.nuclei}, in tiles: {self.tiles}; the"
            f" setting pieces={other} counts otherwise."
        ]


def _load(fold: _Fold, index: int, torn: _Torn) -> Field:
    where = f"{fold.where}[{index}]"
    masks = whole_numbers(np.array(fold.masks[index]), where, "masks")
    if masks.min() < 0 or masks[..., CHANNELS - 1].max() > 1:
        raise InputError(
            "the last of the six channels is not a background of 0 and 1, or an id is negative",
            where=where,
            remedy="Supply the masks as released, background last",
        )
    return field_from_semantic(
        f"fold{fold.number}_{index}",
        eight_bits(np.array(fold.images[index]), where),
        torn.instance_map(masks),
        class_map(masks),
        mpp=0.25,
        source=where,
        groups={"tissue": fold.tissues[index]},
    )


def class_map(masks: NDArray[Any]) -> NDArray[np.uint8]:
    """Class of each pixel, as the benchmark has it.

    Channels are reversed, so that their order is that of the class ids with background first, and the largest value
    wins; of equal values the first.

    Args:
        masks: (H, W, 6) whole numbers.

    Returns:
        (H, W) class ids.
    """
    classes: NDArray[np.uint8] = masks[..., ::-1].argmax(-1).astype(np.uint8)
    return classes


def instance_map(masks: NDArray[Any]) -> NDArray[np.uint16]:
    """Nuclei numbered from 1, as the benchmark has them.

    Args:
        masks: (H, W, 6) whole numbers.

    Returns:
        (H, W) ids: connected pieces of equal value in the maximum over the five nucleus channels.
    """
    merged: NDArray[Any] = label(masks[..., : CHANNELS - 1].max(-1))
    return merged.astype(np.uint16)


def whole_instance_map(masks: NDArray[Any]) -> NDArray[np.int32]:
    """Nuclei as released: all pixels that one id of one channel holds, where ids overlap the highest.

    Args:
        masks: (H, W, 6) whole numbers.

    Returns:
        (H, W) ids numbered from 1.
    """
    nuclei = masks[..., CHANNELS - 2 :: -1]
    highest = nuclei.max(-1).astype(np.int64)
    keys = np.where(highest > 0, highest * CHANNELS + nuclei.argmax(-1), 0)
    return nucleus_index(keys, nucleus_ids(keys))
