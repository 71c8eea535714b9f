"""The CODEX stack of PathoCell, read only when somebody asks for a marker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cryostat.cells.datasets.hdf5 import open_hdf5
from cryostat.core.errors import InputError, SettingError

MARKERS = (
    "CD44", "FOXP3", "CDX2", "CD8", "p53", "GATA3", "CD45", "T-bet", "beta-catenin", "HLA-DR", "PD-L1", "Ki67",
    "CD45RA", "CD4", "CD21", "MUC-1", "CD30", "CD2", "Vimentin", "CD20", "LAG-3", "Na-K-ATPase", "CD5", "IDO-1",
    "Cytokeratin", "CD11b", "CD56", "aSMA", "BCL-2", "CD25", "Collagen IV", "CD11c", "PD-1", "Hoechst", "Granzyme B",
    "EGFR", "VISTA", "CD15", "CD194", "ICOS", "MMP9", "Synaptophysin", "CD71", "GFAP", "CD7", "CD3", "Chromogranin A",
    "CD163", "CD57", "CD45RO", "CD68", "CD31", "Podoplanin", "CD34", "CD38", "CD138", "MMP12", "DRAQ5",
)  # fmt: skip
"""The 58 channels in stored order."""


def marker_intensities(path: Path, markers: Sequence[str]) -> pd.DataFrame:
    """Mean CODEX intensity of each nucleus, one channel in memory at a time.

    Args:
        path: A released `regNNN_{A,B}.hdf`.
        markers: Names from `MARKERS`.

    Returns:
        One row a nucleus, cell ids ascending: fov_id, cell_id, and a float64 column a marker (raw 16-bit units).

    Raises:
        SettingError: A marker is not in the panel.
        InputError: The file is damaged, or the stack does not fit the instance map.
    """
    if unknown := [name for name in markers if name not in MARKERS]:
        raise SettingError(f"PathoCell has no marker {unknown[0]!r}", remedy=f"Choose from: {', '.join(MARKERS)}")
    with open_hdf5(path) as file:
        instances = file.array("gt_inst").squeeze()
        expected = (len(MARKERS), *instances.shape)
        if file.shape("ifl") != expected:
            raise InputError(
                f"the key 'ifl' has shape {file.shape('ifl')}, not {expected}",
                where=path,
                remedy="Supply the released file",
            )
        ids, index = np.unique(instances, return_inverse=True)
        area = np.bincount(index.ravel())
        means = {
            name: np.bincount(index.ravel(), file.array("ifl", MARKERS.index(name)).ravel()) / area for name in markers
        }
    table = pd.DataFrame({"fov_id": path.stem, "cell_id": ids.astype(np.int64), **means})
    return table[table["cell_id"] > 0].reset_index(drop=True)
