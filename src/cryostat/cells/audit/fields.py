"""Each field of view by itself: do image, mask and table fit, and is what they show plausible."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from cryostat.cells.audit.alignment import Fit, fit
from cryostat.cells.audit.report import Finding, Severity, places
from cryostat.cells.audit.thumbnails import absorbance, coverage
from cryostat.cells.dataset import CellDataset
from cryostat.core.errors import CryostatError
from cryostat.core.files import safe_name

SMALLEST, LARGEST = 4.0, 500.0
"""Plausible area of a nucleus in µm²; a lymphocyte has about 30, a giant tumour nucleus some hundreds."""
MEDIAN = (10.0, 200.0)
"""Plausible median area in µm²; outside, the scale is probably wrong."""
SATURATED, BLACK = 0.5, 0.25
"""Share of pixels at the ends of the range from which on a field is reported."""


BROKEN = frozenset({"unreadable", "shapes differ", "table and mask differ"})
"""Kinds of problem after which nuclei cannot be counted in a field."""


class Check(NamedTuple):
    """How one kind of problem is reported: severity, what it is (followed by the number of fields), and what to do."""

    severity: Severity
    what: str
    remedy: str


CHECKS: Mapping[str, Check] = {
    "unreadable": Check("error", "fields that cannot be read", "Import the dataset again"),
    "shapes differ": Check("error", "fields whose image, mask and table differ in size", "Import the dataset again"),
    "table and mask differ": Check(
        "error", "fields whose mask and cells.parquet name different nuclei", "Import the dataset again"
    ),
    "class id without a name": Check(
        "error", "fields whose pixel labels hold class ids that the dataset does not name", "Name the classes"
    ),
    "mask turned": Check(
        "error",
        "fields whose mask fits the image far better when turned",
        "Correct the orientation at the source and import again; look first with: cryostat data show NAME",
    ),
    "mask shifted": Check(
        "warning",
        "fields whose mask fits the image better when moved",
        "Look with: cryostat data show NAME, and register masks to images at the source",
    ),
    "mask unrelated": Check(
        "warning",
        "fields whose nuclei are no darker than what surrounds them",
        "Look with: cryostat data show NAME; mask and image may belong to different fields",
    ),
    "blank image": Check("error", "images of one colour", "Leave these fields out"),
    "saturated": Check("warning", "images of which half or more is saturated", "Check the conversion to 8 bits"),
    "black": Check(
        "warning", "images of which a quarter or more is black", "Crop the padding, or leave the fields out"
    ),
    "8 bits in 16": Check(
        "warning",
        "images with 16 bits but no value above 255",
        "Import them as 8-bit images; scaled by the 16-bit range they would be black",
    ),
    "nucleus in pieces": Check(
        "note", "fields with nuclei whose pixels do not hang together", "Check whether one id names two nuclei"
    ),
    "no nuclei": Check("note", "fields without a nucleus", ""),
}


@dataclass(frozen=True)
class Look:
    """What one field of view shows.

    Attributes:
        fov_id: The field.
        problems: Kind of problem (a key of `CHECKS`) and a detail, as `(12 nuclei)`, or nothing.
        thumbnail: Absorbance at 1 µm per pixel; None where the image cannot be used.
        fit: How the mask lies on the image, where that can be said.
    """

    fov_id: str
    problems: tuple[tuple[str, str], ...]
    thumbnail: NDArray[np.float32] | None = None
    fit: Fit | None = None

    @property
    def whole(self) -> bool:
        """Whether image, mask and table can be used together."""
        return self.thumbnail is not None and not {kind for kind, _ in self.problems} & BROKEN


def look_at(dataset: CellDataset, fov_id: str) -> Look:
    """Check one field of view; whatever is wrong becomes a problem of the look, not an exception."""
    try:
        image, instances = np.asarray(dataset.image(fov_id)), np.asarray(dataset.instances(fov_id))
    except CryostatError as error:
        return Look(fov_id, (("unreadable", error.problem),))
    stated = (int(dataset.fovs.at[fov_id, "height"]), int(dataset.fovs.at[fov_id, "width"]))
    if not image.shape[:2] == instances.shape == stated or image.ndim != 3:
        detail = f"image {image.shape[:2]}, mask {instances.shape}, table {stated}"
        return Look(fov_id, (("shapes differ", detail),))
    mpp = dataset.mpp(fov_id)
    dark = absorbance(image, mpp)
    lie = fit(dark, coverage(instances, mpp))
    problems = [
        *_of_image(image),
        *_of_nuclei(instances, dataset.cells_of(fov_id)["cell_id"].to_numpy()),
        *_of_labels(dataset, fov_id),
        *_of_fit(lie, mpp),
    ]
    return Look(fov_id, tuple(problems), dark, lie)


def _of_image(image: NDArray[Any]) -> Iterator[tuple[str, str]]:
    low, high = int(image.min()), int(image.max())
    if low == high:
        yield "blank image", f"all {low}"
        return
    top = np.iinfo(image.dtype).max
    if image.dtype == np.uint16 and high <= 255:
        yield "8 bits in 16", ""
    red, green, blue = (image[..., channel] for channel in range(3))
    if (share := float((np.minimum(np.minimum(red, green), blue) == top).mean())) >= SATURATED:
        yield "saturated", f"{share:.0%}"
    if (share := float((red | green | blue == 0).mean())) >= BLACK:
        yield "black", f"{share:.0%}"


def _of_nuclei(instances: NDArray[Any], listed: NDArray[np.int64]) -> Iterator[tuple[str, str]]:
    found = np.flatnonzero(np.bincount(instances.ravel()))
    found = found[found > 0]
    if not np.array_equal(found, np.sort(listed)):
        yield "table and mask differ", f"{len(np.setxor1d(found, listed))} nuclei"
    if not len(found):
        yield "no nuclei", ""
        return
    pieces = label(instances.astype(np.int32, copy=False), background=0, connectivity=2)
    if int(pieces.max()) > len(found):
        first = np.unique(pieces, return_index=True)[1][1:]
        broken = np.count_nonzero(np.bincount(instances.ravel()[first]) > 1)
        yield "nucleus in pieces", f"{broken} of {len(found)}"


def _of_labels(dataset: CellDataset, fov_id: str) -> Iterator[tuple[str, str]]:
    if not (dataset.folder / "semantic" / f"{safe_name(fov_id)}.npy").exists():
        return
    labels, instances = np.asarray(dataset.semantic(fov_id)), dataset.instances(fov_id)
    if labels.shape != instances.shape:
        yield "shapes differ", f"pixel labels {labels.shape}, mask {instances.shape}"
        return
    named = {0, *(c.id for c in dataset.classes)}
    if strangers := sorted(set(np.unique(labels).tolist()) - named):
        yield "class id without a name", ", ".join(map(str, strangers))


def _of_fit(lie: Fit | None, mpp: float) -> Iterator[tuple[str, str]]:
    if lie is None:
        return
    if lie.better_turn:
        yield "mask turned", lie.better_turn
    elif lie.better_shift:
        pixels = [round(step / min(1.0, mpp)) for step in lie.better_shift]
        yield "mask shifted", f"{pixels[0]:+d} rows, {pixels[1]:+d} columns"
    elif lie.unrelated:
        yield "mask unrelated", f"correlation {lie.given:.2f}"


def field_findings(looks: Iterable[Look]) -> Iterator[Finding]:
    """One finding a kind of problem, naming the fields."""
    met: dict[str, list[str]] = {}
    for look in looks:
        for kind, detail in look.problems:
            met.setdefault(kind, []).append(f"{look.fov_id} ({detail})" if detail else look.fov_id)
    for kind, check in CHECKS.items():
        if fovs := met.get(kind):
            yield Finding(check.severity, kind, f"{check.what}: {len(fovs)}", places(fovs), check.remedy)


def orientation_finding(looks: Iterable[Look]) -> Iterator[Finding]:
    """An error when the masks of small fields, each too small to tell, fit better turned one way on average."""
    fits = [look.fit for look in looks if look.fit is not None]
    if any(lie.better_turn for lie in fits) or not fits:
        return
    shared = set.intersection(*(set(lie.turns) for lie in fits))
    given = float(np.mean([lie.given for lie in fits]))
    chance = float(np.sqrt(np.mean([lie.chance**2 for lie in fits]) / len(fits)))
    means = {name: float(np.mean([lie.turns[name] for lie in fits])) for name in sorted(shared)}
    best = max(means, key=means.__getitem__)
    if means[best] > max(2 * given, given + 0.03 + 4 * chance):
        yield Finding(
            "error",
            "mask turned",
            f"over all fields the masks fit better when {best} (correlation {means[best]:.2f}, as given {given:.2f})",
            "",
            CHECKS["mask turned"].remedy,
        )


def size_findings(dataset: CellDataset) -> Iterator[Finding]:
    """Nuclei of implausible area, and a scale that makes the median implausible."""
    cells = dataset.cells
    if cells.empty:
        return
    mpp = cells["fov_id"].map(dataset.fovs["mpp"]).to_numpy(float)
    area = cells["area"].to_numpy(float) * mpp**2
    median = float(np.median(area))
    if not MEDIAN[0] <= median <= MEDIAN[1]:
        yield Finding(
            "warning",
            "scale",
            f"the median nucleus measures {median:.3g} µm²; {MEDIAN[0]:.0f} to {MEDIAN[1]:.0f} would be plausible",
            f"{np.median(mpp):g} µm per pixel",
            "Check the scale and import again with --mpp",
        )
    for what, wrong in (("smaller than", area < SMALLEST), ("larger than", area > LARGEST)):
        if wrong.any():
            limit = SMALLEST if what == "smaller than" else LARGEST
            fovs = [f"{fov} ({n:,})" for fov, n in cells.loc[wrong, "fov_id"].value_counts().items()]
            clause = f"nuclei {what} {limit:g} µm²: {int(wrong.sum()):,} of {len(area):,}"
            yield Finding("note", "nucleus size", clause, places(fovs))
