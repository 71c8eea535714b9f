"""What an audit says: findings with a remedy, and counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
SHOWN = 6
"""Places that a finding names before it says how many more there are."""


@dataclass(frozen=True)
class Finding:
    """One thing that an audit found.

    Attributes:
        severity: `error` (results would be wrong), `warning` (results may mislead), `note` (worth knowing).
        check: Short name of the check.
        what: What was found, as a clause without a full stop.
        where: Fields of view, split, class or file.
        remedy: What to do, as an imperative sentence without a full stop; empty where nothing is to be done.
    """

    severity: Severity
    check: str
    what: str
    where: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class CountRow:
    """How many fields of view and nuclei a part of the dataset holds.

    Attributes:
        scope: `all`, `site` or `split`.
        name: Site or split; empty for all.
        part: `train`, `valid`, `test` for splits; empty otherwise.
        fields: Fields of view.
        cells: Nuclei.
        per_class: Class name to nuclei; nuclei without a class under `without a class`.
    """

    scope: Literal["all", "site", "split"]
    name: str
    part: str
    fields: int
    cells: int
    per_class: Mapping[str, int]


@dataclass(frozen=True)
class AuditReport:
    """The outcome of an audit.

    Attributes:
        dataset: Name of the dataset.
        identity: Its identity.
        patients: Known patients.
        sites: Known sites.
        findings: Worst first.
        counts: All, then by site, then by split and part.
    """

    dataset: str
    identity: str
    patients: int
    sites: int
    findings: tuple[Finding, ...]
    counts: tuple[CountRow, ...] = field(default=())

    def of(self, severity: Severity) -> list[Finding]:
        """The findings of one severity."""
        return [finding for finding in self.findings if finding.severity == severity]

    @property
    def passed(self) -> bool:
        """Whether there is no error."""
        return not self.of("error")

    def to_dict(self) -> dict[str, Any]:
        """Plain types, as JSON has them."""
        return asdict(self) | {"passed": self.passed}


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors, then warnings, then notes; otherwise in the order found."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def places(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
