"""Synthetic tissue: H&E-like fields of view with exact nuclei and classes, from several hospitals, for demo and tests.

`make_field` draws one field of view, `make_dataset` a whole dataset with splits.
"""

from cryostat.cells.synthetic.dataset import make_dataset
from cryostat.cells.synthetic.kinds import CLASSES
from cryostat.cells.synthetic.tissue import make_field

__all__ = ["CLASSES", "make_dataset", "make_field"]
