"""Packages that only one kind of export needs."""

from __future__ import annotations

import importlib.util

from cryostat.core.errors import MissingExtraError
from cryostat.core.extras import EXTRAS


def require(package: str, purpose: str) -> None:
    """Raise a MissingExtraError unless a package is installed.

    Args:
        package: Its import name, one of `EXTRAS`.
        purpose: What needs it, as the subject of a sentence.
    """
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(package, extra=EXTRAS[package], purpose=purpose)
