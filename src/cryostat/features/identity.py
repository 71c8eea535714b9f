"""What features are: the pixels, the encoder, the layer, the layout on disk. One identity, one store."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cryostat.core.home import Home
from cryostat.core.identity import Facts, canonical, digest

FORMAT = 1
"""Version of the layout of a store; part of every identity."""


class Label(NamedTuple):
    """The three names by which people know a store; the identity behind them may still differ."""

    dataset: str
    encoder: str
    layer: str


def feature_identity(tiles: Facts, encoder: Facts, layer: str) -> dict[str, Any]:
    """The whole identity of one layer's features, ready for JSON.

    Args:
        tiles: `TileSource.identity()`.
        encoder: `TileEncoder.identity()`.
        layer: Name of the layer.
    """
    return canonical({"tiles": tiles, "encoder": encoder, "layer": layer, "format": FORMAT})


def label_of(identity: Facts) -> Label:
    """Dataset, encoder and layer of an identity, each fit for a file name; `unnamed` where it does not tell."""
    tiles, encoder = identity.get("tiles"), identity.get("encoder")
    return Label(_name(tiles, "dataset"), _name(encoder, "encoder"), _slug(identity.get("layer")))


def store_folder(home: Home, identity: Facts) -> Path:
    """Path of the store of an identity, whether or not it is there: `<dataset>--<encoder>--<layer>--<identity16>`."""
    return home.features / "--".join([*label_of(identity), digest(identity)])


def _name(facts: Any, key: str) -> str:
    value = facts.get(key, facts.get("name")) if isinstance(facts, Mapping) else None
    return _slug(value.get("name") if isinstance(value, Mapping) else value)


def _slug(value: Any) -> str:
    text = re.sub(r"[^a-z0-9._]+", "-", str(value or "").lower()).strip("-.")
    return text[:60] or "unnamed"
