from __future__ import annotations

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from cryostat.cases.evaluation.evaluate import evaluate
from cryostat.cases.evaluation.preparation import Preparation
from cryostat.cases.evaluation.splits import Split, plan_splits
from cryostat.cases.evidence import Evidence, Vectors
from cryostat.cases.methods.base import Fitted, Lesson
from cryostat.core.errors import InputError, SettingError
from cryostat.results.cases.predictions import validate


def balanced_accuracy(frame: pd.DataFrame) -> float:
    right = (frame["y_true"] == frame["y_pred"]).groupby(frame["y_true"]).mean()
    return float(right.mean())


def offered(frame: pd.DataFrame, subset: str) -> pd.DataFrame:
    return frame[(frame["offered"] == subset) & (frame["ablation"] == "full")]


def test_every_tested_patient_is_predicted_under_every_subset(small: SimpleNamespace) -> None:
    y = [0] * 60 + [1] * 20
    evidence, targets = small.evidence(y), small.targets(y, 2)
    splits = plan_splits("kfold", targets, evidence.present, repeats=2, folds=4)
    found = evaluate(evidence, targets, splits, small.Means(), seeds=(3, 4))
    validate(found.frame.assign(run_id="r"), ["a", "b"], ["mri", "wsi"])
    assert len(found.frame) == 80 * 2 * 4  # patients × repeats × subsets; no chance, so one seed
    assert set(found.frame["seed"]) == {3}
    assert balanced_accuracy(offered(found.frame, "mri+wsi")) > 0.75
    has = dict(zip(evidence.patients, evidence.present.tolist(), strict=True))
    names = {(False, False): "nothing", (True, False): "mri", (False, True): "wsi", (True, True): "mri+wsi"}
    for row in found.frame.itertuples():
        seen = tuple(
            there and name in row.offered for there, name in zip(has[row.patient_id], ("mri", "wsi"), strict=True)
        )
        assert row.seen == names[seen]
    assert json.loads(json.dumps(found.facts)) == found.facts
    assert found.facts["splits"][0]["train"] == 60
    assert set(found.facts["seconds"]) == {"selection", "preparation", "fitting", "prediction"}


def test_who_is_shown_nothing_gets_the_training_prior(small: SimpleNamespace) -> None:
    y = [0] * 6 + [1] * 3 + [0, 1]
    evidence, targets = small.evidence(y), small.targets(y, 2)
    split = Split("only", 0, 0, np.arange(9), np.array([9, 10]))
    frame = evaluate(evidence, targets, [split], small.Means()).frame
    blind = frame[frame["seen"] == "nothing"]
    assert len(blind) >= 2
    # Half a patient is added to each class.
    assert blind["p_a"].to_numpy() == pytest.approx(6.5 / 10)
    assert blind["p_b"].to_numpy() == pytest.approx(3.5 / 10)
    assert set(blind["y_pred"]) == {"a"}


def test_who_is_shown_nothing_is_at_chance_even_where_sites_have_other_classes(small: SimpleNamespace) -> None:
    # Without its own site each class is the rarer one in training.
    y = [0] * 10 + [1] * 10
    evidence, targets = small.evidence(y), small.targets(y, 2)
    splits = plan_splits("site", targets, evidence.present, sites=["A"] * 8 + ["B"] * 2 + ["A"] * 2 + ["B"] * 8)
    frames = [evaluate(evidence, targets, splits, small.Means(), decision=d).frame for d in ("balanced", "argmax")]
    assert [balanced_accuracy(offered(frame, "nothing")) for frame in frames] == pytest.approx([0.5, 0.2])


def test_shuffled_labels_come_out_at_chance(small: SimpleNamespace) -> None:
    y = np.array([0] * 120 + [1] * 60)
    evidence = small.evidence(y, width=200, missing=0.2)
    mixed = small.targets(np.random.default_rng(1).permutation(y), 2)
    for components in (0, 16):
        splits = plan_splits("kfold", mixed, evidence.present, repeats=2, folds=5)
        preparation = Preparation(components=components)
        frame = evaluate(evidence, mixed, splits, small.Means(), preparation=preparation).frame
        # Two repeats of 180 patients: the standard error is about 0.04.
        assert abs(balanced_accuracy(offered(frame, "mri+wsi")) - 0.5) < 0.1


@pytest.mark.parametrize("column", ["values", "labels"])
def test_nothing_of_a_test_patient_touches_anything_fitted(small: SimpleNamespace, column: str) -> None:
    y = np.array([0, 1] * 30)
    evidence, targets = small.evidence(y, width=20, missing=0.0), small.targets(y, 2)
    split = Split("only", 0, 0, np.arange(40), np.arange(40, 60))
    before = evaluate(evidence, targets, [split], small.Means(), preparation=Preparation(components=5))
    if column == "values":
        evidence = Evidence(evidence.patients, {n: _spoilt(m, 59) for n, m in evidence.modalities.items()})
    else:
        targets = small.targets(np.where(np.arange(60) >= 40, 1 - y, y), 2)
    after = evaluate(evidence, targets, [split], small.Means(), preparation=Preparation(components=5))
    assert after.facts["splits"] == before.facts["splits"]
    others = before.frame["patient_id"] != "p059"
    columns = ["patient_id", "offered", "p_a", "p_b", "y_pred"]
    pd.testing.assert_frame_equal(before.frame.loc[others, columns], after.frame.loc[others, columns])
    spoilt = before.frame.loc[~others, "p_a"].to_numpy() == after.frame.loc[~others, "p_a"].to_numpy()
    assert spoilt.tolist() == ([True, False, False, False] if column == "values" else [True] * 4)


def _spoilt(modality: Vectors, row: int) -> Vectors:
    values = modality.values.copy()
    values[row] = 1e3
    return Vectors(values, modality.present)


def test_chunks_change_nothing(small: SimpleNamespace) -> None:
    y = [0] * 30 + [1] * 21
    evidence, targets = small.evidence(y), small.targets(y, 2)
    splits = plan_splits("kfold", targets, evidence.present, repeats=2, folds=4)
    whole, pieces = (evaluate(evidence, targets, splits, small.Means(), memory=memory) for memory in (10**9, 1))
    pd.testing.assert_frame_equal(whole.frame, pieces.frame, atol=1e-5)
    assert [s["selected"] for s in whole.facts["splits"]] == [s["selected"] for s in pieces.facts["splits"]]


def test_seeds_are_for_methods_with_chance(small: SimpleNamespace) -> None:
    y = [0, 1] * 6
    evidence, targets = small.evidence(y, missing=0.0), small.targets(y, 2)
    splits = plan_splits("kfold", targets, evidence.present, folds=3)
    frame = evaluate(evidence, targets, splits, small.Drawn(), seeds=(0, 2, 2), subsets=[["mri"]]).frame
    assert len(frame) == 24
    odds = (frame["p_a"] / frame["p_b"]).to_numpy()
    assert odds == pytest.approx(np.exp(frame["seed"].to_numpy()), rel=1e-5)


def test_branches_are_ablated_apart(small: SimpleNamespace) -> None:
    y = [0, 1] * 6
    evidence, targets = small.evidence(y, missing=0.0, width=2), small.targets(y, 2)
    split = Split("only", 0, 0, np.arange(8), np.arange(8, 12))
    ablations = ("full", "phi_only", "probe_only")
    preparation = Preparation(components=0)
    frame = evaluate(
        evidence, targets, [split], small.Branches(), ablations=ablations, preparation=preparation, decision="argmax"
    ).frame
    logit = np.log(frame["p_a"]) - np.log(frame["p_b"])
    by = logit.groupby([frame["ablation"], frame["offered"]]).apply(np.array)
    everything, nothing = by["full", "mri+wsi"], by["phi_only", "nothing"]
    # With nothing left to the residual its share is gone, the experts' stays; and the other way round.
    assert nothing + by["probe_only", "nothing"] == pytest.approx(everything, abs=1e-5)
    assert np.abs(nothing).max() > 0.1
    assert frame.loc[frame["seen"] == "nothing", "ablation"].value_counts().to_dict() == dict.fromkeys(ablations, 4)
    prior = np.log(4.5 / 4.5)
    assert by["full", "nothing"] == pytest.approx(prior, abs=1e-6)


def test_balanced_decisions_weigh_rare_classes_up_and_probabilities_stay(small: SimpleNamespace) -> None:
    y = [0] * 180 + [1] * 20
    evidence, targets = small.evidence(y, apart=1.5, missing=0.0), small.targets(y, 2)
    splits = plan_splits("kfold", targets, evidence.present, folds=5)
    balanced, plain = (
        evaluate(evidence, targets, splits, small.Means(), decision=decision).frame
        for decision in ("balanced", "argmax")
    )
    assert (balanced[["p_a", "p_b"]] == plain[["p_a", "p_b"]]).all(axis=None)
    assert (plain["y_pred"] == np.where(plain["p_a"] >= plain["p_b"], "a", "b")).all()
    both = [offered(frame, "mri+wsi") for frame in (balanced, plain)]
    assert balanced_accuracy(both[0]) > balanced_accuracy(both[1])


def test_a_class_nobody_could_learn_is_never_the_balanced_choice(small: SimpleNamespace) -> None:
    y = [0] * 10 + [1] * 10 + [2] * 4
    evidence, targets = small.evidence(y, missing=0.0), small.targets(y, 3)
    split = Split("only", 0, 0, np.arange(20), np.arange(20, 24))
    found = evaluate(evidence, targets, [split], small.Means())
    assert "c" not in set(found.frame["y_pred"])
    assert set(found.frame["y_true"]) == {"c"}
    assert found.facts["remarks"] == [
        "class a, 10 in all: 1 of 1 splits test nobody of it",
        "class b, 10 in all: 1 of 1 splits test nobody of it",
        "patients learnt from but never tested, as the split has it: 20",
        "only: nobody to learn from has the class c",
    ]


def test_many_small_sites_work(small: SimpleNamespace) -> None:
    random = np.random.default_rng(0)
    sites = [f"s{i}" for i in range(41) for _ in range(3 if i < 35 else 20)]
    y = random.integers(0, 3, len(sites))
    evidence, targets = small.evidence(y), small.targets(y, 3)
    splits = plan_splits("site", targets, evidence.present, sites=sites, least_site=10)
    assert len(splits) == 6 + 8  # 35 sites of three, pooled by four; the rest of three joins the last
    frame = evaluate(evidence, targets, splits, small.Means()).frame
    assert offered(frame, "mri")["patient_id"].is_unique
    assert len(offered(frame, "mri")) == len(sites)


def test_facts_are_told_of_each_fit_and_ready_for_json(small: SimpleNamespace) -> None:
    class Telling(small.Drawn):
        def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
            fitted = super().fit(lesson, choice)
            square = lesson.seeds[:, None] * torch.tensor([1.0, 10.0])
            names, whole = ["x", "y"], {"rows": (1, 2, 3)}
            told = {"square": square, "least": [np.inf, 0.5], "names": names, "whole": whole}
            fitted.facts = lambda: told
            return fitted

    y = [0, 1] * 6
    evidence, targets = small.evidence(y, missing=0.0), small.targets(y, 2)
    found = evaluate(evidence, targets, [Split("s", 0, 0, np.arange(8), np.arange(8, 12))], Telling(), seeds=(1, 2))
    assert found.facts["fits"] == [
        {"split": "s", "seed": 1, "square": [1, 10], "least": None, "names": ["x", "y"], "whole": {"rows": [1, 2, 3]}},
        {"split": "s", "seed": 2, "square": [2, 20], "least": 0.5, "names": ["x", "y"], "whole": {"rows": [1, 2, 3]}},
    ]
    json.dumps(found.facts, allow_nan=False)


def test_bad_questions_and_answers_are_refused(small: SimpleNamespace) -> None:
    y = [0, 1] * 6
    evidence, targets = small.evidence(y, missing=0.0), small.targets(y, 2)
    splits = plan_splits("kfold", targets, evidence.present, folds=3)
    with pytest.raises(SettingError, match="there is no decision 'best'"):
        evaluate(evidence, targets, splits, small.Means(), decision="best")
    with pytest.raises(InputError, match=r"method broken, repeat 0 fold 0: gives 12 patients something that is no"):
        evaluate(evidence, targets, splits, small.Broken(), subsets=[["mri"]])
