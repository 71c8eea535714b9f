"""Cryostat: what frozen foundation models of oncology imaging can really do.

import cryostat as cs

tissue = cs.load_dataset("lizard")
encoder = cs.load_encoder("vit_small_patch16_224", weights="vit.safetensors")
features = cs.encode(encoder, tissue)
run = cs.fit(features, head="cell-probe", split="glas", seed=0)
run.scores()

cohort = cs.load_cohort("cohort.toml")
run = cs.fit(cohort, task="idh", method="core-bt")
run.lattice()                                            # every subset of the modalities
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryostat.cases.cohort import load_cohort
    from cryostat.cells.dataset import load_dataset
    from cryostat.cells.datasets import import_dataset
    from cryostat.cells.runs.material import encode
    from cryostat.cells.scoring.external import score_predictions
    from cryostat.core.errors import CryostatError
    from cryostat.core.home import Home
    from cryostat.encoders.plugins import tile_encoder
    from cryostat.encoders.registry import load_encoder
    from cryostat.encoders.slide.registry import load_slide_encoder
    from cryostat.encoders.text import load_text_encoder
    from cryostat.encoders.volume.registry import load_volume_encoder
    from cryostat.fitting import fit

__version__ = "0.1.0"

__all__ = [
    "CryostatError",
    "Home",
    "encode",
    "fit",
    "import_dataset",
    "load_cohort",
    "load_dataset",
    "load_encoder",
    "load_slide_encoder",
    "load_text_encoder",
    "load_volume_encoder",
    "score_predictions",
    "tile_encoder",
]

_PLACES = {
    "CryostatError": "cryostat.core.errors",
    "Home": "cryostat.core.home",
    "encode": "cryostat.cells.runs.material",
    "fit": "cryostat.fitting",
    "import_dataset": "cryostat.cells.datasets",
    "load_cohort": "cryostat.cases.cohort",
    "load_dataset": "cryostat.cells.dataset",
    "load_encoder": "cryostat.encoders.registry",
    "load_slide_encoder": "cryostat.encoders.slide.registry",
    "load_text_encoder": "cryostat.encoders.text",
    "load_volume_encoder": "cryostat.encoders.volume.registry",
    "score_predictions": "cryostat.cells.scoring.external",
    "tile_encoder": "cryostat.encoders.plugins",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module 'cryostat' has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
