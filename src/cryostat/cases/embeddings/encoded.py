"""Modalities that an encoder of ours reads: texts, slides' tiles, volumes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryostat.cases.cohort import Cohort, ModalitySpec
from cryostat.cases.cohort.availability import remaining
from cryostat.cases.cohort.manifest import DEFAULT_POOL
from cryostat.cases.cohort.paths import require_inside
from cryostat.cases.embeddings.arrays import Embedding
from cryostat.cases.embeddings.encoding import Shelf, checked_options, slide_vector, text_vector, volume_vector
from cryostat.cases.embeddings.files import (
    UNUSABLE,
    Gathered,
    content_hash,
    each_file,
    each_patient,
    files_identity,
    read_embedding,
    why,
)
from cryostat.cases.embeddings.formats import KINDS, Kind, file_format
from cryostat.cases.embeddings.pooling import pooled
from cryostat.cases.evidence import Problem, Texts
from cryostat.core.errors import InputError, SettingError
from cryostat.core.home import Home
from cryostat.core.identity import digest
from cryostat.core.progress import track

if TYPE_CHECKING:
    from cryostat.encoders.text.base import TextEncoder

MASKS = ("tumour", "brain")
"""Options of volume encoders that name the column with a patient's mask."""


def from_encoder(cohort: Cohort, spec: ModalitySpec, home: Home, device: str) -> Gathered:
    """Embeddings by an encoder of ours, of the kind that the files ask for.

    Raises:
        SettingError: There is no such encoder of that kind, or an option or the pooling is not for it.
        InputError: Vectors of two patients do not fit together.
        EncoderError: The encoder cannot be built.
    """
    ways = {Kind.TEXT: _texts, Kind.FEATURES: _slides, Kind.VOLUME: _volumes}
    kind = kind_of(cohort, spec)
    if kind is None:
        _, problems = each_file(cohort, spec, file_format)
        return Gathered(Texts((None,) * len(cohort.patients)), problems, {})
    require_pooled(cohort, spec, kind)
    try:
        return ways[kind](cohort, spec, home, device)
    except SettingError as error:
        if error.where is not None:
            raise
        where = f"{cohort.path}, [modalities.{spec.name}]"
        raise SettingError(f"{error.problem}; most files hold {kind}", where=where, remedy=error.remedy) from error


AT_ONCE = {Kind.TEXT: "texts of a patient are read as one", Kind.VOLUME: "series of a patient are encoded together"}
"""Kinds of which several files make one vector by themselves, so that nothing is pooled."""


def require_pooled(cohort: Cohort, spec: ModalitySpec, kind: Kind | None) -> None:
    """Refuse a pooling that would be passed over.

    Raises:
        SettingError: The encoder makes one vector of a patient's files, and another pooling is asked for.
    """
    if kind is not None and kind in AT_ONCE and spec.pool != DEFAULT_POOL:
        raise SettingError(
            f"has pool = {spec.pool!r}, and the {AT_ONCE[kind]}",
            where=f"{cohort.path}, [modalities.{spec.name}]",
            remedy="Leave pool out; where one file alone is meant, name that one in the table",
        )


def kind_of(cohort: Cohort, spec: ModalitySpec) -> Kind | None:
    """What most of a modality's files are; others are met as problems when they are read. None where none can tell."""
    kinds: Counter[Kind] = Counter()
    for paths in cohort.files(spec.name):
        for path in paths[:1]:
            try:
                kinds[KINDS[file_format(path)]] += 1
            except InputError:
                continue  # told of this patient when the file is read
    return kinds.most_common(1)[0][0] if kinds else None


def _require_kind(path: Path, kind: Kind) -> None:
    if (found := KINDS[file_format(path)]) is not kind:
        raise InputError(
            f"holds {found}, those of most patients {kind}", where=path, remedy="Name the right file of the patient"
        )


def _texts(cohort: Cohort, spec: ModalitySpec, home: Home, device: str) -> Gathered:
    from cryostat.encoders.text import load_text_encoder

    _settings(cohort, spec, load_text_encoder)
    encoder = load_text_encoder(str(spec.encoder), _weights(cohort, spec), device)
    found, problems = each_file(cohort, spec, _read_text)
    texts = ["\n\n".join(text for _, text in used) or None for used in found]
    facts = {"files": files_identity(cohort, found), "source": "texts"}
    if encoder.learns_from_texts:
        return Gathered(Texts(tuple(texts)), problems, {**facts, "encoder": encoder.name})
    identity = dict(encoder.identity())
    shelf = _shelf(home, identity)
    vectors, failed = each_patient(cohort, spec.name, texts, partial(_text_embedding, encoder, shelf))
    embedded = pooled([[each] if each else [] for each in vectors], spec.pool)
    return Gathered(embedded, [*problems, *failed], {**facts, "encoder": identity, "pool": spec.pool})


def _text_embedding(encoder: TextEncoder, shelf: Shelf, text: str) -> Embedding:
    return Embedding(text_vector(encoder, text, shelf)[None], "report")


def _read_text(path: Path) -> str:
    """One report.

    Raises:
        InputError: It is missing, no UTF-8 text, or blank; no message holds a word of it.
    """
    _require_kind(path, Kind.TEXT)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text", where=path, remedy="Save it again as UTF-8") from None
    if not text.strip():
        raise InputError("is blank", where=path, remedy="Leave its path empty, or supply the report")
    return text


def _slides(cohort: Cohort, spec: ModalitySpec, home: Home, device: str) -> Gathered:
    from cryostat.encoders.slide.registry import load_slide_encoder

    chosen = _settings(cohort, spec, load_slide_encoder, ("tile_side",))
    encoder = load_slide_encoder(str(spec.encoder), _weights(cohort, spec), device, **chosen)
    identity = dict(encoder.identity())
    shelf, side = _shelf(home, identity), _side(cohort, spec)

    def slide(path: Path) -> Embedding:
        return slide_vector(encoder, read_embedding(path), content_hash(path), side, shelf)

    found, problems = each_file(cohort, spec, slide)
    facts = {"files": files_identity(cohort, found), "source": "tiles", "tile_side": side, "pool": spec.pool}
    slides = pooled([[each for _, each in used] for used in found], spec.pool)
    return Gathered(slides, problems, {**facts, "encoder": identity})


def _side(cohort: Cohort, spec: ModalitySpec) -> float | None:
    side = spec.options.get("tile_side")
    if side is None:
        return None
    if isinstance(side, bool) or not isinstance(side, int | float) or side <= 0:
        raise SettingError(
            f"tile_side = {side!r} is no length", where=_part(cohort, spec), remedy="Give level-0 px, as 512 at 40×"
        )
    return float(side)


def _volumes(cohort: Cohort, spec: ModalitySpec, home: Home, device: str) -> Gathered:
    from cryostat.encoders.volume.registry import load_volume_encoder

    chosen = _settings(cohort, spec, load_volume_encoder, MASKS)
    encoder = load_volume_encoder(str(spec.encoder), _weights(cohort, spec), device, **chosen)
    identity = dict(encoder.identity())
    shelf = _shelf(home, identity)
    found: list[Volumes] = []
    problems: list[Problem] = []
    patients = zip(cohort.patients, cohort.series(spec.name), _masks(cohort, spec), strict=True)
    for patient, series, masks in track(list(patients), spec.name):
        named = _named(series)
        volumes, failed = _read_series(named, masks, spec.incomplete, partial(volume_vector, encoder, shelf=shelf))
        found.append(volumes)
        problems += [
            Problem(patient, spec.name, *why(error, cohort), len(volumes.series), len(named)) for error in failed
        ]
    used = [[(path, None) for path in (*each.series.values(), *each.masks.values())] for each in found]
    facts = {"files": files_identity(cohort, used), "source": "volumes", "pool": spec.pool}
    vectors = pooled([[] if each.vector is None else [each.vector] for each in found], spec.pool)
    return Gathered(vectors, problems, {**facts, "encoder": identity})


@dataclass(frozen=True, eq=False)
class Volumes:
    """What could be encoded of a patient's series.

    Attributes:
        vector: Of those that are used; None where the modality is missing.
        series: Those that are used, by name.
        masks: The patient's masks, where any series is used.
    """

    vector: Embedding | None = None
    series: Mapping[str, Path] = field(default_factory=dict)
    masks: Mapping[str, Path] = field(default_factory=dict)


def _read_series(
    series: Mapping[str, Path], masks: Mapping[str, Path], incomplete: str, encode: Callable[..., NDArray[np.float32]]
) -> tuple[Volumes, list[Exception]]:
    """The series of a patient in one vector; where that fails, those of them that can be read by themselves.

    A mask is no evidence that could be left out: without one that is named, other numbers would be measured.
    """
    if not series:
        return Volumes(), []
    try:
        return _encoded(series, masks, encode), []
    except UNUSABLE as error:
        together = error
    failed = {name: wrong for name, path in series.items() if (wrong := _unreadable(path)) is not None}
    rest = {name: path for name, path in series.items() if name not in failed}
    if not failed:
        return Volumes(), [together]
    if not remaining(len(series), len(failed), incomplete):
        return Volumes(), list(failed.values())
    try:
        return _encoded(rest, masks, encode), list(failed.values())
    except UNUSABLE as error:
        return Volumes(), [*failed.values(), error]


def _encoded(
    series: Mapping[str, Path], masks: Mapping[str, Path], encode: Callable[..., NDArray[np.float32]]
) -> Volumes:
    for path in (*series.values(), *masks.values()):
        _require_kind(path, Kind.VOLUME)
    vector = encode(series, masks, content_hash)
    return Volumes(Embedding(vector[None], str(next(iter(series.values())))), series, masks)


def _unreadable(path: Path) -> Exception | None:
    """Why a series cannot be read by itself, or None where it can."""
    from cryostat.encoders.volume.nifti import read_volume

    try:
        _require_kind(path, Kind.VOLUME)
        read_volume(path)
    except UNUSABLE as error:
        return error
    return None


def _named(series: Mapping[str, Sequence[Path]]) -> dict[str, Path]:
    """A name for each series: its column's, where that holds one file, else its file's."""
    one = len(series) > 1 and all(len(paths) == 1 for paths in series.values())
    if one:
        return {column: paths[0] for column, paths in series.items()}
    paths = [path for each in series.values() for path in each]
    stems = [path.name.removesuffix(".gz").removesuffix(".nii") for path in paths]
    plain = len(set(stems)) == len(stems)
    return dict(zip(stems if plain else map(str, paths), paths, strict=True))


def _masks(cohort: Cohort, spec: ModalitySpec) -> list[dict[str, Path]]:
    """For each patient the masks that the options name a column for."""
    columns = {mask: spec.options[mask] for mask in MASKS if mask in spec.options}
    for column in columns.values():
        if not isinstance(column, str) or column not in cohort.table:
            raise SettingError(
                f"there is no column {column!r} of masks",
                where=_part(cohort, spec),
                remedy="Name a column of the table",
            )
        for patient, cell in zip(cohort.patients, cohort.table[column], strict=True):
            require_inside(cell or "", cohort.root, f"{cohort.path}, patient {patient}, column {column}")
    rows = cohort.table[list(columns.values())].itertuples(False)
    cells = [dict(zip(columns, row, strict=True)) for row in rows] if columns else [{}] * len(cohort.table)
    return [{mask: cohort.root / str(cell) for mask, cell in row.items() if cell} for row in cells]


def _settings(cohort: Cohort, spec: ModalitySpec, load: Any, own: Sequence[str] = ()) -> dict[str, Any]:
    return checked_options(load, spec.options, own, _part(cohort, spec))


def _part(cohort: Cohort, spec: ModalitySpec) -> str:
    return f"{cohort.path}, [modalities.{spec.name}] options"


def _weights(cohort: Cohort, spec: ModalitySpec) -> str | None:
    """The weights: a path under the cohort's root where there is such, else as written."""
    if spec.weights is not None and os.path.exists(cohort.root / spec.weights):
        return str(cohort.root / spec.weights)
    return spec.weights


def _shelf(home: Home, identity: Mapping[str, Any]) -> Shelf:
    return Shelf(home.root / "embeddings" / digest(identity))
