"""Who lives where: the nuclei of a field, placed without overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryostat.cells.synthetic.architecture import Architecture
from cryostat.cells.synthetic.frame import MARGIN, Floats, Frame, scatter
from cryostat.cells.synthetic.glands import Glands
from cryostat.cells.synthetic.kinds import KINDS, NAMES
from cryostat.cells.synthetic.noise import interpolate
from cryostat.cells.synthetic.packing import without_overlaps
from cryostat.cells.synthetic.shapes import HARMONICS, Shapes
from cryostat.cells.synthetic.stroma import Fibres

SHEET = 33.0
"""Cells tried in 1000 µm² of a gland without a lumen."""

ROW = 8.0
"""µm from one row of nuclei to the next in a stratified epithelium."""

BORDER = 1.2
"""µm that stroma nuclei keep from the basement membrane."""


@dataclass(frozen=True)
class Nuclei:
    """The nuclei of a field: outlines and (n,) number of the kind, index into `kinds.NAMES`."""

    shapes: Shapes
    kind: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, which: NDArray[np.generic]) -> Nuclei:
        """The nuclei of an index or a mask."""
        return Nuclei(self.shapes.take(which), self.kind[which])

    @staticmethod
    def join(*parts: Nuclei) -> Nuclei:
        """Several populations in one."""
        return Nuclei(Shapes.join([p.shapes for p in parts]), np.concatenate([p.kind for p in parts]))

    def table(self, column: str) -> Floats:
        """(n,) a number of the table of kinds for each nucleus."""
        return np.array([getattr(k, column) for k in KINDS.values()], np.float32)[self.kind]

    def drawn(self, rng: np.random.Generator, column: str) -> Floats:
        """(n,) a draw from the (mean, deviation) of a column of the table of kinds, clipped at 2.5 deviations."""
        mean, deviation = np.array([getattr(k, column) for k in KINDS.values()], np.float32)[self.kind].T
        unit = np.clip(rng.standard_normal(len(self), dtype=np.float32), -2.5, 2.5)
        drawn: Floats = mean + deviation * unit
        return drawn


def populate(
    rng: np.random.Generator,
    frame: Frame,
    architecture: Architecture,
    glands: Glands,
    fibres: Fibres,
    vessels: Shapes,
    mix: Floats,
) -> Nuclei:
    """Nuclei of a field, none of which overlaps another by much.

    Args:
        rng: Random stream of the layout.
        frame: The field.
        architecture: How the tissue is built.
        glands: Where the glands are.
        fibres: Where the fibres run.
        vessels: What nuclei keep clear of.
        mix: (kinds,) factor by which the patient has more or fewer of each kind.
    """
    lining = _lining(rng, architecture, glands)
    guests = _intraepithelial(rng, architecture, glands, mix)
    sheets = _sheets(rng, frame, architecture, glands)
    stroma = _stroma(rng, frame, architecture, glands, fibres, mix)
    nuclei = Nuclei.join(guests, lining, sheets, stroma)
    seen = _touches(nuclei.shapes, frame)
    nuclei = nuclei.take(seen)
    room = np.where(nuclei.table("class_id") == 1, 0.05, 0.45)
    room = np.append(np.full(len(vessels), 0.6), room).astype(np.float32)
    kept = without_overlaps(Shapes.join([vessels, nuclei.shapes]), room)
    return nuclei.take(kept[len(vessels) :])


def _touches(shapes: Shapes, frame: Frame) -> NDArray[np.bool_]:
    reach = shapes.reach()
    inside = (shapes.y > -reach) & (shapes.y < frame.extent + reach)
    inside &= (shapes.x > -reach) & (shapes.x < frame.extent + reach)
    return inside


def _nuclei(rng: np.random.Generator, kind: NDArray[np.intp], y: Floats, x: Floats, angle: Floats) -> Nuclei:
    """Nuclei of given kinds at given places, their forms drawn from the table."""
    blank = Nuclei(Shapes.plain(y, x, angle, y, x), kind)
    n = len(kind)
    length = np.maximum(blank.drawn(rng, "length"), 3)
    width = length / np.maximum(blank.drawn(rng, "aspect"), 1.02)
    amplitude = blank.table("wobble")[:, None] * np.array([1.0, 0.8, 0.6], np.float32)
    phase = rng.uniform(0, 2 * np.pi, (n, len(HARMONICS)))
    wobble = amplitude * np.abs(rng.standard_normal((n, len(HARMONICS)))) * np.exp(1j * phase)
    shapes = Shapes.plain(
        y,
        x,
        angle,
        length / 2,
        width / 2,
        bend=blank.table("bend") * rng.standard_normal(n) * 4 / length,
        taper=np.clip(blank.table("taper") * rng.standard_normal(n), -0.3, 0.3),
        lobe=blank.table("lobe") * length * rng.uniform(0.85, 1.1, n),
        wobble=wobble.astype(np.complex64),
    )
    return Nuclei(shapes, kind)


def _number(name: str) -> int:
    return NAMES.index(name)


def _lining(rng: np.random.Generator, architecture: Architecture, glands: Glands) -> Nuclei:
    """The nuclei of the gland epithelium, upright on the basement membrane."""
    cells = glands.cells
    cells = cells.take(6.0 + ROW * cells.layer < cells.wall - 6)
    n = len(cells.y)
    spread = 0.9 if architecture.glands.layers == 1 else 1.8
    depth = np.clip(6.0 + ROW * cells.layer + rng.normal(0, spread, n), 3.2, cells.wall - 6)
    depth = np.where(cells.goblet, rng.normal(3.6, 0.5, n), depth)
    tilt = np.where(cells.goblet, np.pi / 2 + rng.normal(0, 0.35, n), rng.normal(0, 0.16, n))
    y, x, fits = glands.standing(cells, depth)
    kind = np.where(cells.goblet, _number("goblet"), _number(architecture.epithelium))
    order = np.argsort(cells.layer + 0.5 * rng.random(n), kind="stable")
    order = order[fits[order]]
    return _nuclei(rng, kind[order], y[order], x[order], (cells.inward + tilt)[order])


def _intraepithelial(rng: np.random.Generator, architecture: Architecture, glands: Glands, mix: Floats) -> Nuclei:
    """Lymphocytes that have wandered in between the epithelial cells."""
    cells, kind = glands.cells, _number("lymphocyte")
    chosen = rng.random(len(cells.y)) < architecture.intraepithelial * mix[kind]
    cells = cells.take(chosen & (cells.layer == 0))
    y, x, fits = glands.standing(cells, rng.uniform(3.5, 8, len(cells.y)))
    y, x = y[fits], x[fits]
    angle = rng.uniform(0, np.pi, len(y)).astype(np.float32)
    return _nuclei(rng, np.full(len(y), kind), y, x, angle)


def _sheets(rng: np.random.Generator, frame: Frame, architecture: Architecture, glands: Glands) -> Nuclei:
    """Cells that fill glands without a lumen."""
    y, x = scatter(rng, frame, SHEET if glands.solid.any() else 0)
    inside = (glands.depth_at(y, x) > 4) & glands.solid_at(y, x)
    y, x = y[inside], x[inside]
    angle = rng.uniform(0, np.pi, len(y)).astype(np.float32)
    return _nuclei(rng, np.full(len(y), _number(architecture.epithelium)), y, x, angle)


def _stroma(
    rng: np.random.Generator, frame: Frame, architecture: Architecture, glands: Glands, fibres: Fibres, mix: Floats
) -> Nuclei:
    """Immune cells in clusters and fibroblasts along the fibres, in random order."""
    parts = [
        _stroma_kind(rng, frame, _number(name), density * mix[_number(name)], architecture.clustering.get(name, 0.3))
        for name, density in architecture.stroma.items()
    ]
    kind = np.concatenate([np.full(len(y), k) for k, y, _ in parts])
    y, x = (np.concatenate([part[i] for part in parts]).astype(np.float32) for i in (1, 2))
    order = rng.permutation(len(y))
    kind, y, x = kind[order], y[order], x[order]
    spindle = np.array([k.class_id == 5 for k in KINDS.values()])[kind]
    free = -glands.depth_at(y, x) > np.where(spindle, BORDER + 0.6, BORDER + 2.4)
    kind, y, x, spindle = kind[free], y[free], x[free], spindle[free]
    fibre = fibres.direction_at(y, x) + rng.normal(0, 0.16, len(y))
    angle = np.where(spindle, fibre, rng.uniform(0, np.pi, len(y)))
    return _nuclei(rng, kind, y, x, angle.astype(np.float32))


def _stroma_kind(
    rng: np.random.Generator, frame: Frame, kind: int, density: float, clustering: float
) -> tuple[int, Floats, Floats]:
    """Points of a log-Gaussian Cox process: cells of one kind are dense here, rare there."""
    y, x = scatter(rng, frame, density * 1.35 * np.exp(0.5 * clustering**2))
    knots = int((frame.extent + MARGIN) / 40) + 6
    cloud = rng.standard_normal((knots, knots), dtype=np.float32) / np.float32(0.479)
    row, column = ((p + MARGIN / 2) / 40 + 1 for p in (y, x))
    intensity = np.exp(clustering * (_spline_at(cloud, row, column)) - clustering**2)
    kept = rng.random(len(y)) < intensity
    return kind, y[kept], x[kept]


def _spline_at(grid: Floats, rows: Floats, columns: Floats) -> Floats:
    fine = np.linspace(1, len(grid) - 3, (len(grid) - 4) * 4 + 1, dtype=np.float32)
    dense = interpolate(grid, fine, fine)
    index = [np.clip(np.rint((p - 1) * 4).astype(np.intp), 0, len(fine) - 1) for p in (rows, columns)]
    values: Floats = dense[index[0], index[1]]
    return values
