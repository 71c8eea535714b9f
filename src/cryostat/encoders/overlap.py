"""Whether an encoder may have seen a dataset's images while it was trained. Needs no framework, only cards.

Labels are never seen in self-supervised training, but its images are: scores on them may flatter an encoder.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Level = Literal["none known", "possible", "certain"]
"""From harmless to worst; `certain` when every source of the dataset is one of the encoder's."""

UNTRAINED = "nothing"
ITSELF = "the dataset itself"
SYNTHETIC = "synthetic"
PART = "(part)"
"""After a source of which only a part was used."""

UNLISTED = "public cohorts, not all listed"
UNDISCLOSED = ", undisclosed"
"""After the name of those who trained on data of their own that they do not name."""

NATURAL = frozenset({"lvd142m", "lvd1689m", "imagenet1k", "imagenet21k"})
"""Collections without tissue."""

SOURCES: Mapping[str, tuple[str, ...]] = {
    "lizard": ("DigestPath", "CRAG", "GlaS", "CoNSeP", "PanNuke"),
    "conic": ("Lizard", "TCGA"),
    "pannuke": ("TCGA", "hospitals of PanNuke's own"),
    "pathocell": ("University Hospital Bern",),
    "arctique": (SYNTHETIC,),
    "consep": ("UHCW",),
    "crag": ("UHCW",),
    "glas": ("UHCW",),
    "digestpath": ("hospitals of DigestPath",),
    "monuseg": ("TCGA",),
    "monusac": ("TCGA",),
    "nucls": ("TCGA",),
    "segpath": ("University of Tokyo",),
    "corebt": ("University of Washington",),
    "tcgagbm": ("TCGA",),
    "tcgalgg": ("TCGA",),
    "mass100k": ("Mass General Brigham", "GTEx"),
}
"""Where the images of a collection come from; a source may be a collection itself."""

ALIASES = {"schurch": "pathocell", "schuerch": "pathocell", "phenocell": "pathocell", "uhcwcoventry": "uhcw"}
"""Other names of collections."""

NOT_PUBLIC = frozenset({"corebt"})
"""Collections that nobody can have come across."""


class Trained(Protocol):
    """What has a name and states what it was trained on: any card."""

    @property
    def name(self) -> str:
        """Registry name."""

    @property
    def trained_on(self) -> tuple[str, ...]:
        """Names of sources; empty when they are not known."""


@dataclass(frozen=True)
class Overlap:
    """The verdict on an encoder and a dataset.

    Attributes:
        level: `none known`, `possible` or `certain`.
        why: The reason, a clause.
    """

    level: Level
    why: str


def overlap(card: Trained, dataset: str | Sequence[str]) -> Overlap:
    """Compare what an encoder was trained on with where a dataset's images come from.

    Args:
        card: Of the encoder.
        dataset: Name of a dataset (case, spaces and hyphens do not matter), or the sources of one's own.
    """
    asked = (dataset,) if isinstance(dataset, str) else tuple(dataset)
    verdict = _by_kind(card, asked)
    return verdict if verdict else _by_source(card, asked)


def _by_kind(card: Trained, asked: Sequence[str]) -> Overlap | None:
    """The verdict where the kind of training settles it."""
    seen = card.trained_on
    if not seen:
        return Overlap("possible", f"what {card.name} was trained on is not known")
    if ITSELF in seen:
        return Overlap("certain", f"{card.name} takes its filters from unlabelled images of the dataset itself")
    if all(source == UNTRAINED for source in seen):
        return Overlap("none known", f"{card.name} was never trained")
    if all(_key(source) in NATURAL for source in seen) and not NATURAL & _all_within(asked):
        return Overlap("none known", f"{card.name} saw natural images only ({', '.join(seen)})")
    return None


def _by_source(card: Trained, asked: Sequence[str]) -> Overlap:
    label, seen, within = ", ".join(asked), card.trained_on, _all_within(asked)
    whole = frozenset(_key(source) for source in seen if not source.endswith(PART))
    if all(_is_held(name, whole) for name in asked):
        return Overlap("certain", f"all images of {label} come from what {card.name} was trained on ({_joined(seen)})")
    if shared := [source for source in seen if _all_within((source,)) & within]:
        return Overlap("possible", f"{label} and {card.name} draw on the same images in part ({_joined(shared)})")
    if _key(SYNTHETIC) in within:
        return Overlap("none known", f"the images of {label} are synthetic")
    if any(_key(name) not in _KNOWN for name in asked):
        return Overlap("possible", f"where the images of {label} come from is not known here")
    if UNLISTED in seen and not within & NOT_PUBLIC:
        return Overlap("possible", f"{card.name} was trained on public cohorts of which not all are listed")
    hidden = [source for source in seen if source.endswith(UNDISCLOSED)]
    doubt = f"; it cannot be ruled out, for {card.name} saw images that are not disclosed" if hidden else ""
    return Overlap("none known", f"{label} shares no source with {_joined(seen)}{doubt}")


def _key(name: str) -> str:
    """A name without case, accents, spaces, punctuation and the mark of a part."""
    plain = unicodedata.normalize("NFKD", name.removesuffix(PART).lower())
    bare = re.sub(r"[^a-z0-9]", "", plain)
    return ALIASES.get(bare, bare)


_KNOWN = frozenset(SOURCES) | {_key(source) for sources in SOURCES.values() for source in sources} | {_key("GTEx")}


def _all_within(names: Sequence[str]) -> frozenset[str]:
    """Keys of collections, and of all that their images come from."""
    found = frozenset(map(_key, names))
    deeper = [_all_within(SOURCES[key]) for key in found if key in SOURCES]
    return found.union(*deeper)


def _is_held(name: str, whole: frozenset[str]) -> bool:
    """Whether all images of a collection come from sources that were used as a whole."""
    key = _key(name)
    parts = SOURCES.get(key, ())
    return key in whole or (bool(parts) and all(_is_held(part, whole) for part in parts))


def _joined(sources: Sequence[str]) -> str:
    return ", ".join(source.removesuffix(UNDISCLOSED) for source in sources)
