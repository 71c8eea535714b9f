from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from cryostat.cases.evaluation.evaluate import evaluate
from cryostat.cases.evaluation.selection import Selection, grid, settled
from cryostat.cases.evaluation.splits import plan_splits
from cryostat.cases.methods.base import Setting
from cryostat.core.errors import SettingError


def test_settings_are_the_defaults_with_what_differs(small: SimpleNamespace) -> None:
    assert settled(small.Means(), {}) == {"sharpness": 1.0}
    assert settled(small.Means(), {"sharpness": 3.0}) == {"sharpness": 3.0}
    with pytest.raises(SettingError, match=r"means has no setting 'sharpnes'\. Its settings are: sharpness"):
        settled(small.Means(), {"sharpnes": 3.0})
    with pytest.raises(SettingError, match="Its settings are: none at all"):
        settled(small.Drawn(), {"x": 3.0})


def test_the_grid_has_what_is_left_at_its_default(small: SimpleNamespace) -> None:
    assert grid(small.Means(), {"sharpness": 1.0}) == [{"sharpness": s} for s in (0.01, 1.0, 100.0)]
    assert grid(small.Means(), {"sharpness": 3.0}) == []
    many = small.Means()
    many.settings = {name: Setting(0.0, "", choices=tuple(range(9))) for name in "ab"}
    with pytest.raises(SettingError, match="would try 81 combinations of a, b"):
        grid(many, {"a": 0.0, "b": 0.0})
    assert len(grid(many, {"a": 0.0, "b": 2.0})) == 9


def test_the_least_loss_is_chosen_of_equals_the_first_and_never_one_without_a_number() -> None:
    points = [{"a": 1.0}, {"a": 2.0}, {"a": 3.0}]
    selection = Selection(points, np.array([[0.5, 0.2, 0.2], [np.nan, 0.9, 1.0]]))
    assert selection.settings()["a"].tolist() == [2.0, 2.0]
    assert selection.facts(0) == {
        "selected": {"a": 2.0},
        "tried": [{"a": 1.0, "loss": 0.5}, {"a": 2.0, "loss": 0.2}, {"a": 3.0, "loss": 0.2}],
    }


def test_inner_folds_choose_between_certainty_and_doubt(small: SimpleNamespace) -> None:
    y = [0, 1] * 40
    chosen = {}
    for apart in (0.0, 8.0):
        evidence, targets = small.evidence(y, apart=apart, missing=0.0, width=1), small.targets(y, 2)
        splits = plan_splits("kfold", targets, evidence.present, folds=4)
        found = evaluate(evidence, targets, splits, small.Means())
        chosen[apart] = [split["selected"]["sharpness"] for split in found.facts["splits"]]
        assert [fit["sharpness"] for fit in found.facts["fits"]] == pytest.approx(chosen[apart])
    assert chosen[0.0] == pytest.approx([0.01] * 4)
    assert min(chosen[8.0]) >= 1.0


def test_without_selection_the_default_holds(small: SimpleNamespace) -> None:
    y = [0, 1] * 10
    evidence, targets = small.evidence(y), small.targets(y, 2)
    splits = plan_splits("kfold", targets, evidence.present, folds=2)
    found = evaluate(evidence, targets, splits, small.Means(), select=False)
    assert [fit["sharpness"] for fit in found.facts["fits"]] == [1.0, 1.0]
    assert "selected" not in found.facts["splits"][0]
