"""Reports, whole slides and large fields in the browser of this machine, with deep zoom."""

from __future__ import annotations

from cryostat.report.view.server import ViewServer
from cryostat.report.view.shelf import Overlays, Shelf, shelve
from cryostat.report.view.slides import Slide, open_slide
from cryostat.report.view.tiles import Pyramid, Source

__all__ = ["Overlays", "Pyramid", "Shelf", "Slide", "Source", "ViewServer", "open_slide", "shelve"]
