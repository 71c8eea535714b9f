"""Arctique: rendered H&E of colon with exact masks.

Released as `train/` and `test/`, each with `images/img_<id>.png` and `masks/{semantic,instance}/<id>.tif`; without the
two parts the same folders may lie in the source itself. The generator names its id masks `semantic_indexing` and
`instance_indexing`, beside pictures of them; those are read where they are. Masks may be named .png and hold TIFF:
files are read by their content.

The published loader turned images against masks, so each field is checked: its nuclei must be darker than their
surroundings as they lie, not when transposed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.cells.dataset import Split
from cryostat.cells.datasets.folders import IMAGES, LABELS, by_stem, numeric_order, partner
from cryostat.cells.datasets.images import read_image, read_labels
from cryostat.cells.datasets.importing import FieldSource, ImportOptions, Listing
from cryostat.cells.datasets.settings import Setting, read_settings
from cryostat.cells.datasets.stain import contrast, evidence, haematoxylin
from cryostat.cells.field import CellClass, DatasetFacts, Field, field_from_semantic
from cryostat.core.errors import InputError

FACTS = DatasetFacts(
    name="arctique",
    title="Arctique: rendered colon tissue with exact masks",
    classes=(
        CellClass(1, "Epithelial", "#1f5fbf"),
        CellClass(2, "Plasma Cells", "#f28e2b"),
        CellClass(3, "Lymphocytes", "#2a9d4a"),
        CellClass(4, "Eosinophils", "#d00000"),
        CellClass(5, "Fibroblasts", "#ffd166"),
    ),
    mpp=0.29,
    licence="As stated on Zenodo record 14016860",
    citation="Arctique: an artificial histopathological dataset (Zenodo 14016860, 2024)",
    url="https://zenodo.org/records/14016860",
    notes=(
        "The scale follows from the generator's defaults: 147 µm over 512 px.",
        "The generator numbers classes by first appearance: where a type is absent from a field, later ids may shift.",
        "Each field is checked for masks that fit the image only when transposed.",
    ),
)

SETTINGS: Mapping[str, Setting] = {
    "orientation": Setting("as-stored", "masks as stored, or transposed", ("as-stored", "transposed")),
    "alignment": Setting("check", "refuse masks that fit better when transposed: check, skip", ("check", "skip")),
}

DOUBT = 5.0
"""Standard errors by which the transposed masks must lie on darker pixels before a field is refused. Of 108 quarters of
the CoNSeP training images, the stored masks were ahead in all (by 2.4 for 3 nuclei, 16 in the median); chance
alone puts the wrong orientation 5 ahead less than once in a million fields."""


@dataclass(frozen=True)
class _Part:
    """A part of the release: its name (empty for a flat folder) and its files by id."""

    name: str
    folder: Path
    images: Mapping[str, Path]
    instances: Mapping[str, Path]
    semantic: Mapping[str, Path]

    @property
    def ids(self) -> list[str]:
        return sorted({*self.images, *self.instances, *self.semantic}, key=numeric_order)


def listing(source: Path, options: ImportOptions) -> Listing:
    """List the released parts, or one flat folder.

    Raises:
        InputError: There is no folder of images and masks, or two files claim one id.
        SettingError: An option that this format cannot honour.
    """
    chosen = read_settings("arctique", options, SETTINGS, uses=("mpp",))
    parts = _parts(source)
    seen = Counter(name for part in parts for name in part.ids)
    facts = replace(FACTS, mpp=options.mpp or FACTS.mpp)
    load = partial(_load, source=source, mpp=facts.mpp or 0.0, chosen=chosen)
    sources = []
    for part in parts:
        for name in part.ids:
            fov = f"{part.name}_{name}" if seen[name] > 1 else name
            sources.append(FieldSource(fov, partial(load, part, name, fov)))
    return Listing(facts, sources, splits=_splits)


def _splits(fovs: pd.DataFrame) -> list[Split]:
    from cryostat.cells.splits import published

    return published("arctique", fovs)


def _parts(source: Path) -> list[_Part]:
    folders = [("train", source / "train"), ("test", source / "test"), ("", source)]
    found = [_part(name, folder) for name, folder in folders if (folder / "images").is_dir()]
    if not found:
        raise InputError(
            "holds neither train/images, test/images nor images",
            where=source,
            remedy="Name the folder in which the release was unpacked",
        )
    return found


def _part(name: str, folder: Path) -> _Part:
    images = {_image_id(path): path for path in by_stem(folder / "images", IMAGES - {".npy"}).values()}
    instances, semantic = (
        by_stem(_masks(folder, kind), LABELS - {".npy", ".mat"}) for kind in ("instance", "semantic")
    )
    return _Part(name, folder, images, instances, semantic)


def _masks(folder: Path, kind: str) -> Path:
    true_ids = folder / "masks" / f"{kind}_indexing"
    return true_ids if true_ids.is_dir() else folder / "masks" / kind


def _image_id(path: Path) -> str:
    if not re.fullmatch(r"img_\d+", path.stem):
        raise InputError("is not named as released", where=path, remedy="Name images as img_1.png")
    return path.stem.removeprefix("img_")


def _load(part: _Part, name: str, fov: str, *, source: Path, mpp: float, chosen: Mapping[str, str]) -> Field:
    image_path = partner(part.images, name, "image", part.folder / "images")
    image = read_image(image_path)
    instances = read_labels(partner(part.instances, name, "instance mask", _masks(part.folder, "instance")))
    semantic = read_labels(partner(part.semantic, name, "semantic mask", _masks(part.folder, "semantic")))
    if chosen["orientation"] == "transposed":
        instances, semantic = np.ascontiguousarray(instances.T), np.ascontiguousarray(semantic.T)
    field = field_from_semantic(
        fov,
        image,
        instances,
        semantic,
        mpp=mpp,
        source=str(image_path.relative_to(source)),
        groups={"release_part": part.name} if part.name else {},
    )
    if chosen["alignment"] == "check":
        check_orientation(image, instances, image_path, chosen["orientation"])
    return field


def check_orientation(image: NDArray[Any], instances: NDArray[Any], path: Path, orientation: str) -> None:
    """Refuse masks whose transpose fits a square image clearly better.

    Args:
        image: (H, W, 3) H&E.
        instances: (H, W) nucleus ids as they are to be used.
        path: File, for messages.
        orientation: How `instances` were read, `as-stored` or `transposed`; the remedy names the other.

    Raises:
        InputError: Nuclei of the transposed mask are darker than their surroundings by `DOUBT` standard errors more.
    """
    if image.shape[0] != image.shape[1]:
        return
    stain = haematoxylin(image)
    as_used, turned = contrast(stain, instances), contrast(stain, instances.T)
    ahead = evidence(turned, as_used)
    if ahead > DOUBT and turned.mean() > 0:
        other = "transposed" if orientation == "as-stored" else "as-stored"
        raise InputError(
            f"nuclei lie on darker pixels when the masks are turned about the diagonal "
            f"({turned.mean():.3f} against {as_used.mean():.3f} in optical density, {ahead:.0f} standard errors)",
            where=path,
            remedy=f"Import with --set orientation={other}",
        )
