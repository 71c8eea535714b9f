from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryostat.cases.evaluation.splits import deal, plan_splits, remarks
from cryostat.core.errors import InputError, SettingError


@given(
    labels=st.lists(st.integers(-1, 3), min_size=1, max_size=60),
    folds=st.integers(2, 7),
    seed=st.integers(0, 1000),
)
def test_dealt_folds_are_even_over_all_classes_and_patterns(labels: list[int], folds: int, seed: int) -> None:
    y, random = np.array(labels), np.random.default_rng(seed)
    present = random.random((len(y), 2)) < 0.5
    fold = deal(y, present, folds, random)

    def even(who: np.ndarray) -> bool:
        counts = np.bincount(fold[who], minlength=folds)
        return bool(counts.max() - counts.min() <= 1)

    assert even(np.ones(len(y), bool))
    for label in set(labels):
        assert even(y == label)
        for pattern in ((0, 0), (0, 1), (1, 0), (1, 1)):
            assert even((y == label) & (present == pattern).all(1))


def test_every_certain_patient_is_tested_once_a_repeat_and_the_others_train(small: SimpleNamespace) -> None:
    # 9 is unlabelled, 10 may be a or b, 11 is of no class of the task.
    targets = small.targets([0, 0, 0, 1, 1, 1, 2, 2, 2, -1, 0, 0], 3, {10: [0, 1], 11: []})
    splits = plan_splits("kfold", targets, np.ones((12, 2), bool), repeats=2, folds=3)
    assert [(s.repeat, s.fold) for s in splits] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    for repeat in (splits[:3], splits[3:]):
        assert sorted(np.concatenate([s.test for s in repeat])) == list(range(9))
    for split in splits:
        assert sorted(targets.y[split.test]) == [0, 1, 2]
        assert set(split.train) == set(range(11)) - set(split.test)
    assert any(set(a.test) != set(b.test) for a, b in zip(splits[:3], splits[3:], strict=True))
    again = plan_splits("kfold", targets, np.ones((12, 2), bool), repeats=2, folds=3)
    assert all((a.test == b.test).all() for a, b in zip(splits, again, strict=True))
    assert remarks(splits, targets) == (
        "patients not of this task's classes, standing aside: 1",
        "patients learnt from but never tested, their class not being certain: 2",
    )


def test_a_class_of_fewer_patients_than_folds_is_spread_and_reported(small: SimpleNamespace) -> None:
    targets = small.targets([0] * 12 + [1] * 10 + [2] * 2 + [3], 4)
    splits = plan_splits("kfold", targets, np.ones((25, 1), bool), folds=5)
    assert sorted(int((targets.y[s.test] == 2).sum()) for s in splits) == [0, 0, 0, 1, 1]
    alone = next(s for s in splits if 24 in s.test)
    assert set(remarks(splits, targets)) == {
        "class c, 2 in all: 3 of 5 splits test nobody of it",
        "class d, 1 in all: 4 of 5 splits test nobody of it",
        f"{alone.name}: nobody to learn from has the class d",
    }


def test_sites_are_held_out_whole_and_small_ones_together(small: SimpleNamespace) -> None:
    sites = ["A"] * 6 + ["B"] * 4 + ["C"] * 2 + ["D"] * 2 + ["E"] * 1 + [None] * 1
    targets = small.targets([0, 1] * 8, 2)
    splits = plan_splits("site", targets, np.ones((16, 1), bool), sites=sites, least_site=4)
    # C and D make four; E and the unknown are too few and join the last.
    assert [s.name for s in splits] == ["site A", "site B", "site C+D+E+unknown"]
    assert [len(s.test) for s in splits] == [6, 4, 6]
    for split in splits:
        assert not {sites[i] for i in split.train} & {sites[i] for i in split.test}
        assert len(split.train) + len(split.test) == 16


@given(sizes=st.lists(st.integers(1, 9), min_size=4, max_size=40), least=st.integers(1, 12))
def test_no_group_of_sites_is_under_the_minimum(sizes: list[int], least: int, small: SimpleNamespace) -> None:
    sites = [f"s{i}" for i, size in enumerate(sizes) for _ in range(size)]
    targets = small.targets([i % 2 for i in range(len(sites))], 2)
    try:
        splits = plan_splits("site", targets, np.ones((len(sites), 1), bool), sites=sites, least_site=least)
    except InputError:
        return  # too few patients for two groups, or one class alone left to learn from
    assert sorted(np.concatenate([s.test for s in splits])) == list(range(len(sites)))
    assert min(len(s.test) for s in splits) >= least


def test_a_patient_without_a_certain_class_stays_with_the_site(small: SimpleNamespace) -> None:
    targets = small.targets([0, 1, -1, 0, 1, -1], 2)
    splits = plan_splits("site", targets, np.ones((6, 1), bool), sites=list("AAABBB"), least_site=1)
    assert [s.test.tolist() for s in splits] == [[0, 1], [3, 4]]
    assert [s.train.tolist() for s in splits] == [[3, 4, 5], [0, 1, 2]]


def test_a_share_of_the_complete_is_tested_and_all_others_train(small: SimpleNamespace) -> None:
    y = [0] * 40 + [1] * 20 + [0] * 15 + [1] * 5
    present = np.ones((80, 2), bool)
    present[60:, 1] = False
    splits = plan_splits("complete-test", small.targets(y, 2), present, repeats=3, folds=1)
    for split in splits:
        assert split.test.max() < 60
        assert np.bincount(np.array(y)[split.test]).tolist() == [12, 6]  # 30 % of 40 and of 20
        assert len(split.train) == 62
    assert set(splits[0].test) != set(splits[1].test)


def test_a_column_says_who_trains_and_who_is_tested(small: SimpleNamespace) -> None:
    targets = small.targets([0, 1, 0, 1, 0, 1, -1], 2)
    column = ["train", "Train", "validation", "test", "TEST", "none", "test"]
    (split,) = plan_splits("column", targets, np.ones((7, 1), bool), table_split=column)
    assert (split.train.tolist(), split.test.tolist()) == ([0, 1, 2], [3, 4])
    assert "patients of this task but neither learnt from nor tested: 2" in remarks([split], targets)


def test_a_column_of_folds_tests_each_in_turn(small: SimpleNamespace) -> None:
    targets = small.targets([0, 1, 0, 1, 0, 1], 2)
    splits = plan_splits("column", targets, np.ones((6, 1), bool), table_split=["10", "10", "2", "2", "none", "none"])
    assert [(s.name, s.test.tolist(), s.train.tolist()) for s in splits] == [
        ("fold 2", [2, 3], [0, 1]),
        ("fold 10", [0, 1], [2, 3]),
    ]


@pytest.mark.parametrize(
    ("kind", "given_", "error", "message"),
    [
        ("k-fold", {}, SettingError, "there is no split 'k-fold'. Choose one of: kfold, column, site, complete-test"),
        ("kfold", {"folds": 1}, SettingError, "folds 1 is too few"),
        ("kfold", {"repeats": 0}, SettingError, "repeats 0 is too few"),
        ("kfold", {"folds": 9}, InputError, "has 8 patients with a certain class for 9 folds"),
        ("complete-test", {"test_share": 1.0}, SettingError, "test_share 1.0 is no share"),
        ("column", {}, InputError, "cohort: has no split column"),
        ("column", {"table_split": ["train"] * 7 + [None]}, InputError, "has 1 patients without a value"),
        ("column", {"table_split": ["train"] * 7 + ["3"]}, InputError, "says '3' beside 'train'"),
        ("column", {"table_split": ["train"] * 8}, InputError, "tests nobody with a certain class"),
        ("column", {"table_split": ["train", "none"] + ["test"] * 6}, InputError, "of fewer than two classes"),
        ("column", {"table_split": ["1"] * 8}, InputError, "has 1 fold with patients to test"),
        ("site", {}, InputError, "cohort: has no sites"),
        ("site", {"sites": ["A"] * 8}, InputError, "has 1 site with patients to test"),
    ],
)
def test_what_cannot_be_split_is_refused(
    kind: str, given_: dict[str, object], error: type[Exception], message: str, small: SimpleNamespace
) -> None:
    with pytest.raises(error, match=message):
        plan_splits(kind, small.targets([0, 1] * 4, 2), np.ones((8, 2), bool), **given_)


def test_without_complete_patients_there_is_no_complete_test(small: SimpleNamespace) -> None:
    with pytest.raises(InputError, match="has 0 patients with every modality"):
        plan_splits("complete-test", small.targets([0, 1] * 4, 2), np.zeros((8, 2), bool))
