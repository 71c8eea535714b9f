"""One field of view of synthetic tissue."""

from __future__ import annotations

import numpy as np

from cryostat.cells.field import Field
from cryostat.cells.synthetic.architecture import ARCHITECTURES, Architecture
from cryostat.cells.synthetic.frame import Floats, Frame
from cryostat.cells.synthetic.kinds import NAMES
from cryostat.cells.synthetic.layout import lay_out
from cryostat.cells.synthetic.painting import paint
from cryostat.cells.synthetic.staining import render, stain_of
from cryostat.core.errors import SettingError

LAYOUT, PAINT, SCAN, PATIENT, HOSPITAL = range(5)
"""Numbers of the random streams: changing how one is used leaves the others as they were."""

MIX_SPREAD = 0.3
"""Standard deviation (log) of how many cells of a kind a patient has."""


def make_field(seed: int, hospital: int, patient: int, field: int, *, size: int = 512, mpp: float = 0.5) -> Field:
    """One field of view; the same arguments give the same bits on one machine, whatever else is made.

    Args:
        seed: Seed of the whole collection, 0 or more.
        hospital: Number of the hospital, from 1.
        patient: Number of the patient in the hospital, from 1.
        field: Number of the field in the patient, from 1.
        size: Side, px.
        mpp: µm per pixel.

    Returns:
        A field with ids 1 … n, every nucleus in one piece, named like `h1-p03-f2`, of the patient `h1-p03` and
        the site `hospital-1`, with the group `architecture`.

    Raises:
        SettingError: A number is negative, or size and scale show no tissue.
    """
    if min(seed, hospital, patient, field) < 0:
        raise SettingError(
            f"seed {seed}, hospital {hospital}, patient {patient}, field {field}: one is negative",
            remedy="Number them from 0 or 1",
        )
    frame, architecture = Frame(size, mpp), architecture_of(seed, hospital, patient)
    slide = np.random.default_rng([PATIENT, seed, hospital, patient])
    stain = stain_of(hospital, np.random.default_rng([HOSPITAL, seed, hospital]), slide)
    streams = [np.random.default_rng([stream, seed, hospital, patient, field]) for stream in (LAYOUT, PAINT, SCAN)]
    layout = lay_out(streams[0], frame, architecture, _patient_mix(slide))
    image = render(streams[2], frame, paint(streams[1], layout), stain)
    patient_id = f"h{hospital}-p{patient:02d}"
    return Field(
        fov_id=f"{patient_id}-f{field}",
        image=image,
        instances=layout.instances,
        cell_ids=np.arange(1, len(layout.nuclei) + 1),
        class_ids=layout.nuclei.table("class_id").astype(np.int64),
        purity=np.ones(len(layout.nuclei), np.float32),
        semantic=None,
        mpp=mpp,
        patient_id=patient_id,
        site=f"hospital-{hospital}",
        groups={"architecture": architecture.name},
        source="synthetic",
    )


def architecture_of(seed: int, hospital: int, patient: int) -> Architecture:
    """How a patient's tissue is built; the patients of a hospital have all kinds in turn."""
    return ARCHITECTURES[(seed + hospital + patient) % len(ARCHITECTURES)]


def _patient_mix(slide: np.random.Generator) -> Floats:
    """(kinds,) factor by which a patient has more or fewer of each kind of cell."""
    mix: Floats = np.exp(slide.normal(0, MIX_SPREAD, len(NAMES))).astype(np.float32)
    return mix
