from __future__ import annotations

import numpy as np
import pytest

from cryostat.cells.synthetic.architecture import ARCHITECTURES
from cryostat.cells.synthetic.frame import Frame
from cryostat.cells.synthetic.kinds import EPITHELIAL, FIBROBLAST, LYMPHOCYTE, NAMES, PLASMA
from cryostat.cells.synthetic.layout import Layout, lay_out
from cryostat.cells.synthetic.painting import paint

FRAME = Frame(512, 0.5)
AS_USUAL = np.ones(len(NAMES), np.float32)


@pytest.fixture(scope="module")
def layouts() -> list[Layout]:
    """A field of each architecture."""
    return [lay_out(np.random.default_rng(i), FRAME, a, AS_USUAL) for i, a in enumerate(ARCHITECTURES)]


def depth_of(layout: Layout, class_id: int) -> np.ndarray:
    """How deep in a gland the nuclei of a class lie, µm."""
    at = layout.nuclei.shapes.take(layout.nuclei.table("class_id") == class_id)
    return np.asarray(layout.glands.depth_at(at.y, at.x))


def test_epithelium_lies_in_glands_and_stroma_cells_do_not(layouts: list[Layout]) -> None:
    for layout in layouts:
        assert (depth_of(layout, EPITHELIAL) > 0).mean() > 0.98
        assert (depth_of(layout, FIBROBLAST) < 0).all()
        assert (depth_of(layout, PLASMA) < 0).all()


def test_only_some_lymphocytes_have_wandered_into_the_epithelium(layouts: list[Layout]) -> None:
    inside = np.concatenate([depth_of(layout, LYMPHOCYTE) for layout in layouts]) > 0
    assert 0 < inside.mean() < 0.3


def test_fibroblasts_follow_the_fibres(layouts: list[Layout]) -> None:
    for layout in layouts:
        spindles = layout.nuclei.shapes.take(layout.nuclei.table("class_id") == FIBROBLAST)
        off = spindles.angle - layout.fibres.direction_at(spindles.y, spindles.x)
        assert np.cos(2 * off).mean() > 0.9


def test_fibres_run_round_glands(layouts: list[Layout]) -> None:
    layout = layouts[0]
    cells = layout.glands.cells
    outside = -1.5
    y, x, fits = layout.glands.standing(cells, np.full(len(cells.y), outside))
    seen = fits & (np.abs(y - 128) < 128) & (np.abs(x - 128) < 128)
    across = (layout.fibres.direction_at(y, x) - cells.inward)[seen]
    # At a right angle to the direction into the gland: cos 2·90° = −1.
    assert np.median(np.cos(2 * across)) < -0.8


def test_nuclei_lie_where_the_instance_map_says(layouts: list[Layout]) -> None:
    layout = layouts[0]
    at = layout.nuclei.shapes
    row, column = (np.floor(p / FRAME.mpp).astype(int) for p in (at.y, at.x))
    within = (row >= 0) & (row < 512) & (column >= 0) & (column < 512) & (at.lobe == 0) & (np.abs(at.bend) < 0.02)
    assert (layout.instances[row[within], column[within]] == np.flatnonzero(within) + 1).mean() > 0.97


def test_a_patient_with_more_of_a_kind_has_more_of_it() -> None:
    mix = AS_USUAL.copy()
    mix[NAMES.index("eosinophil")] = 4
    usual, many = (lay_out(np.random.default_rng(1), FRAME, ARCHITECTURES[1], m) for m in (AS_USUAL, mix))
    eosinophils = [(layout.nuclei.kind == NAMES.index("eosinophil")).sum() for layout in (usual, many)]
    assert eosinophils[1] > 2 * eosinophils[0]


def test_stain_lies_where_it_belongs(layouts: list[Layout]) -> None:
    for layout in layouts:
        haematoxylin, eosin, red = paint(np.random.default_rng(0), layout)
        inside = layout.instances > 0
        assert haematoxylin[inside].mean() > 5 * haematoxylin[~inside].mean()
        assert eosin[~inside].mean() > 0.1
        assert (red > 0.2).mean() < 0.05
        assert min(layer.min() for layer in (haematoxylin, eosin, red)) >= 0


def test_lumens_are_clear(layouts: list[Layout]) -> None:
    layout = layouts[0]
    axis = FRAME.centres()
    lumen = layout.glands.depth_map(axis) > layout.glands.wall_map(axis) + 2
    haematoxylin, eosin, _ = paint(np.random.default_rng(0), layout)
    assert lumen.any()
    assert np.median((haematoxylin + eosin)[lumen & (layout.instances == 0)]) < 0.12
