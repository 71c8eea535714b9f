"""A study from run records: every table that a report shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cryostat.core.errors import CryostatError
from cryostat.core.home import Home
from cryostat.report.site.case_data import case_boards
from cryostat.report.site.cell_data import cell_boards, dataset_facts, measured, shift_results, without_places
from cryostat.report.site.data import CaseBoard, CellBoard, Study, encoder_of
from cryostat.report.site.facts import ModelFacts, RunFacts
from cryostat.report.site.ladder_data import ladder_boards
from cryostat.results.records import CELLS, PREDICTIONS, BrokenRun, RunRecord

ABOUT = {
    "cells": ("dataset", "split", "encoder", "head", "mode", "protocol", "fraction", "seed", "mpp", "precision"),
    "cases": ("cohort", "task", "method", "protocol", "split", "repeats", "folds", "seeds", "decision"),
}
"""Settings of a run that a report tells, by benchmark; paths of the machine are not among them."""


def read_study(records: Sequence[RunRecord], home: Home, *, title: str = "", broken: Iterable[BrokenRun] = ()) -> Study:
    """Read everything that a report shows.

    Args:
        records: Finished runs.
        home: Where their datasets are imported.
        title: Headline; by default what was tested.
        broken: Folders that could not be read.
    """
    rows, unread_cells = measured(records)
    cells = cell_boards(rows)
    cases, unread_cases = case_boards(records)
    ladders, unread_ladders = ladder_boards(records)
    names = dict.fromkeys(board.dataset for board in cells)
    return Study(
        title=title or _title(cells, cases),
        cells=cells,
        cases=cases,
        datasets={name: dataset_facts(name, home) for name in names},
        models=(*_encoders(cells), *_methods(cases, records)),
        shifts=shift_results(rows),
        ladders=ladders,
        runs=tuple(run_facts(record) for record in records),
        broken=without_places((*broken, *unread_cells, *unread_cases, *unread_ladders)),
    )


def _title(cells: Sequence[CellBoard], cases: Sequence[CaseBoard]) -> str:
    names = [*dict.fromkeys([*(b.dataset for b in cells), *(b.cohort for b in cases)])]
    shown = ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + "".join(names[-1:])
    return f"{'Frozen encoders' if cells else 'Multimodal methods'} on {shown}" if names else "No finished runs"


def _encoders(boards: Sequence[CellBoard]) -> tuple[ModelFacts, ...]:
    found = {encoder_of(row): row for board in boards for row in board.ours}
    return tuple(_encoder(name, row.encoder == "none") for name, row in found.items())


def _encoder(name: str, supervised: bool) -> ModelFacts:
    from cryostat.encoders.registry import card as read_card
    from cryostat.encoders.registry import names

    if supervised:
        return ModelFacts(name, "encoder", {"Kind": "supervised network with no frozen encoder"})
    plain = name.partition("@")[0]
    facts = {"Weights": f"random ({name.partition('@')[2]})"} if "@random" in name else {}
    if plain not in names():
        return ModelFacts(name, "encoder", facts)
    try:
        card = read_card(plain)
    except CryostatError:
        return ModelFacts(name, "encoder", facts)
    facts |= {
        "Name in full": card.title,
        "Architecture": card.architecture,
        "Parameters": f"{card.parameters / 1e6:,.1f} million" if card.parameters else "none",
        "Published as": card.published,
        "Input": f"{card.input_size} px, tokens of {card.patch_size} px, {card.width} channels, {card.depth} blocks",
        "Scale in training": f"{card.mpp:g} µm per pixel" if card.mpp else "mixed or unknown",
        "Training data": card.training_data,
        "Licence": card.licence,
        "Access": card.access,
        "Source": f"{card.hub_id} at {card.revision or 'no pinned revision'}" if card.hub_id else "",
    }
    return ModelFacts(name, "encoder", {k: v for k, v in facts.items() if v}, card.citation, tuple(card.notes))


def _methods(boards: Sequence[CaseBoard], records: Sequence[RunRecord]) -> tuple[ModelFacts, ...]:
    settings = {r.run_id: r.settings.get("method_settings", {}) for r in records}
    found: dict[str, Mapping[str, Any]] = {}
    for board in boards:
        for row in board.rows:
            found.setdefault(row.method, settings.get(row.run_id, {}))
    return tuple(ModelFacts(name, "method", settings=_settings(name, chosen)) for name, chosen in found.items())


def _settings(method: str, chosen: Mapping[str, Any]) -> tuple[tuple[str, str, str, str], ...]:
    """The settings of a run, and of ours what they usually are and do."""
    from cryostat.cases.methods.registry import METHODS

    known = METHODS[method].settings if method in METHODS else {}
    return tuple(
        (name, _plain(value), _plain(known[name].default), known[name].about)
        if name in known
        else (name, _plain(value), "", "")
        for name, value in chosen.items()
    )


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def run_facts(record: RunRecord) -> RunFacts:
    """What the methods page and the downloads tell of a run."""
    settings, environment = record.settings, record.environment
    seconds = {
        str(name): float(phase.get("seconds") or 0.0)
        for name, phase in record.phases.items()
        if isinstance(phase, dict)
    }
    about = {name: settings[name] for name in ABOUT.get(record.benchmark, ()) if settings.get(name) is not None}
    return RunFacts(
        run_id=record.run_id,
        benchmark=record.benchmark,
        created=record.created,
        about=about,
        quirks=tuple(map(str, settings.get("quirks", ()))),
        seconds=seconds,
        device=_device(environment),
        packages={str(k): str(v) for k, v in (environment.get("packages") or {}).items()},
        python=str(environment.get("python", "")),
        platform=str(environment.get("platform", "")),
        frozen=_frozen(record),
        failures=dict(Counter(_failure(row) for row in record.failures)),
        predictions=f"runs/{record.folder.name if record.folder else record.run_id}/{PREDICTIONS}",
    )


def _device(environment: Mapping[str, Any]) -> str:
    gpu = environment.get("gpu")
    if isinstance(gpu, dict):
        gpu = gpu.get("name") or "GPU"
    if isinstance(gpu, list):
        gpu = ", ".join(map(str, gpu))
    used = str(environment.get("device", ""))
    if gpu and not used.startswith("cpu"):
        return str(gpu)
    told = [environment.get("processor"), f"{environment['cpus']} cores" if environment.get("cpus") else ""]
    return f"CPU ({', '.join(str(part) for part in told if part) or 'of unknown kind'})"


def _frozen(record: RunRecord) -> str:
    """Whether the encoder's weights are proven to be unchanged: `yes`, `no`, `trained`, or empty without one."""
    before, after = (record.training.get(f"encoder_weights_{when}") for when in ("before", "after"))
    if record.benchmark != CELLS or not before or record.settings.get("encoder") == "none":
        return ""
    if "tuned_weights" in record.training:
        return "trained"
    return "yes" if before == after else "no"


def _failure(row: Mapping[str, Any]) -> str:
    """What failed and why; ids and places are left out, since they may name patients."""
    return ": ".join(str(row[key]) for key in ("modality", "phase", "reason", "error") if row.get(key))
