"""Modalities that an encoder of ours reads: texts, slides' tiles, volumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryostat.cases.cohort import Cohort, ModalitySpec
from cryostat.cases.embeddings.arrays import Embedding
from cryostat.cases.embeddings.encoding import Shelf, checked_options, slide_vector, text_vector, volume_vector
from cryostat.cases.embeddings.files import Gathered, content_hash, each_patient, files_identity, read_embedding
from cryostat.cases.embeddings.formats import KINDS, Kind, file_format
from cryostat.cases.embeddings.pooling import pooled
from cryostat.cases.evidence import Texts
from cryostat.core.errors import InputError, SettingError
from cryostat.core.home import Home
from cryostat.core.identity import digest

if TYPE_CHECKING:
    from cryostat.encoders.text.base import TextEncoder

MASKS = ("tumour", "brain")
"""Options of volume encoders that name the column with a patient's mask."""


def from_encoder(cohort: Cohort, spec: ModalitySpec, home: Home, device: str) -> Gathered:
    """Embeddings by an encoder of ours, of the kind that the files ask for."""
    ways = {Kind.TEXT: _texts, Kind.FEATURES: _slides, Kind.VOLUME: _volumes}
    return ways[_kind(cohort, spec)](cohort, spec, home, device)


def _kind(cohort: Cohort, spec: ModalitySpec) -> Kind:
    """What most of a modality's files are; others are met as problems when they are read."""
    kinds: Counter[Kind] = Counter()
    for paths in cohort.files(spec.name):
        for path in paths[:1]:
            try:
                kinds[KINDS[file_format(path)]] += 1
            except InputError:
                continue  # told of this patient when the file is read
    return kinds.most_common(1)[0][0] if kinds else Kind.FEATURES


def _require_kind(paths: Sequence[Path], kind: Kind) -> None:
    for path in paths:
        if (found := KINDS[file_format(path)]) is not kind:
            raise InputError(
                f"holds {found}, those of most patients {kind}", where=path, remedy="Name the right file of the patient"
            )


def _texts(cohort: Cohort, spec: ModalitySpec, home: Home, device: str) -> Gathered:
    from cryostat.encoders.text import load_text_encoder

    _settings(cohort, spec, load_text_encoder)
    encoder = load_text_encoder(str(spec.encoder), _weights(cohort, spec), device)
    files = cohort.files(spec.name)
    texts, problems = each_patient(cohort, spec.name, files, _read_text)
    used = [paths if text else () for paths, text in zip(files, texts, strict=True)]
    facts = {"files": files_identity(cohort, used), "source": "texts"}
    if encoder.learns_from_texts:
        return Gathered(Texts(tuple(texts)), problems, {**facts, "encoder": encoder.name})
    identity = dict(encoder.identity())
    shelf = _shelf(home, identity)
    vectors, failed = each_patient(cohort, spec.name, texts, partial(_text_embedding, encoder, shelf))
    found = pooled([[each] if each else [] for each in vectors], spec.pool)
    return Gathered(found, [*problems, *failed], {**facts, "encoder": identity, "pool": spec.pool})


def _text_embedding(encoder: TextEncoder, shelf: Shelf, text: str) -> Embedding:
    return Embedding(text_vector(encoder, text, shelf)[None], "report")


def _read_text(paths: Sequence[Path]) -> str:
    """The reports of a patient, one after the other.

    Raises:
        InputError: One is missing, no UTF-8 text, or blank; no message holds a word of it.
    """
    _require_kind(paths, Kind.TEXT)
    parts = []
    for path in paths:
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InputError("is not UTF-8 text", where=path, remedy="Save it again as UTF-8") from None
        if not text.strip():
            raise InputError("is blank", where=path, remedy="Leave its path empty, or supply the report")
        parts.append(text)
    return "\n\n".join(parts)


def _slides(cohort: Cohort, spec: ModalitySpec, home: Home, device: str) -> Gathered:
    from cryostat.encoders.slide.registry import load_slide_encoder

    chosen = _settings(cohort, spec, load_slide_encoder, ("tile_side",))
    encoder = load_slide_encoder(str(spec.encoder), _weights(cohort, spec), device, **chosen)
    identity = dict(encoder.identity())
    shelf, side = _shelf(home, identity), _side(cohort, spec)
    files = cohort.files(spec.name)

    def slides(paths: Sequence[Path]) -> list[Embedding]:
        return [slide_vector(encoder, read_embedding(path), content_hash(path), side, shelf) for path in paths]

    found, problems = each_patient(cohort, spec.name, files, slides)
    used = [paths if each else () for paths, each in zip(files, found, strict=True)]
    facts = {"files": files_identity(cohort, used), "source": "tiles", "tile_side": side, "pool": spec.pool}
    return Gathered(pooled([each or [] for each in found], spec.pool), problems, {**facts, "encoder": identity})


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
    series = [_named(each) for each in cohort.series(spec.name)]
    masks = _masks(cohort, spec)
    items = [(named, mask) if named else None for named, mask in zip(series, masks, strict=True)]

    def patient(item: tuple[Mapping[str, Path], Mapping[str, Path]]) -> list[Embedding]:
        named, mask = item
        _require_kind([*named.values(), *mask.values()], Kind.VOLUME)
        vector = volume_vector(encoder, named, mask, content_hash, shelf)
        return [Embedding(vector[None], str(next(iter(named.values()))))]

    found, problems = each_patient(cohort, spec.name, items, patient)
    read = [
        [*item[0].values(), *item[1].values()] if item and each else [] for item, each in zip(items, found, strict=True)
    ]
    facts = {"files": files_identity(cohort, read), "source": "volumes", "pool": spec.pool}
    return Gathered(pooled([each or [] for each in found], spec.pool), problems, {**facts, "encoder": identity})


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
        if column not in cohort.table:
            raise SettingError(
                f"there is no column {column!r} of masks",
                where=_part(cohort, spec),
                remedy="Name a column of the table",
            )
    cells = [
        {mask: cohort.table[column].iloc[row] for mask, column in columns.items()} for row in range(len(cohort.table))
    ]
    return [{mask: cohort.root / str(cell) for mask, cell in row.items() if cell} for row in cells]


def _settings(cohort: Cohort, spec: ModalitySpec, load: Any, own: Sequence[str] = ()) -> dict[str, Any]:
    return checked_options(load, spec.options, own, _part(cohort, spec))


def _part(cohort: Cohort, spec: ModalitySpec) -> str:
    return f"{cohort.path}, [modalities.{spec.name}] options"


def _weights(cohort: Cohort, spec: ModalitySpec) -> str | None:
    """The weights: a path under the cohort's root where there is such, else as written."""
    if spec.weights is not None and (cohort.root / spec.weights).exists():
        return str(cohort.root / spec.weights)
    return spec.weights


def _shelf(home: Home, identity: Mapping[str, Any]) -> Shelf:
    return Shelf(home.root / "embeddings" / digest(identity))
