from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from cryostat.cases.evaluation.evaluate import evaluate
from cryostat.cases.evaluation.lessons import Lessons, folds_of_splits
from cryostat.cases.evaluation.preparation import Preparation
from cryostat.cases.evaluation.selection import choose, open_settings, settled
from cryostat.cases.evaluation.splits import Split, plan_splits
from cryostat.cases.methods.base import Fitted, Lesson, Method, Offer, Setting, number
from cryostat.core.errors import SettingError


def test_settings_are_the_defaults_with_what_differs(small: SimpleNamespace) -> None:
    assert settled(small.Means(), {}) == {"sharpness": 1.0}
    assert settled(small.Means(), {"sharpness": 3.0}) == {"sharpness": 3.0}
    with pytest.raises(SettingError, match=r"means has no setting 'sharpnes'\. Its settings are: sharpness"):
        settled(small.Means(), {"sharpnes": 3.0})
    with pytest.raises(SettingError, match="Its settings are: none at all"):
        settled(small.Drawn(), {"x": 3.0})


def test_open_is_what_has_choices_and_is_left_at_its_default(small: SimpleNamespace) -> None:
    assert open_settings(small.Means(), {"sharpness": 1.0}) == {"sharpness": (1.0, 0.01, 100.0)}
    assert open_settings(small.Means(), {"sharpness": 3.0}) == {}


class Wanting(Method):
    """How sure it is of class 1 depends on its settings alone."""

    name, about = "wanting", "For tests."
    settings: ClassVar = {n: Setting(0.0, "", choices=(0.0, 1.0, 2.0)) for n in ("first", "second")}

    def __init__(self) -> None:
        self.fits = 0

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
        self.fits += lesson.fits
        first, second = (number(lesson, choice, name) for name in ("first", "second"))
        return Certain(-((first - 1) ** 2) - (second - 2 * first) ** 2)


class Certain(Fitted):
    def __init__(self, sure: torch.Tensor) -> None:
        self.sure = sure

    def log_probabilities(self, offer: Offer) -> torch.Tensor:
        score = torch.stack([torch.zeros_like(self.sure), self.sure], -1)
        return score[:, None].expand(*offer.present.shape[:2], -1).log_softmax(-1)


def test_one_setting_after_another_each_at_the_best_so_far(small: SimpleNamespace) -> None:
    y = [1] * 8 + [0] * 2
    evidence, targets = small.evidence(y, missing=0.0), small.targets(y, 2)
    splits = [Split("only", 0, 0, np.arange(10), np.array([0]))]
    lessons = Lessons(evidence, targets, Preparation(), folds_of_splits(splits, targets, evidence.present, 2))
    method = Wanting()
    chosen = choose(lessons, method, settled(method, {}), inner=2, seed=0, memory=10**9)
    # −(first − 1)² − (second − 2 first)²: at second = 0 the best first is 0; then second = 0 stays.
    assert [(t["first"], t["second"]) for t in chosen.tried[0]] == [(0, 0), (1, 0), (2, 0), (0, 1), (0, 2)]
    assert {name: values.tolist() for name, values in chosen.settings.items()} == {"first": [0.0], "second": [0.0]}
    assert method.fits == 2 * (3 + 2)
    told = choose(lessons, method, settled(method, {"second": 1.5}), inner=2, seed=0, memory=1)
    assert {name: values.tolist() for name, values in told.settings.items()} == {"first": [1.0]}
    assert chosen.facts(0)["selected"] == {"first": 0.0, "second": 0.0}
    # Of ten patients eight are of class 1, each at −log σ(−1); two of class 0 at −log(1 − σ(−1)).
    assert chosen.tried[0][0]["loss"] == pytest.approx(0.8 * np.log1p(np.e) + 0.2 * np.log1p(np.exp(-1)), abs=1e-6)


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
