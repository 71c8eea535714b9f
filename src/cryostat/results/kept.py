"""What resampling found, kept beside a run under a hash of all that it was computed from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryostat.core.errors import InputError
from cryostat.core.files import read_json
from cryostat.core.identity import digest
from cryostat.results.tallies import keep_text

INTERVALS = "intervals.json"
"""A further file of a run's folder: intervals and comparisons that begin with this run."""

FORMAT = 4
"""Version of the file; raised when the same predictions would now get other figures."""

MOST = 200
"""How many results a file keeps; the oldest go."""


def kept(folder: Path | None, facts: Any, make: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """What was computed before from the same facts, else what `make` computes, which is then kept.

    Args:
        folder: Folder of a run; None keeps nothing. Where it cannot be written, nothing is kept.
        facts: All that determines the result.
        make: Computes it, ready for JSON.
    """
    if folder is None:
        return make()
    path, key = folder / INTERVALS, digest(facts)
    found = _read(path).get(key)
    if not isinstance(found, Mapping):
        found = make()
        known = {**_read(path), key: found}
        newest = dict(list(known.items())[-MOST:])
        keep_text(path, json.dumps({"format": FORMAT, "kept": newest}, ensure_ascii=False, allow_nan=False))
    return found


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        facts = read_json(path)
    except (InputError, OSError):
        return {}  # damaged: it is made again
    if not isinstance(facts, Mapping) or facts.get("format") != FORMAT or not isinstance(facts.get("kept"), Mapping):
        return {}
    return dict(facts["kept"])
