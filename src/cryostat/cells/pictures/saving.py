"""Pictures to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from cryostat.core.errors import SettingError
from cryostat.core.files import atomic_write

DPI = 300
"""Resolution that a file states, so that a page is set at a size fit for print."""

FORMATS: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG", "dpi": (DPI, DPI)},
    ".pdf": {"format": "PDF", "resolution": DPI, "quality": 95, "subsampling": 0},
}
"""Ending to how it is written."""


def check_ending(path: Path) -> None:
    """Raise a SettingError unless a picture can be written under this name."""
    if path.suffix.lower() not in FORMATS:
        raise SettingError(
            f"pictures are not written as {path.suffix or 'files without an ending'}",
            where=str(path),
            remedy=f"End the name in {' or '.join(FORMATS)}",
        )


def save_picture(image: Image.Image, path: Path) -> Path:
    """Write a picture as PNG or PDF, by the ending of its name, whole or not at all.

    Returns:
        The path.

    Raises:
        SettingError: The name ends otherwise.
    """
    check_ending(path)
    with atomic_write(path) as stream:
        image.save(stream, **FORMATS[path.suffix.lower()])
    return path
