"""GeoJSON as QuPath exports it: one polygon a nucleus, in pixels of the image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import InputError
from cryostat.core.files import read_json

Ring = NDArray[np.float64]
"""(k, 2) vertices x, y."""

KINDS: Mapping[str, str] = {
    "PathCellObject": "cell",
    "PathDetectionObject": "detection",
    "PathAnnotationObject": "annotation",
    "PathTileObject": "tile",
    "PathRootObject": "root",
    "TMACoreObject": "tma_core",
}
"""Object kinds of QuPath before 0.4, which stand in the feature's id, to today's `objectType`."""


@dataclass(frozen=True)
class Outline:
    """One object of a GeoJSON file.

    Attributes:
        number: Position in the file, from 1.
        kind: QuPath's object type: cell, detection, annotation ...; empty when not stated.
        class_name: Classification, derived classes joined by ": "; empty when the object has none.
        parts: Polygons, each the outer ring and its holes; empty when the geometry cannot be used.
        fault: Why the geometry cannot be used, or empty.
        properties: All that the file tells of the object besides.
    """

    number: int
    kind: str
    class_name: str
    parts: tuple[tuple[Ring, ...], ...]
    fault: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


def read_outlines(path: Path, prefer: str = "nucleusGeometry") -> list[Outline]:
    """The objects of a FeatureCollection, of one Feature, or of a bare list of features.

    Args:
        path: The file.
        prefer: Member of a feature that replaces `geometry` where it is there.

    Raises:
        InputError: The file is no JSON, or not of that form.
    """
    return [_outline(feature, number, path, prefer) for number, feature in enumerate(_features(path), 1)]


def _features(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        content = read_json(path)
    except (RecursionError, ValueError) as error:
        raise InputError(
            "is nested too deeply, or holds numbers too long to read", where=path, remedy="Export it again from QuPath"
        ) from error
    if isinstance(content, Mapping):
        content = content.get("features") if content.get("type") == "FeatureCollection" else [content]
    if not isinstance(content, list):
        raise InputError("holds no list of features", where=path, remedy="Export objects as GeoJSON from QuPath")
    for number, feature in enumerate(content, 1):
        if not isinstance(feature, Mapping) or "geometry" not in feature:
            raise InputError(f"entry {number} is no GeoJSON feature", where=path, remedy="Export it again from QuPath")
        yield feature


def _outline(feature: Mapping[str, Any], number: int, path: Path, prefer: str) -> Outline:
    properties = feature.get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    kind = properties.get("objectType") or properties.get("object_type") or KINDS.get(str(feature.get("id")), "")
    name = _class_name(properties.get("classification"), number, path)
    geometry = feature.get(prefer) or properties.get(prefer) or feature["geometry"]
    parts, fault = _parts(geometry)
    return Outline(number, str(kind).lower(), name, parts, fault, properties)


def _class_name(classification: Any, number: int, path: Path) -> str:
    """QuPath writes {"name": "Tumor", "color": …}, {"names": ["Tumor", "Positive"], …}, or a bare name."""
    if isinstance(classification, Mapping):
        names = classification.get("names")
        classification = ": ".join(map(str, names)) if isinstance(names, list) else classification.get("name")
    if classification is None:
        return ""
    if not isinstance(classification, str):
        raise InputError(
            f"feature {number} has a classification without a name", where=path, remedy="Export it again from QuPath"
        )
    return classification.strip()


def _parts(geometry: Any) -> tuple[tuple[tuple[Ring, ...], ...], str]:
    kind = geometry.get("type") if isinstance(geometry, Mapping) else None
    coordinates = geometry.get("coordinates") if isinstance(geometry, Mapping) else None
    if kind not in ("Polygon", "MultiPolygon"):
        return (), "not a polygon"
    polygons = [coordinates] if kind == "Polygon" else coordinates
    if not isinstance(polygons, list) or not polygons or not all(isinstance(p, list) and p for p in polygons):
        return (), "without vertices"
    found = []
    for polygon in polygons:
        rings = [_ring(points) for points in polygon]
        if any(ring is None for ring in rings):
            return (), "with vertices that are not numbers"
        found.append(tuple(ring for ring in rings if ring is not None))
    solid = tuple(polygon for polygon in found if signed_area(polygon[0]) != 0)
    return solid, "" if solid else "without area"


def _ring(points: Any) -> Ring | None:
    if not isinstance(points, list) or not points:
        return None
    pairs = [_pair(point) for point in points]
    return None if any(pair is None for pair in pairs) else np.array(pairs, np.float64)


def _pair(point: Any) -> tuple[float, float] | None:
    if not isinstance(point, Sequence) or isinstance(point, str) or len(point) < 2:
        return None
    x, y = point[0], point[1]
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in (x, y)):
        return None
    return (float(x), float(y)) if max(abs(x), abs(y)) < 1e9 and not math.isnan(x + y) else None


def signed_area(ring: Ring) -> float:
    """Area that a ring encloses (shoelace), its sign the sense of turning; 0 for fewer than three vertices."""
    x, y = ring[:, 0], ring[:, 1]
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
