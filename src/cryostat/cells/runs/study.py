"""Running many specs: what fails becomes a row with its reason, the rest goes on."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass

from cryostat.cells.runs.bench import Bench, sight
from cryostat.cells.runs.spec import RunSpec
from cryostat.core.errors import CryostatError
from cryostat.core.files import safe_name, write_json
from cryostat.core.home import Home
from cryostat.core.progress import track
from cryostat.results.records import RunRecord


@dataclass(frozen=True)
class Outcome:
    """What came of a spec: a record, or the reason why there is none."""

    spec: RunSpec
    record: RunRecord | None
    reason: str = ""


def run_specs(
    specs: Sequence[RunSpec], home: Home, *, device: str = "auto", batch_size: int = 32, study: str = ""
) -> list[Outcome]:
    """Run specs in order; those already finished are found again.

    Args:
        specs: Runs; put those that share an encoder pass together.
        home: Where everything lives.
        device: Where encoders and heads run.
        batch_size: Tiles an encoder pass.
        study: Name under which the list of outcomes is kept in `home/studies`; not kept when empty.
    """
    bench = Bench(home, device=device, batch_size=batch_size, planned=specs)
    outcomes: dict[int, Outcome] = {}
    for unit in track(_units(specs), "Runs"):
        outcomes.update(zip(unit, _attempt(bench, [specs[number] for number in unit]), strict=True))
        if study:
            rows = [_row(outcomes[number]) for number in sorted(outcomes)]
            write_json(home.root / "studies" / f"{safe_name(study)}.json", rows)
    return [outcomes[number] for number in range(len(specs))]


def _units(specs: Sequence[RunSpec]) -> list[list[int]]:
    """Runs one by one, but those of live training on one encoder and split together."""
    units: dict[Hashable, list[int]] = {}
    for number, spec in enumerate(specs):
        live = spec.resolved_mode().kind == "live"
        units.setdefault((*sight(spec), spec.split) if live else number, []).append(number)
    return list(units.values())


def _attempt(bench: Bench, specs: Sequence[RunSpec]) -> list[Outcome]:
    try:
        found = bench.run_together(specs)
    except CryostatError as error:
        found = [error] * len(specs)
    return [
        Outcome(spec, None, str(one)) if isinstance(one, CryostatError) else Outcome(spec, one)
        for spec, one in zip(specs, found, strict=True)
    ]


def _row(outcome: Outcome) -> dict[str, object]:
    run_id = outcome.record.run_id if outcome.record else None
    return {"run_id": run_id, "reason": outcome.reason, "spec": asdict(outcome.spec)}
