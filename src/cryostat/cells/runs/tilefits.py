"""Training heads on tiles, one or several beside each other."""

from __future__ import annotations

from collections.abc import Sequence

from cryostat.cells.augmentation import NONE, Augmentations, views
from cryostat.cells.runs.fits import Fit
from cryostat.cells.runs.prepared import Prepared
from cryostat.cells.runs.pupils import DensePupil, Desk, ProbePupil, Pupil
from cryostat.cells.training.tiles.batch import Feed, Wants
from cryostat.cells.training.tiles.cached import CachedFeed
from cryostat.cells.training.tiles.checkpoints import Checkpoint
from cryostat.cells.training.tiles.learners import Learner
from cryostat.cells.training.tiles.live import LiveFeed
from cryostat.cells.training.tiles.loop import train
from cryostat.core.errors import CryostatError
from cryostat.core.files import safe_name
from cryostat.core.home import Home


def fit_on_tiles(runs: Sequence[Prepared], home: Home) -> list[Fit | CryostatError]:
    """Train runs that share their features, split and mode beside each other; killed ones go on where they were.

    A run's result does not depend on the others: to the bit where the encoder gives the same bits in any
    size of batch, else to its rounding.

    Args:
        runs: At least one.
        home: Where states of unfinished trainings are kept.

    Returns:
        For each run its fit, or why it cannot be trained.
    """
    desk = Desk(runs)
    found: dict[int, Fit | CryostatError] = {}
    pupils: dict[int, DensePupil | ProbePupil] = {}
    for number, run in enumerate(runs):
        try:
            pupils[number] = _pupil(run, desk)
        except CryostatError as error:
            found[number] = error
    desk.seen.forget()  # the tiles over which features were centred; none of them comes again
    if pupils:
        found.update(zip(pupils, _trained(list(pupils.values()), desk, home), strict=True))
    return [found[number] for number in range(len(runs))]


def _trained(pupils: Sequence[DensePupil | ProbePupil], desk: Desk, home: Home) -> list[Fit]:
    """The fits of runs that can be trained."""
    runs = [pupil.run for pupil in pupils]
    files = [Checkpoint(home.root / "training" / f"{safe_name(run.run_id)}.pt") for run in runs]
    for pupil, file in zip(pupils, files, strict=True):
        file.resume(pupil.learner)
    keep = {id(pupil.learner): file for pupil, file in zip(pupils, files, strict=True)}
    by_learner = {id(pupil.learner): pupil for pupil in pupils}

    def evaluate(due: Sequence[Learner]) -> list[float]:
        return desk.validate([by_learner[id(learner)] for learner in due])

    train(
        [pupil.learner for pupil in pupils],
        _feed(runs, pupils),
        evaluate,
        lambda learner: keep[id(learner)].keep(learner),
        title=f"Training {len(runs)} heads" if len(runs) > 1 else f"Training {runs[0].spec.head}",
    )
    fits = [pupil.fit(desk) for pupil in pupils]
    for file in files:
        file.drop()
    return fits


def _pupil(run: Prepared, desk: Desk) -> DensePupil | ProbePupil:
    if run.head.reads == "pixels":
        from cryostat.cells.runs.hover import HoverPupil  # brings packages that no other head needs

        return HoverPupil(run, desk)
    return (ProbePupil if run.head.kind == "pooled" else DensePupil)(run, desk)


def _feed(runs: Sequence[Prepared], pupils: Sequence[Pupil]) -> Feed:
    run = runs[0]
    features, mode = run.features, run.mode
    device = features.encoder.device
    if mode.kind == "cached":
        layers = tuple(dict.fromkeys(layer for r in runs for layer in features.layers_of(r.spec.head)))
        features.require(layers, mode.views)
        seen = views(mode.views)
        return CachedFeed(features.tiles, [features.stores(layers, view) for view in seen], seen, device)
    learners = [pupil.learner for pupil in pupils]
    wants = Wants(
        tuple(dict.fromkeys(layer for learner in learners for layer in learner.wants.layers)),
        images=True,
        instances=any(learner.wants.instances for learner in learners),
        ring_um=max(learner.wants.ring_um for learner in learners),
    )
    return LiveFeed(
        features.encoder if mode.kind == "live" else None,
        features.tiles,
        [learner.task.stream for learner in learners],
        wants,
        _augmentations(run),
        device,
        train_mode=features.protocol.training.train_mode_encoder,
    )


def _augmentations(run: Prepared) -> Augmentations:
    rules = run.features.protocol.training
    if not run.settings.augment:
        return NONE
    return Augmentations(
        no_horizontal_shift=rules.no_horizontal_shift,
        strong_stains=rules.strong_stains,
        flat_elastic=rules.flat_elastic,
    )
