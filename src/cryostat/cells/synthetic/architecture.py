"""How tissue is built in health, inflammation and tumour, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cryostat.cells.synthetic.glands import GlandStyle


@dataclass(frozen=True)
class Architecture:
    """A way in which tissue is built.

    Attributes:
        name: Name, the value of the group `architecture`.
        glands: How glands look.
        epithelium: Kind of cell that lines the glands.
        basophilia: Haematoxylin of the cytoplasm of the epithelium.
        stroma: Kind of stroma cell to its number in 1000 µm² of stroma.
        clustering: How unevenly kinds are spread, by kind; 0 is evenly.
        fibre: How long strands of collagen run: a doubling each.
        collagen: Eosin of the stroma.
        looseness: Share of the stroma that is clear.
        intraepithelial: Lymphocytes for each epithelial cell.
    """

    name: str
    glands: GlandStyle
    epithelium: str
    basophilia: float
    stroma: Mapping[str, float]
    clustering: Mapping[str, float]
    fibre: int
    collagen: float
    looseness: float
    intraepithelial: float


CLUSTERING = {"lymphocyte": 1.1, "plasma cell": 0.8, "eosinophil": 0.7}

ARCHITECTURES = (
    Architecture(
        "healthy",
        GlandStyle(
            spacing=(84, 104),
            radius=(0.40, 0.46),
            stretch=(1.0, 1.6),
            irregularity=0.04,
            wall=(26, 34),
            pitch=5.2,
            layers=1,
            goblets=(2.0, 3.0),
            loss=0.04,
            solid=0.0,
            cleft=0.15,
        ),
        "enterocyte",
        0.16,
        {
            "lymphocyte": 4.2,
            "plasma cell": 3.4,
            "eosinophil": 0.7,
            "fibroblast": 2.6,
            "activated fibroblast": 1.2,
        },
        CLUSTERING,
        fibre=2,
        collagen=0.40,
        looseness=0.50,
        intraepithelial=0.05,
    ),
    Architecture(
        "inflamed",
        GlandStyle(
            spacing=(96, 124),
            radius=(0.34, 0.43),
            stretch=(1.0, 1.8),
            irregularity=0.07,
            wall=(20, 28),
            pitch=5.4,
            layers=1,
            goblets=(3.5, 8.0),
            loss=0.22,
            solid=0.0,
            cleft=0.2,
        ),
        "enterocyte",
        0.16,
        {
            "lymphocyte": 8.0,
            "plasma cell": 4.6,
            "eosinophil": 1.1,
            "fibroblast": 2.0,
            "activated fibroblast": 1.2,
        },
        CLUSTERING | {"lymphocyte": 1.5},
        fibre=2,
        collagen=0.40,
        looseness=0.52,
        intraepithelial=0.12,
    ),
    Architecture(
        "tumour",
        GlandStyle(
            spacing=(105, 150),
            radius=(0.33, 0.45),
            stretch=(1.0, 1.9),
            irregularity=0.13,
            wall=(24, 36),
            pitch=6.6,
            layers=3,
            goblets=None,
            loss=0.15,
            solid=0.25,
            cleft=0.55,
        ),
        "tumour",
        0.25,
        {
            "lymphocyte": 2.0,
            "plasma cell": 0.7,
            "eosinophil": 0.3,
            "fibroblast": 2.6,
            "activated fibroblast": 2.0,
        },
        CLUSTERING,
        fibre=4,
        collagen=0.55,
        looseness=0.36,
        intraepithelial=0.03,
    ),
)
"""The architectures, one a patient."""
