"""Pieces of the command line that several commands share."""

from __future__ import annotations

from collections.abc import Sequence

from cryostat.core.errors import SettingError


def key_values(pairs: Sequence[str]) -> dict[str, str]:
    """`KEY=VALUE` texts as a mapping.

    Raises:
        SettingError: One has no equals sign or no key.
    """
    found = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key.strip():
            raise SettingError(f"--set {pair!r} is not KEY=VALUE", remedy="Write for example --set lr=0.001")
        found[key.strip()] = value.strip()
    return found
