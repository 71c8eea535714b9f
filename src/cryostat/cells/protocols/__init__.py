"""Protocols: versioned, named sets of rules, shipped as files and shown in every report."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from importlib.resources import files
from typing import Any

from cryostat.core.errors import SettingError
from cryostat.core.identity import differences

CHOICES = {
    "tiling.kind": ("overlapping", "even-cut"),
    "images.scaling": ("dtype-range", "tile-maximum"),
    "training.layers": ("spread", "last"),
    "training.decoders": ("frozen", "unfrozen"),
    "training.linear": ("pixels", "tiles"),
    "scoring.nuclei": ("whole", "tile"),
    "scoring.truth": ("nucleus-table", "truncated-mean"),
    "scoring.class_set": ("fixed", "floating"),
}


@dataclass(frozen=True)
class Tiling:
    """How a field is cut: `kind`, µm per pixel (0: the field's own), least overlap as a share of the tile."""

    kind: str
    mpp: float
    overlap: float


@dataclass(frozen=True)
class Images:
    """How pixels become 0 … 1: by the range of their type, or by the tile's own maximum."""

    scaling: str


@dataclass(frozen=True)
class Splits:
    """Whether a split in which a known patient plays two parts is refused."""

    patient_disjoint: bool


@dataclass(frozen=True)
class Training:
    """How heads are fitted.

    Attributes:
        background_logit: Dense heads have an output for background, which no loss ever asks for.
        standardise: Features are centred and scaled by the training part before they reach the head.
        layers: Which four blocks decoders read: `spread` evenly over the encoder, or the `last` ones.
        decoders: `frozen`, or `unfrozen`: decoders train the encoder with them unless a run says otherwise.
        linear: The linear head is fitted on drawn `pixels`, or on augmented `tiles` with the encoder in the loop.
        softmaxed_weights: Class weights go through a softmax, which leaves them almost equal.
        focal_mean_over_all: The focal loss is averaged over outputs and background, not over the pixels of nuclei.
        sampled_background: Background counts as a class when tiles are drawn.
        no_horizontal_shift: Shifts go up and down only.
        flat_elastic: The elastic deformation is about one pixel.
        strong_stains: Stains are shifted by up to 0.7 of optical density, glass too.
        rate_rises_again: Training longer than the cosine climbs its other side.
        decays_all: Biases and norms are decayed as well.
        last_of_equals: Of equal validation scores the later weights are kept.
        stops_between_epochs: Steps and patience are looked at between epochs only, so that both overshoot.
        train_mode_encoder: A frozen encoder runs in train mode.
    """

    background_logit: bool
    standardise: bool
    layers: str
    decoders: str
    linear: str
    softmaxed_weights: bool
    focal_mean_over_all: bool
    sampled_background: bool
    no_horizontal_shift: bool
    flat_elastic: bool
    strong_stains: bool
    rate_rises_again: bool
    decays_all: bool
    last_of_equals: bool
    stops_between_epochs: bool
    train_mode_encoder: bool


@dataclass(frozen=True)
class Scoring:
    """What is scored.

    Attributes:
        nuclei: `whole` after blending, or `tile`: a nucleus cut by a tile border counts once in each tile.
        truth: Class from the nucleus table, or the truncated mean of its pixels' class ids.
        background_may_win: Background takes part in the argmax.
        class_set: `fixed` by the truth of the scored part, or `floating` with the predictions.
    """

    nuclei: str
    truth: str
    background_may_win: bool
    class_set: str


@dataclass(frozen=True)
class Protocol:
    """A named set of rules; two runs compare only under the same one.

    Attributes:
        heads: Settings of heads trained on tiles that differ from the heads' own, by name of the head.
    """

    name: str
    version: int
    about: str
    tiling: Tiling
    images: Images
    splits: Splits
    training: Training
    scoring: Scoring
    heads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)

    def rules(self) -> dict[str, Any]:
        """The rules as plain data, for identities and reports; the settings of heads stand with each run."""
        rules = asdict(self)
        del rules["about"], rules["heads"]
        return rules

    def at(self, mpp: float | None) -> Protocol:
        """The same protocol at another scale (µm per pixel; 0: the field's own); None changes nothing."""
        if mpp is None or mpp == self.tiling.mpp:
            return self
        if mpp < 0:
            raise SettingError(f"{mpp} is no scale", remedy="Give µm per pixel, or 0 for each field's own")
        return replace(self, tiling=replace(self.tiling, mpp=float(mpp)))

    def quirks(self) -> list[str]:
        """The rules that differ from `standard`, as `field: ours / standard's`."""
        return [
            d
            for d in differences(self.rules(), load_protocol("standard").rules())
            if not d.startswith(("name", "version"))
        ]


def protocol_names() -> list[str]:
    """Names of the protocols that ship."""
    return sorted(p.name.removesuffix(".toml") for p in files(__package__).iterdir() if p.name.endswith(".toml"))


@cache
def load_protocol(name: str) -> Protocol:
    """A protocol by name.

    Raises:
        SettingError: There is none of that name.
    """
    if name not in protocol_names():
        raise SettingError(f"there is no protocol {name!r}", remedy=f"Choose one of: {', '.join(protocol_names())}")
    return _parse(tomllib.loads(files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8")))


def _parse(facts: dict[str, Any]) -> Protocol:
    sections = {"tiling": Tiling, "images": Images, "splits": Splits, "training": Training, "scoring": Scoring}
    for path, allowed in CHOICES.items():
        section, key = path.split(".")
        if facts[section][key] not in allowed:
            raise SettingError(f"{path} = {facts[section][key]!r}", remedy=f"Use one of {allowed}")
    built = {name: kind(**{f.name: facts[name][f.name] for f in fields(kind)}) for name, kind in sections.items()}
    return Protocol(
        name=facts["name"], version=facts["version"], about=facts["about"], heads=facts.get("heads", {}), **built
    )
