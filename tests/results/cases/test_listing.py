"""Runs of cases side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import pytest

from cryostat.core.errors import SettingError
from cryostat.results.cases.listing import lattice, list_cases, write_listing
from cryostat.results.cases.scores import CaseScores, score_cases
from cryostat.results.records import RunRecord


def scores() -> CaseScores:
    """Ten patients, of whom four have b; with both everybody is right, with nothing all are called x."""
    rows = []
    for i in range(10):
        true = "xy"[i % 2]
        for offered in ("nothing", "a", "b", "a+b"):
            has = "a+b" if i < 4 else "a"
            seen = "+".join(m for m in ("a", "b") if m in offered.split("+") and m in has.split("+")) or "nothing"
            predicted = "x" if seen == "nothing" else true
            facts = {"run_id": "r", "repeat": 0, "fold": 0, "seed": 0, "patient_id": f"p{i}", "ablation": "full"}
            rows.append(facts | {"offered": offered, "seen": seen, "y_true": true, "y_pred": predicted})
    return score_cases(pd.DataFrame(rows), ("x", "y"), ("a", "b"), draws=50)


@dataclass(frozen=True)
class Run(RunRecord):
    kept: CaseScores | None = None

    def case_scores(self) -> CaseScores:
        assert self.kept
        return self.kept


def run(name: str, **settings: Any) -> Run:
    facts = {"cohort": "c", "task": "t", "protocol": "standard", "split": "kfold", "modalities": ["a", "b"]}
    facts |= {"method": "m", "method_settings": settings, "seeds": [0]}
    return Run(name, "cases", f"2026-01-0{name}", {}, facts, kept=scores())


def test_each_subset_is_judged_on_those_who_have_all_of_it() -> None:
    table = lattice(scores()).set_index("offered")
    assert table["n"].to_dict() == {"nothing": 10, "a": 10, "b": 4, "a+b": 4}
    assert table["value"].to_dict() == {"nothing": 0.5, "a": 1.0, "b": 1.0, "a+b": 1.0}


def test_or_on_the_same_patients() -> None:
    table = lattice(scores(), "accuracy", "all").set_index("offered")
    assert set(table["n"]) == {10}
    assert table.loc["b", "value"] == pytest.approx(0.7)  # four right, of the others the three that are x


def test_runs_of_one_method_are_told_apart_by_what_differs() -> None:
    frame, broken = list_cases([run("1", width=8, rate=0.1), run("2", width=16, rate=0.1)])
    assert broken == ()
    assert frame.groupby("run_id")["variant"].first().to_dict() == {"1": "width=8", "2": "width=16"}


def test_runs_of_other_benchmarks_are_passed_over() -> None:
    frame, _ = list_cases([replace(run("1"), benchmark="cells")])
    assert frame.empty


@pytest.mark.parametrize("wrong", [{"metric": "quadratic_kappa"}, {"population": "a+c"}])
def test_what_no_run_has_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(SettingError) as caught:
        list_cases([run("1")], **wrong)
    assert "Choose one of" in str(caught.value)


def test_written_and_read_again(tmp_path) -> None:
    frame, _ = list_cases([run("1")])
    write_listing(tmp_path / "a.csv", frame)
    write_listing(tmp_path / "a.json", frame)
    assert pd.read_csv(tmp_path / "a.csv")["value"].tolist() == frame["value"].tolist()
    assert pd.read_json(tmp_path / "a.json")["offered"].tolist() == frame["offered"].tolist()
