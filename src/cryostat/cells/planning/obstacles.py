"""What stands in the way of a run, each with its remedy, found without starting it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryostat.cells.dataset import CellDataset, Split, load_dataset
from cryostat.cells.planning.published import EXTENTS, UnseenDataset, dealt
from cryostat.cells.protocols import Protocol
from cryostat.cells.runs.modes import Mode
from cryostat.cells.splits import straddling
from cryostat.core.errors import CryostatError, MissingExtraError, SettingError
from cryostat.core.home import Home
from cryostat.encoders.catalogue import Recipe
from cryostat.encoders.weights import hub_files
from cryostat.runs.obstacles import Obstacle


@dataclass(frozen=True)
class Tissue:
    """What is known of a dataset.

    Attributes:
        name: Its name.
        dataset: The dataset, its published extent where it is not imported, or None where that is unknown too.
        obstacles: What keeps it from being used.
    """

    name: str
    dataset: CellDataset | None
    obstacles: tuple[Obstacle, ...] = ()

    @property
    def seen(self) -> bool:
        """Whether it is imported."""
        return self.dataset is not None and not isinstance(self.dataset, UnseenDataset)

    @property
    def exact(self) -> bool:
        """Whether the sizes of its fields are known."""
        return not isinstance(self.dataset, UnseenDataset) or self.dataset.extent.exact


def tissue(name: str, home: Home) -> Tissue:
    """A dataset by name, imported or not."""
    try:
        found = load_dataset(name, home)
        return Tissue(name, found) if len(found.fovs) else Tissue(name, None)
    except CryostatError as error:
        unseen = UnseenDataset(name) if name in EXTENTS else None
        remedy = f"Import it with: cryostat data import {name} SOURCE" if unseen else error.remedy
        return Tissue(name, unseen, (Obstacle(error.problem, remedy),))


def parts(of: Tissue, name: str, rules: Protocol) -> tuple[Split, list[Obstacle]]:
    """A split, or a 70/15/15 stand-in where there is none, and what keeps it from being used.

    Args:
        of: The dataset; of one that is quite unknown the split is empty.
        name: Of the split.
        rules: Whether they allow a patient in two parts.
    """
    dataset = of.dataset
    if dataset is None:
        return Split(name, {}), []
    untold = _untold(of, name)
    try:
        split = dataset.split(name)
    except CryostatError as error:
        return dealt(name, [str(fov) for fov in dataset.fovs.index]), [
            untold or _partial(of, name) or Obstacle.of(error)
        ]
    if untold and not of.seen:
        return split, [untold]
    torn = straddling(split, dataset.fovs) if of.seen and rules.splits.patient_disjoint else []
    if not len(torn):
        return split, []
    problem = f"{of.name}: split {name!r} has patients in two parts, which protocol {rules.name!r} does not allow"
    return split, [Obstacle(problem, "Choose a patient-disjoint split, or the published rules with --protocol paper")]


def fields_of(of: Tissue) -> tuple[int, int] | None:
    """Fields that are imported, and fields that were published; None where either is unknown."""
    if not of.seen or of.dataset is None or of.name not in EXTENTS:
        return None
    return len(of.dataset.fovs), len(EXTENTS[of.name].fields())


def _partial(of: Tissue, name: str) -> Obstacle | None:
    """That a published split is lacking because only a part of the dataset is imported; None where that is not so."""
    imported, published = fields_of(of) or (0, 0)
    if imported >= published or name not in UnseenDataset(of.name).split_names():
        return None
    return Obstacle(
        f"{of.name}: of its {published:,} fields {imported:,} are imported, too few for split {name!r}",
        f"Import all of it with: cryostat data import {of.name} SOURCE",
    )


def _untold(of: Tissue, name: str) -> Obstacle | None:
    """That an import makes a split only where a table tells who is of which group; None where it needs none."""
    needed = EXTENTS[of.name].clinical.get(name) if of.name in EXTENTS else None
    if needed is None:
        return None
    return Obstacle(
        f"{of.name}: split {name!r} follows the patients' {needed.partition(' ')[0]}, which the release does not tell",
        f"Import with --clinical TABLE.csv, whose columns are patient_id and {needed}: then it is made",
    )


def of_weights(recipe: Recipe | None, name: str, weights: str | None) -> list[Obstacle]:
    """What keeps the weights of an encoder from being loaded.

    Args:
        recipe: Of its card; None for timm models without one, whose weights are random unless given.
        name: Of the encoder.
        weights: As given: a file, `hub`, `hub@COMMIT`, `random` or nothing.
    """
    if recipe is None or recipe.untrained or weights == "random":
        return []
    if weights is None and recipe.brings_weights:
        return []
    if weights is None:
        remedy = f"Give them with --weights {name}=FILE, or =hub, or =random for the bare architecture"
        return [Obstacle(f"{name} needs its weights", remedy)]
    source, _, revision = weights.partition("@")
    if source != "hub":
        missing = not Path(weights).is_file()
        return [Obstacle(f"{name}: there is no file {weights}", f"Correct --weights {name}=FILE")] if missing else []
    return [] if _downloaded(recipe, revision or None) else [_to_download(recipe)]


def _downloaded(recipe: Recipe, revision: str | None) -> bool:
    """Whether the hub's local cache holds the weights; no network is asked."""
    if recipe.card.hub_id is None or importlib.util.find_spec("huggingface_hub") is None:
        return False
    from huggingface_hub import try_to_load_from_cache

    wanted = revision or recipe.card.revision
    found = (try_to_load_from_cache(recipe.card.hub_id, file, revision=wanted) for file in hub_files(recipe.card))
    return any(isinstance(path, str) for path in found)


def _to_download(recipe: Recipe) -> Obstacle:
    card = recipe.card
    problem = f"the weights of {card.name} are not on this machine" + (" and are gated" if card.gated else "")
    terms = f"Accept the terms of {card.hub_id} on the hub and log in (hf auth login); the" if card.gated else "The"
    return Obstacle(problem, f"{terms} first run downloads them; or give them with --weights {card.name}=FILE")


def of_head_weights(settings: object) -> list[Obstacle]:
    """What keeps a head from starting with the weights that its settings name, if any."""
    file = str(getattr(settings, "weights", ""))
    if not file or Path(file).is_file():
        return []
    return [Obstacle(f"there is no file {file}", "Correct the head's setting weights, or leave it out")]


NEEDED = {
    "timm": (("timm", "encoders"), ("safetensors", "encoders")),
    "lora": (("peft", "training"),),
    "hovernext": (("timm", "encoders"), ("segmentation_models_pytorch", "training")),
}
"""What needs which optional packages, and the extra that brings each."""


def missing_packages(what: Iterable[str]) -> list[Obstacle]:
    """Optional packages that are not installed, of what is needed."""
    wanted = dict.fromkeys(package for name in what for package in NEEDED.get(name, ()))
    return [
        Obstacle.of(MissingExtraError(package, extra=extra, purpose="Training"))
        for package, extra in wanted
        if importlib.util.find_spec(package) is None
    ]


def untrainable(recipe: Recipe | None, name: str, mode: Mode) -> list[Obstacle]:
    """Whether a mode asks an encoder to learn that has nothing to train."""
    if mode.frozen or mode.kind == "supervised" or recipe is None or not recipe.builtin:
        return []
    error = SettingError(f"{name} has no weights that could be trained ({mode})", remedy="Use the mode cached or live")
    return [Obstacle.of(error)]
