"""Running many specs: what fails becomes a row with its reason, the rest goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from cryostat.cases.runs.bench import CaseBench
from cryostat.cases.runs.spec import CaseSpec
from cryostat.core.errors import CryostatError
from cryostat.core.files import safe_name, write_json
from cryostat.core.home import Home
from cryostat.core.progress import track
from cryostat.results.records import RunRecord


@dataclass(frozen=True)
class CaseOutcome:
    """What came of a spec: a record, or the reason why there is none."""

    spec: CaseSpec
    record: RunRecord | None
    reason: str = ""


def run_case_specs(
    specs: Sequence[CaseSpec], home: Home, *, device: str = "auto", study: str = ""
) -> list[CaseOutcome]:
    """Run specs in order; those already finished are found again.

    Args:
        specs: Runs; put those of one cohort together.
        home: Where everything lives.
        device: Where encoders run.
        study: Name under which the list of outcomes is kept in `home/studies`; not kept when empty.
    """
    bench, outcomes = CaseBench(home, device=device), list[CaseOutcome]()
    for spec in track(specs, "Runs"):
        outcomes.append(_attempt(bench, spec))
        if study:
            write_json(home.root / "studies" / f"{safe_name(study)}.json", [_row(outcome) for outcome in outcomes])
    return outcomes


def _attempt(bench: CaseBench, spec: CaseSpec) -> CaseOutcome:
    try:
        return CaseOutcome(spec, bench.run(spec))
    except CryostatError as error:
        return CaseOutcome(spec, None, str(error))


def _row(outcome: CaseOutcome) -> dict[str, object]:
    run_id = outcome.record.run_id if outcome.record else None
    return {"run_id": run_id, "reason": outcome.reason, "spec": asdict(outcome.spec)}
