"""Running many specs: what fails becomes a row with its reason, the rest goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from cryostat.cells.runs.bench import Bench
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
    bench = Bench(home, device=device, batch_size=batch_size)
    outcomes: list[Outcome] = []
    for spec in track(specs, "Runs"):
        outcomes.append(_attempt(bench, spec))
        if study:
            write_json(home.root / "studies" / f"{safe_name(study)}.json", [_row(o) for o in outcomes])
    return outcomes


def _attempt(bench: Bench, spec: RunSpec) -> Outcome:
    try:
        return Outcome(spec, bench.run(spec))
    except CryostatError as error:
        return Outcome(spec, None, str(error))


def _row(outcome: Outcome) -> dict[str, object]:
    run_id = outcome.record.run_id if outcome.record else None
    return {"run_id": run_id, "reason": outcome.reason, "spec": asdict(outcome.spec)}
