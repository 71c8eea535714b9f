"""Importers: each reads one dataset exactly as released into the canonical form.

A format is one module with `FACTS` and `listing(source, options)`; a new dataset is one such file and one line in
`FORMATS`.
"""

from __future__ import annotations

from cryostat.cells.datasets.importing import FORMATS, FieldSource, ImportOptions, import_dataset

__all__ = ["FORMATS", "FieldSource", "ImportOptions", "import_dataset"]
