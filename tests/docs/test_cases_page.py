"""What docs/cases.md says of protocols, ablations and methods is what the code has."""

from __future__ import annotations

import re
from pathlib import Path

from cryostat.cases.evaluation.offers import ABLATIONS
from cryostat.cases.methods.registry import METHODS
from cryostat.cases.protocols import load_case_protocol
from cryostat.results.cases.metrics import METRICS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cases.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def named(text: str) -> set[str]:
    return set(re.findall(r"^\| `([\w.-]+)` \|", text, re.MULTILINE))


def test_every_rule_in_which_the_paper_differs_is_told() -> None:
    switches = {line.split(":")[0] for line in load_case_protocol("paper").quirks()}
    # What a one-off split has no use for needs no row.
    assert named(section("Protocols")) == switches - {"splits.repeats", "splits.folds"}


def test_every_ablation_is_told() -> None:
    assert named(section("What *ablated* means")) - {"--ablation"} == set(ABLATIONS)


def test_every_method_is_told_once() -> None:
    table = [line for line in section("Methods").splitlines() if line.startswith("|")]
    told = re.findall(r"`([\w-]+)`", "\n".join(table))
    assert sorted(told) == sorted(METHODS)


def test_metrics_that_are_told_exist() -> None:
    told = set(re.findall(r"`(\w+_\w+)`", section("Reading the numbers")))
    assert told <= set(METRICS)
