"""The plan of a field before any stain: glands, fibres, vessels and nuclei, and the truth about the nuclei."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryostat.cells.synthetic.architecture import Architecture
from cryostat.cells.synthetic.frame import Floats, Frame
from cryostat.cells.synthetic.glands import Glands
from cryostat.cells.synthetic.masks import instance_map
from cryostat.cells.synthetic.population import Nuclei, populate
from cryostat.cells.synthetic.shapes import Raster, Shapes, rasterise
from cryostat.cells.synthetic.stroma import Fibres
from cryostat.cells.synthetic.vessels import capillaries

FRINGE = 1.6
"""µm outside a nucleus up to which its soft edge may reach."""


@dataclass(frozen=True)
class Layout:
    """What lies where in a field.

    Attributes:
        frame: The field.
        architecture: How the tissue is built.
        glands: Where the glands are.
        fibres: Where the fibres of the stroma run.
        vessels: The capillaries.
        nuclei: The nuclei; the one of index i has id i + 1.
        raster: Their pixels, up to `FRINGE` outside.
        instances: (size, size) ids of the nuclei.
    """

    frame: Frame
    architecture: Architecture
    glands: Glands
    fibres: Fibres
    vessels: Shapes
    nuclei: Nuclei
    raster: Raster
    instances: NDArray[np.int32]


def lay_out(rng: np.random.Generator, frame: Frame, architecture: Architecture, mix: Floats) -> Layout:
    """Plan a field.

    Args:
        rng: Random stream of the layout.
        frame: The field.
        architecture: How the tissue is built.
        mix: (kinds,) factor by which the patient has more or fewer of each kind of cell.
    """
    glands = Glands(rng, frame, architecture.glands)
    fibres = Fibres(rng, frame, glands)
    vessels = capillaries(rng, frame, glands, fibres)
    nuclei = populate(rng, frame, architecture, glands, fibres, vessels, mix)
    raster = rasterise(nuclei.shapes, frame, FRINGE)
    instances, kept = instance_map(raster, len(nuclei), frame)
    # A nucleus of which nothing countable is in sight is not drawn either: every dark spot has its label.
    seen, raster = nuclei.take(kept), raster.of(kept, len(nuclei))
    return Layout(frame, architecture, glands, fibres, vessels, seen, raster, instances)
