"""What a methods section must tell: protocols, departures from them, software, machines, time and energy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cryostat.report.site.data import Study
from cryostat.report.site.facts import RunFacts

WATTS = {"CPU": 65.0, "GPU": 400.0}
"""Power that a busy machine is taken to draw, W: a desktop processor under load; a data-centre accelerator with its
share of the host. Neither is measured."""

JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Energy:
    """An estimate: seconds on each kind of machine, kWh, and the assumption in words."""

    seconds: Mapping[str, float]
    kwh: float
    assumption: str


@dataclass(frozen=True)
class Methods:
    """What the methods page tells.

    Attributes:
        protocols: (benchmark, protocol) to the rule in a sentence.
        quirks: Departures from the protocol, or published quirks that were on, to how many runs have them.
        packages: Package to its versions.
        pythons: Versions of Python.
        machines: Machine to runs on it.
        phases: Phase to seconds over all runs.
        energy: What that came to.
        frozen: Runs whose encoder is proven unchanged, those with a trained one, those in which it changed though it
            should not have, and those without one to prove anything of.
        failures: Reason to how often it occurred.
        clusters: What was resampled, in words.
    """

    protocols: Mapping[tuple[str, str], str]
    quirks: Mapping[str, int]
    packages: Mapping[str, tuple[str, ...]]
    pythons: tuple[str, ...]
    machines: Mapping[str, int]
    phases: Mapping[str, float]
    energy: Energy
    frozen: tuple[int, int, int, int]
    failures: Mapping[str, int]
    clusters: str


def methods_of(study: Study) -> Methods:
    """Gather what the runs tell of themselves."""
    runs = study.runs
    packages: dict[str, set[str]] = {}
    for run in runs:
        for name, version in run.packages.items():
            packages.setdefault(name, set()).add(version)
    proofs = Counter(run.frozen for run in runs if run.benchmark == "cells")
    return Methods(
        protocols=_protocols(runs),
        quirks=_counted(q for run in runs for q in run.quirks),
        packages={name: tuple(sorted(versions)) for name, versions in sorted(packages.items())},
        pythons=tuple(sorted({run.python for run in runs if run.python})),
        machines=_counted(run.device for run in runs),
        phases=_phases(runs),
        energy=energy(runs),
        frozen=(proofs["yes"], proofs["trained"], proofs["no"], proofs[""]),
        failures=_failures(runs),
        clusters=_clusters(study),
    )


def _counted(items: Iterable[str]) -> dict[str, int]:
    return dict(Counter(items).most_common())


def _protocols(runs: Sequence[RunFacts]) -> dict[tuple[str, str], str]:
    used = dict.fromkeys((run.benchmark, str(run.about.get("protocol"))) for run in runs)
    return {key: about for key in used if (about := _about(*key))}


def _about(benchmark: str, name: str) -> str:
    """The rule of a shipped protocol in a sentence; nothing for one that does not ship."""
    from cryostat.core.errors import SettingError

    try:
        if benchmark == "cells":
            from cryostat.cells.protocols import load_protocol

            return load_protocol(name).about
        from cryostat.cases.protocols import load_case_protocol

        return load_case_protocol(name).about
    except SettingError:
        return ""


def _phases(runs: Sequence[RunFacts]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for run in runs:
        total.update(run.seconds)
    return dict(total)


def energy(runs: Sequence[RunFacts]) -> Energy:
    """Time on each kind of machine, and what it came to under the stated assumption."""
    seconds = {"CPU": 0.0, "GPU": 0.0}
    for run in runs:
        seconds["CPU" if run.device.startswith("CPU") else "GPU"] += sum(run.seconds.values())
    kwh = sum(seconds[kind] * WATTS[kind] for kind in seconds) / JOULES_PER_KWH
    used = [f"{WATTS[kind]:.0f} W while a {kind} is at work" for kind in seconds if seconds[kind]]
    assumption = f"taking {' and '.join(used) or 'nothing'}; not measured, cooling and idle time left out"
    return Energy({kind: value for kind, value in seconds.items() if value}, kwh, assumption)


def _failures(runs: Sequence[RunFacts]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for run in runs:
        # Runs on one cohort tell of the same files: what one run tells is counted once.
        for reason, count in run.failures.items():
            total[reason] = max(total[reason], count)
    return dict(total)


def _clusters(study: Study) -> str:
    kinds = dict.fromkeys(row.cluster for board in study.cells for row in board.ours)
    words = [
        {"patient": "patients", "field": "fields of view"}.get(kind, "patients, where unknown fields of view")
        for kind in kinds
    ]
    if study.cases:
        words.append("patients")
    return " or ".join(dict.fromkeys(words))
