from __future__ import annotations

import numpy as np
import pytest

from cryostat.cells.synthetic.architecture import ARCHITECTURES, Architecture
from cryostat.cells.synthetic.frame import Frame
from cryostat.cells.synthetic.glands import Glands

FRAME = Frame(512, 0.5)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
def test_cells_stand_on_the_basement_membrane_and_point_inwards(architecture: Architecture) -> None:
    glands = Glands(np.random.default_rng(3), FRAME, architecture.glands)
    cells = glands.cells
    assert len(cells.y) > 30
    seen = (np.abs(cells.y - 128) < 128) & (np.abs(cells.x - 128) < 128)
    assert np.median(np.abs(glands.depth_at(cells.y, cells.x)[seen])) < 1
    _, _, fits = glands.standing(cells, np.full(len(cells.y), 8.0))
    assert fits[seen].mean() > 0.95


def test_depth_at_points_and_on_the_map_agree() -> None:
    glands = Glands(np.random.default_rng(5), FRAME, ARCHITECTURES[0].glands)
    depth, axis = glands.depth_map(FRAME.centres()), FRAME.centres()
    rows, columns = np.random.default_rng(0).integers(0, 512, (2, 400))
    near = np.abs(depth[rows, columns]) < 15
    assert np.abs(glands.depth_at(axis[rows], axis[columns]) - depth[rows, columns])[near].max() < 1.5
