"""Protocols of the cases benchmark: versioned, named sets of rules, shipped as files and shown in every report."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from importlib.resources import files
from typing import Any

from cryostat.core.errors import SettingError
from cryostat.core.identity import differences

SPLIT_KINDS = ("kfold", "column", "site", "complete-test")
"""Ways of parting patients."""

DECISIONS = ("balanced", "argmax")
"""Ways from probabilities to a class."""


@dataclass(frozen=True)
class Splits:
    """Who is tested.

    Attributes:
        kind: `kfold`: stratified cross-validation; `column`: the cohort's own split; `site`: each site once;
            `complete-test`: train on every pattern of availability, test on a share of the complete patients.
        repeats: Repeats with other random numbers (`kfold`, `complete-test`).
        folds: Folds of `kfold`.
        least_site: Sites with fewer patients are left out together (`site`).
        test_share: Share of the complete patients that is tested (`complete-test`).
    """

    kind: str
    repeats: int
    folds: int
    least_site: int
    test_share: float


@dataclass(frozen=True)
class Evaluation:
    """What is asked of each fitted model.

    Attributes:
        ablations: What withholding a modality means; see `cases.evaluation.offers`.
        decision: `balanced`: the class whose probability exceeds its training frequency most; `argmax`.
        select: Settings with choices are chosen by inner folds.
        inner: Inner folds.
    """

    ablations: tuple[str, ...]
    decision: str
    select: bool
    inner: int


@dataclass(frozen=True)
class CaseProtocol:
    """A named set of rules; two runs compare only under the same one.

    Attributes:
        preparation: Settings of what is fitted to each modality inside the fold.
        methods: Settings of methods that differ from the methods' own, by name.
    """

    name: str
    version: int
    about: str
    splits: Splits
    preparation: Mapping[str, Any] = field(hash=False)
    evaluation: Evaluation = field()
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)

    def rules(self) -> dict[str, Any]:
        """The rules as plain data, for identities and reports; the settings of methods stand with each run."""
        rules = asdict(self)
        del rules["about"], rules["methods"]
        return rules

    def quirks(self) -> list[str]:
        """The rules that differ from `standard`, as `field: ours / standard's`."""
        found = differences(self.rules(), load_case_protocol("standard").rules())
        return [line for line in found if not line.startswith(("name", "version"))]


def case_protocol_names() -> list[str]:
    """Names of the protocols that ship."""
    return sorted(p.name.removesuffix(".toml") for p in files(__package__).iterdir() if p.name.endswith(".toml"))


@cache
def load_case_protocol(name: str) -> CaseProtocol:
    """A protocol by name.

    Raises:
        SettingError: There is none of that name.
    """
    if name not in case_protocol_names():
        raise SettingError(
            f"there is no protocol {name!r} for cases", remedy=f"Choose one of: {', '.join(case_protocol_names())}"
        )
    return _parse(tomllib.loads(files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8")))


def _parse(facts: Mapping[str, Any]) -> CaseProtocol:
    splits = Splits(**{f.name: facts["splits"][f.name] for f in fields(Splits)})
    asked = facts["evaluation"]
    evaluation = Evaluation(tuple(asked["ablations"]), asked["decision"], asked["select"], asked["inner"])
    for value, allowed in ((splits.kind, SPLIT_KINDS), (evaluation.decision, DECISIONS)):
        if value not in allowed:
            raise SettingError(f"protocol {facts['name']} says {value!r}", remedy=f"Use one of {', '.join(allowed)}")
    return CaseProtocol(
        facts["name"],
        facts["version"],
        facts["about"],
        splits,
        facts["preparation"],
        evaluation,
        facts.get("methods", {}),
    )
