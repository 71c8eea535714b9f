"""Climbing ladders: finished runs predict their test part again, at every step of every perturbation."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from cryostat.cells.augmentation import View
from cryostat.cells.ladders.heads import HEAD, Sight, check_climbable, predict, read_head
from cryostat.cells.ladders.perturbations import PERTURBATIONS, Perturbation
from cryostat.cells.ladders.settled import SettledEncoder
from cryostat.cells.ladders.tiles import PerturbedTiles
from cryostat.cells.runs.bank import TurnedBack
from cryostat.cells.runs.bench import Bench
from cryostat.cells.runs.material import Features
from cryostat.cells.runs.prepared import Prepared, prepare_run
from cryostat.cells.runs.spec import RunSpec
from cryostat.core.errors import CryostatError, IdentityError, InputError, SettingError
from cryostat.core.home import Home
from cryostat.core.identity import differences, digest, sha256_file
from cryostat.features.catalogue import delete_store
from cryostat.features.extraction import extract
from cryostat.features.store import FeatureStore
from cryostat.results.evidence import same_nuclei
from cryostat.results.ladder_files import LadderFacts, Rung, add_rung, read_ladder, rows_of
from cryostat.results.predictions import KEY, in_order, probability_columns
from cryostat.results.records import RunRecord
from cryostat.results.tallies import Tallies, tallies_of, tally

TOLERANCE = 0.02
"""How far a probability of an untouched nucleus may lie from the run's: another GPU rounds otherwise, no more."""

SIGHT = ("dataset", "encoder", "protocol", "mpp", "weights", "precision")
"""Settings of runs that see a dataset alike."""


@dataclass(frozen=True)
class Climbed:
    """What became of the ladder of a run.

    Attributes:
        record: The run.
        facts: Its ladder as it stands now.
        steps: Steps that were asked for.
        new: Steps that were not there before.
        reason: Why there is none, or no more; empty where all went well.
    """

    record: RunRecord
    facts: LadderFacts
    steps: int
    new: int
    reason: str = ""


@dataclass(frozen=True)
class _Climber:
    """A run on its way up."""

    record: RunRecord
    run: Prepared
    tensors: Mapping[str, Any]
    tallies: Tallies
    head: str
    facts: LadderFacts

    @property
    def folder(self) -> Any:
        """Where the run stands."""
        return self.record.folder

    def identity(self, perturbation: Perturbation, step: int) -> str:
        """Of a step of this run."""
        return digest([self.tallies.source, self.head, perturbation.facts(step)])

    def has(self, perturbation: Perturbation, step: int) -> bool:
        """Whether a step is kept already."""
        known = read_ladder(self.folder)
        rung = known.rungs.get((perturbation.name, step))
        mine = known.predictions == self.tallies.source
        return mine and rung is not None and rung.identity == self.identity(perturbation, step)


def climb(
    records: Sequence[RunRecord],
    home: Home,
    perturbations: Sequence[Perturbation] = tuple(PERTURBATIONS.values()),
    *,
    encoder: str | None = None,
    device: str = "auto",
    batch_size: int = 32,
    keep_features: bool = True,
) -> list[Climbed]:
    """Predict the test parts of finished runs at every step; steps that are kept already are not computed again.

    Heads on one encoder and one test part read the same perturbed features, which are encoded once.

    Args:
        records: The runs, with their folders.
        home: Where datasets and features live.
        perturbations: Which ladders.
        encoder: What to load in place of the runs' encoder, where that is a file of one's own.
        device: Where encoders and heads run.
        batch_size: Tiles an encoder pass.
        keep_features: Leave perturbed features in the store; else they go once all heads of a step have read them.

    Returns:
        What became of each run, in order.
    """
    bench = Bench(home, device=device, batch_size=batch_size)
    found: dict[str, Climbed] = {}
    for group in _by_sight(records):
        ready = []
        for record in group:
            try:
                ready.append(_ready(record, bench, encoder))
            except CryostatError as error:
                found[record.run_id] = _climbed(record, perturbations, 0, str(error))
        ends = _climb_together(ready, perturbations, keep_features=keep_features)
        for climber, (new, reason) in zip(ready, ends, strict=True):
            found[climber.record.run_id] = _climbed(climber.record, perturbations, new, reason)
    return [found[record.run_id] for record in records]


def _by_sight(records: Iterable[RunRecord]) -> list[list[RunRecord]]:
    """Runs on one test part together, and the test parts that one encoder sees after each other."""
    encoders: dict[tuple[str, ...], dict[str, list[RunRecord]]] = {}
    for record in records:
        splits = encoders.setdefault(tuple(str(record.settings.get(name)) for name in SIGHT), {})
        splits.setdefault(str(record.settings.get("split")), []).append(record)
    return [group for splits in encoders.values() for group in splits.values()]


def spec_of(record: RunRecord, encoder: str | None = None) -> RunSpec:
    """What was asked for when a run of cells was made.

    Args:
        record: The run.
        encoder: What to load in place of its encoder.

    Raises:
        InputError: The record does not say it.
    """
    names = {f.name for f in fields(RunSpec)}
    given = {name: value for name, value in record.settings.items() if name in names}
    # A network without trained weights says so behind its name.
    given["encoder"] = encoder or str(given.get("encoder")).partition("@random")[0]
    try:
        return RunSpec(**given)
    except TypeError as error:
        raise InputError(
            f"does not say how it was made ({error})", where=record.folder, remedy="Run it again: cryostat run cells"
        ) from error


def _ready(record: RunRecord, bench: Bench, encoder: str | None) -> _Climber:
    """A run whose untouched fields give its own predictions again.

    Raises:
        IdentityError: Dataset, split, features or settings are not those of the run any more.
    """
    check_climbable(record)
    spec = spec_of(record, encoder)
    features = bench.features(spec)
    if features.dataset.identity != record.identity.get("dataset"):
        raise IdentityError(
            f"dataset {spec.dataset!r} is not the one that {record.run_id!r} was run on"
            f" ({features.dataset.identity} / {record.identity.get('dataset')})",
            where=features.dataset.folder,
            remedy="Run it again on this dataset, or import the former one",
        )
    run = replace(prepare_run(features, spec, bench.home), folder=record.folder_of("cells"))
    # Code may be newer: whether that matters, the predictions below tell.
    changed = [line for line in differences(record.identity, run.identity) if not line.startswith("code:")]
    if changed:
        raise IdentityError(
            f"what {record.run_id!r} was made of has changed: {'; '.join(changed[:3])}",
            where=record.folder,
            remedy="Run it again: cryostat run cells",
        )
    tensors, head = read_head(run.folder / HEAD), sha256_file(run.folder / HEAD)
    agreement = _agreement(record, predict(run, tensors, untouched(run)))
    tallies = tallies_of(record)
    return _Climber(record, run, tensors, tallies, head, LadderFacts(tallies.source, agreement))


def untouched(run: Prepared) -> Sight:
    """The test part of a run as it is: step 0."""
    return Sight(run.features.tiles, run.features.turned_back("final", 1)[0], run.split.fovs("test"))


def _agreement(record: RunRecord, table: pd.DataFrame) -> dict[str, Any]:
    """How predictions of the untouched fields agree with those that the run kept.

    Raises:
        IdentityError: They are others.
    """
    kept, again = (_sorted(frame) for frame in (record.predictions(), in_order(table)))
    if not kept[[*KEY, "y_true"]].equals(again[[*KEY, "y_true"]]):
        raise _differs(record, "other nuclei or classes")
    columns = probability_columns(kept.columns)
    if columns != probability_columns(again.columns):
        raise _differs(record, "other classes")
    apart = float(np.nanmax(np.abs(kept[columns].to_numpy() - again[columns].to_numpy()), initial=0.0))
    if not apart <= TOLERANCE:
        raise _differs(record, f"probabilities up to {apart:.2g} apart")
    return {"same_bits": apart == 0 and kept["y_pred"].equals(again["y_pred"]), "largest_difference": apart}


def _sorted(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(list(KEY), kind="stable").reset_index(drop=True)


def _differs(record: RunRecord, how: str) -> IdentityError:
    return IdentityError(
        f"the untouched fields do not give the predictions of {record.run_id!r} again: {how}",
        where=record.folder,
        remedy="Run it again with this version: cryostat run cells",
    )


def _climb_together(
    climbers: Sequence[_Climber], perturbations: Sequence[Perturbation], *, keep_features: bool
) -> list[tuple[int, str]]:
    """Step by step, every head on the features of the step; how many steps each took, and why it took no more."""
    reasons, new = dict.fromkeys(range(len(climbers)), ""), [0] * len(climbers)
    for perturbation, step in _steps(perturbations):
        waiting = [i for i in reasons if not reasons[i] and not climbers[i].has(perturbation, step)]
        if not waiting:
            continue
        began = time.perf_counter()
        try:
            seen, store = _perturbed(climbers[waiting[0]].run, perturbation, step)
        except CryostatError as error:
            reasons |= dict.fromkeys(waiting, str(error))
            continue
        for i in waiting:
            try:
                _step(climbers[i], perturbation, step, seen, store, began)
                new[i] += 1
            except CryostatError as error:
                reasons[i] = str(error)
            began = time.perf_counter()
        if not keep_features:
            delete_store(store.folder)
    return list(zip(new, reasons.values(), strict=True))


def _steps(perturbations: Iterable[Perturbation]) -> Iterator[tuple[Perturbation, int]]:
    return ((one, step) for one in perturbations for step in range(1, len(one.amounts) + 1))


def _perturbed(run: Prepared, perturbation: Perturbation, step: int) -> tuple[Sight, FeatureStore]:
    """The test part of a run at a step; encoded unless its features are stored.

    Raises:
        InputError: A tile cannot be read.
        SettingError: The protocol does not allow this perturbation.
    """
    features: Features = run.features
    if perturbation.change is None and features.protocol.scoring.nuclei != "whole":
        raise SettingError(
            f"protocol {features.protocol.name!r} scores nuclei as tiles cut them, and another scale cuts others",
            remedy=f"Leave out --perturbation {perturbation.name}, or run under the protocol standard",
        )
    fovs = run.split.fovs("test")
    tiles = PerturbedTiles(features.tiles, fovs, perturbation, step)
    encoder = SettledEncoder(features.encoder)
    store = extract(tiles, encoder, ["final"], features.home, batch_size=features.batch_size)["final"]
    if store.failed:
        raise InputError(
            f"{len(store.failed)} tiles could not be read ({store.failures()[0].reason})",
            where=store.folder,
            remedy="Repair the dataset, then: cryostat features verify --repair",
        )
    maps = TurnedBack(store, View())
    return Sight(tiles, maps, fovs, perturbation.magnification(tiles.amount)), store


def _step(
    climber: _Climber, perturbation: Perturbation, step: int, seen: Sight, store: FeatureStore, began: float
) -> None:
    """Predict and keep one step of one run."""
    table = predict(climber.run, climber.tensors, seen)
    if isinstance(seen.tiles, PerturbedTiles):
        table["tile"] = seen.tiles.numbers_in_whole(table["tile"].to_numpy(np.int64))
    counts = tally(in_order(table))
    if not same_nuclei(counts.fields, climber.tallies.fields):
        raise _differs(climber.record, f"step {step} of {perturbation.name} has other nuclei")
    run = climber.run
    names = {c.id: c.name for c in run.features.dataset.classes}
    rung = Rung(
        perturbation=perturbation.name,
        step=step,
        amount=perturbation.amounts[step - 1],
        identity=climber.identity(perturbation, step),
        rows=rows_of(counts),
        macro_f1=counts.scores(names, run.features.protocol.scoring.class_set).macro_f1,
        seconds=round(time.perf_counter() - began, 3),
        about={"about": perturbation.about, "unit": perturbation.unit, "neutral": perturbation.neutral},
        features=digest(store.identity),
    )
    add_rung(climber.folder, climber.facts, rung, counts)


def _climbed(record: RunRecord, perturbations: Sequence[Perturbation], new: int, reason: str) -> Climbed:
    try:
        facts = read_ladder(record.folder) if record.folder else LadderFacts()
    except InputError:
        facts = LadderFacts()  # the reason tells of it
    return Climbed(record, facts, sum(len(one.amounts) for one in perturbations), new, reason)
