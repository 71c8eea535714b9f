"""What each kind of cell looks like, as a table.

Lengths are in µm, haematoxylin in units of a typical nucleus, eosin in units of dense collagen.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryostat.cells.field import CellClass

Range = tuple[float, float]
"""Mean and standard deviation."""

CLASSES = (
    CellClass(1, "Epithelial", "#2a9d3a"),
    CellClass(2, "Lymphocyte", "#1f5fd0"),
    CellClass(3, "Plasma cell", "#f2b705"),
    CellClass(4, "Eosinophil", "#e4261c"),
    CellClass(5, "Fibroblast", "#12b5c9"),
)
"""The cell types of synthetic tissue."""

EPITHELIAL, LYMPHOCYTE, PLASMA, EOSINOPHIL, FIBROBLAST = (c.id for c in CLASSES)


@dataclass(frozen=True)
class Body:
    """The cytoplasm that is drawn round a nucleus.

    Attributes:
        radius: Mean radius.
        aspect: Length over width.
        offset: How far its centre lies from the nucleus', which makes the nucleus eccentric.
        haematoxylin: Stain of the cytoplasm (basophilia).
        eosin: Likewise.
        red: Stain of eosinophil granules.
        grain: How granular it is.
        opacity: How much of what lies below is replaced.
        hof: Paleness of the Golgi zone beside the nucleus.
    """

    radius: Range
    aspect: float
    offset: Range
    haematoxylin: float
    eosin: float
    red: float = 0.0
    grain: float = 0.3
    opacity: float = 0.9
    hof: float = 0.0


@dataclass(frozen=True)
class Kind:
    """A kind of cell: its class and how its nucleus varies.

    Attributes:
        class_id: Class that its nucleus is labelled with.
        length: Long diameter of the nucleus.
        aspect: Length over width.
        wobble: Bumpiness of the outline, relative.
        bend: Standard deviation of the sagitta over the length.
        density: Haematoxylin in the nucleus.
        rim: Extra density at the membrane.
        clump: Contrast of the chromatin.
        cartwheel: Contrast of radial clumps.
        nucleolus: Extra density of a nucleolus; present in about half of the nuclei.
        eosin: Eosin in the nucleus.
        taper: Standard deviation of the egg shape.
        lobe: Distance of two lobes from the centre, as a share of their length; 0 for one lobe.
        body: The cytoplasm, where the kind has one of its own.
    """

    class_id: int
    length: Range
    aspect: Range
    wobble: float
    bend: float
    density: Range
    rim: float
    clump: float
    cartwheel: float = 0.0
    nucleolus: float = 0.0
    eosin: float = 0.3
    taper: float = 0.1
    lobe: float = 0.0
    body: Body | None = None


KINDS = {
    "enterocyte": Kind(
        EPITHELIAL,
        length=(8.6, 0.9),
        aspect=(1.65, 0.22),
        wobble=0.035,
        bend=0.03,
        density=(0.78, 0.12),
        rim=0.45,
        clump=0.30,
        nucleolus=0.35,
    ),
    "goblet": Kind(
        EPITHELIAL,
        length=(7.6, 0.9),
        aspect=(1.9, 0.3),
        wobble=0.05,
        bend=0.08,
        density=(0.95, 0.12),
        rim=0.25,
        clump=0.22,
    ),
    "tumour": Kind(
        EPITHELIAL,
        length=(11.2, 2.0),
        aspect=(1.6, 0.3),
        wobble=0.07,
        bend=0.05,
        density=(0.80, 0.18),
        rim=0.5,
        clump=0.32,
        nucleolus=0.6,
        taper=0.16,
    ),
    "lymphocyte": Kind(
        LYMPHOCYTE,
        length=(6.6, 0.6),
        aspect=(1.14, 0.09),
        wobble=0.035,
        bend=0.0,
        density=(1.22, 0.14),
        rim=0.12,
        clump=0.24,
        body=Body((4.1, 0.3), 1.05, (0.2, 0.2), 0.10, 0.16, opacity=0.75),
    ),
    "plasma cell": Kind(
        PLASMA,
        length=(6.7, 0.6),
        aspect=(1.14, 0.09),
        wobble=0.03,
        bend=0.0,
        density=(1.10, 0.14),
        rim=0.22,
        clump=0.22,
        cartwheel=0.14,
        body=Body((5.4, 0.5), 1.3, (2.0, 0.5), 0.34, 0.40, grain=0.2, opacity=0.88, hof=0.7),
    ),
    "eosinophil": Kind(
        EOSINOPHIL,
        length=(4.3, 0.4),
        aspect=(1.15, 0.12),
        wobble=0.05,
        bend=0.06,
        density=(1.15, 0.15),
        rim=0.1,
        clump=0.18,
        lobe=0.42,
        body=Body((5.0, 0.4), 1.15, (1.6, 0.6), 0.04, 0.5, red=0.56, grain=0.32, opacity=0.93),
    ),
    "fibroblast": Kind(
        FIBROBLAST,
        length=(13.5, 2.8),
        aspect=(4.6, 1.0),
        wobble=0.05,
        bend=0.07,
        density=(0.92, 0.16),
        rim=0.18,
        clump=0.2,
    ),
    "activated fibroblast": Kind(
        FIBROBLAST,
        length=(11.5, 1.8),
        aspect=(2.4, 0.45),
        wobble=0.06,
        bend=0.07,
        density=(0.66, 0.12),
        rim=0.4,
        clump=0.28,
        nucleolus=0.3,
    ),
}
"""Kind of cell by name; the order gives each its number."""

NAMES = tuple(KINDS)
"""Names of the kinds; the place of a name is the kind's number."""
