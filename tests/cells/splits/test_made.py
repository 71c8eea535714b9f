from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryostat.cells.dataset import Split
from cryostat.cells.splits import (
    group_shift,
    holdout,
    kfold,
    leave_one_site_out,
    leave_out,
    straddling,
    subset,
)
from cryostat.core.errors import SettingError


def fovs_of(patients, sites=None):
    return pd.DataFrame(
        {
            "fov_id": [f"f{i}" for i in range(len(patients))],
            "patient_id": list(patients),
            "site": list(sites) if sites is not None else None,
        }
    )


def mixed(patients):
    """Several patients, none of whom fills a fold alone: see `test_a_patient_who_fills_a_fold_alone_is_refused`."""
    largest = max(Counter(patient for patient in patients if patient).values())
    return len(set(patients)) > 5 and largest <= len(patients) // 3


cohorts = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f", "g", None]), min_size=12, max_size=40).filter(mixed)


@given(cohorts, st.integers(2, 4), st.integers(0, 5))
def test_folds_test_every_field_once_and_never_share_a_patient(patients, k, seed):
    fovs = fovs_of(patients)
    splits = kfold(fovs, k, seed)
    assert [split.name for split in splits] == [f"{k}fold-{i}" for i in range(k)]
    assert Counter(fov for split in splits for fov in split.fovs("test")) == Counter(fovs["fov_id"])
    for split in splits:
        assert straddling(split, fovs) == {}
        assert set(split.parts.values()) == {"train", "valid", "test"}
        assert len(split.parts) == len(fovs)


@given(cohorts, st.integers(0, 5), st.randoms())
def test_the_order_of_the_table_does_not_matter(patients, seed, random):
    fovs = fovs_of(patients)
    order = list(range(len(fovs)))
    random.shuffle(order)
    shuffled = fovs.iloc[order]
    assert dict(holdout(fovs, seed=seed).parts) == dict(holdout(shuffled, seed=seed).parts)
    assert [dict(s.parts) for s in kfold(fovs, 3, seed)] == [dict(s.parts) for s in kfold(shuffled, 3, seed)]


def test_a_patient_who_fills_a_fold_alone_is_refused():
    with pytest.raises(SettingError, match="too few patients"):
        kfold(fovs_of([*"aaaaaaabcdef"]), 2, 1)


def test_seeds_differ_and_repeat():
    fovs = fovs_of([None] * 30)
    assert holdout(fovs, seed=1).parts == holdout(fovs, seed=1).parts
    assert holdout(fovs, seed=1).parts != holdout(fovs, seed=2).parts
    assert kfold(fovs, 5, 0)[0].parts != kfold(fovs, 5, 1)[0].parts


def test_folds_of_single_fields_are_even():
    sizes = [len(split.fovs("test")) for split in kfold(fovs_of([None] * 27), 5)]
    assert sorted(sizes) == [5, 5, 5, 6, 6]


def test_holdout_meets_its_shares_whatever_their_scale():
    split = holdout(fovs_of([None] * 100), (70, 15, 15))
    assert [len(split.fovs(part)) for part in ("train", "valid", "test")] == [70, 15, 15]
    assert split.parts == holdout(fovs_of([None] * 100), (0.7, 0.15, 0.15)).parts


def test_three_patients_fill_three_parts():
    split = holdout(fovs_of(["a"] * 20 + ["b", "c"]), (0.98, 0.01, 0.01))
    assert set(split.parts.values()) == {"train", "valid", "test"}


def test_fields_may_be_dealt_singly_when_asked():
    fovs = fovs_of(["a", "a", "b", "b", "c", "c"])
    splits = kfold(fovs, 6, by="fov")
    assert all(len(split.fovs("test")) == 1 for split in splits)
    assert any(straddling(split, fovs) for split in splits)


def test_folds_by_site_keep_sites_whole():
    fovs = fovs_of([None] * 9, ["x", "y", "z"] * 3)
    assert set(kfold(fovs, 3, by="site")[0].fovs("test")) in (
        {"f0", "f3", "f6"},
        {"f1", "f4", "f7"},
        {"f2", "f5", "f8"},
    )


@pytest.mark.parametrize("k", [0, 1, 7])
def test_impossible_folds_are_refused(k):
    with pytest.raises(SettingError):
        kfold(fovs_of(["a", "b", "c", "d", "e", "f"]), k)


def test_two_folds_of_two_patients_leave_nothing_to_validate_on():
    with pytest.raises(SettingError, match="too few"):
        kfold(fovs_of(["a", "b"]), 2)


@pytest.mark.parametrize("shares", [(1, 1), (1, 1, 0), (1, 1, -1), (1, 1, float("nan"))])
def test_impossible_shares_are_refused(shares):
    with pytest.raises(SettingError, match="proportions"):
        holdout(fovs_of([None] * 9), shares)


def test_grouping_by_an_unknown_patient_is_refused():
    with pytest.raises(SettingError, match="patient of 1 fields of view is unknown"):
        kfold(fovs_of(["a", "b", "c", None]), 2, by="patient")


def test_leave_one_site_out_tests_each_site_in_turn():
    fovs = fovs_of([None] * 9, ["x"] * 3 + ["y"] * 3 + ["Z/1"] * 3)
    splits = leave_one_site_out(fovs)
    assert [split.name for split in splits] == ["site-z-1-out", "site-x-out", "site-y-out"]
    assert splits[1].fovs("test") == ["f0", "f1", "f2"]
    assert len(splits[1].fovs("train")) == 5
    assert len(splits[1].fovs("valid")) == 1


def test_a_patient_seen_at_two_sites_is_not_trained_on():
    fovs = fovs_of(["a", "a", "b", "c", "d"], ["x", "y", "y", "y", "y"])
    split = leave_out(fovs, "site", "x")
    assert split.fovs("test") == ["f0"]
    assert "f1" not in split.parts
    assert len(split.parts) == 4


def test_an_unknown_site_is_refused_with_the_known_ones():
    with pytest.raises(SettingError, match="Choose from: x, y"):
        leave_out(fovs_of([None] * 4, ["x", "y", "x", "y"]), "site", "z")


def test_shift_trains_on_one_value_and_tests_on_another():
    fovs = fovs_of(["a", "a", "b", "c", "d", "e"]).assign(group_stage=["3", "3", "3", "3", "4", "2"])
    split = group_shift(fovs, "stage", ["3"], ["4"])
    assert split.name == "stage-3-to-4"
    assert split.fovs("test") == ["f4"]
    assert set(split.parts) == {"f0", "f1", "f2", "f3", "f4"}
    assert straddling(split, fovs) == {}


@pytest.mark.parametrize(("a", "b"), [(["3"], ["3"]), (["3"], ["9"]), ([], ["3"]), (["3"], [])])
def test_impossible_shifts_are_refused(a, b):
    fovs = fovs_of([None] * 4).assign(group_stage=["3", "3", "3", "4"])
    with pytest.raises(SettingError):
        group_shift(fovs, "stage", a, b)


def test_an_unknown_group_is_refused_with_the_known_ones():
    with pytest.raises(SettingError, match="fov, patient, site, stage"):
        group_shift(fovs_of([None]).assign(group_stage=["3"]), "grade", ["1"], ["2"])


def test_straddling_names_the_patients_and_parts():
    fovs = fovs_of(["a", "a", "b", None])
    split = Split("s", {"f0": "test", "f1": "train", "f2": "train", "f3": "valid"})
    assert straddling(split, fovs) == {"a": ["train", "test"]}


splits = st.integers(1, 200).map(
    lambda n: Split("base", {f"t{i}": "train" for i in range(n)} | {"v": "valid", "e": "test"})
)
fractions = st.floats(0.001, 1)


@given(splits, fractions, fractions, st.integers(0, 9))
def test_subsets_are_nested_and_leave_valid_and_test_alone(split, one, other, seed):
    small, large = (subset(split, f, seed) for f in sorted((one, other)))
    assert set(small.fovs("train")) <= set(large.fovs("train")) <= set(split.fovs("train"))
    assert len(small.fovs("train")) >= 1
    assert small.fovs("valid") == large.fovs("valid") == ["v"]
    assert small.fovs("test") == ["e"]


@given(splits, fractions, st.integers(0, 9), st.randoms())
def test_subsets_depend_on_the_set_of_fields_not_on_their_order(split, fraction, seed, random):
    items = list(split.parts.items())
    random.shuffle(items)
    shuffled = Split("base", dict(items))
    assert set(subset(split, fraction, seed).parts) == set(subset(shuffled, fraction, seed).parts)


def test_subset_sizes_and_names_are_what_a_reader_expects():
    split = Split("base", {f"t{i}": "train" for i in range(98)} | {"v": "valid", "e": "test"})
    sizes = [len(subset(split, f).fovs("train")) for f in (0.01, 0.05, 0.10, 0.20, 0.50, 1.0)]
    assert sizes == [1, 5, 10, 20, 49, 98]
    assert subset(split, 0.05, 3).name == "base-5pct-seed3"
    assert subset(split, 1.0) is split
    assert subset(split, 0.5, 0).parts != subset(split, 0.5, 1).parts


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, float("nan")])
def test_impossible_fractions_are_refused(fraction):
    with pytest.raises(SettingError):
        subset(Split("base", {"t": "train"}), fraction)


def test_patches_of_one_image_stay_together_where_patients_are_unknown():
    fovs = fovs_of([None] * 24).assign(group_source_image=[f"image{i // 4}" for i in range(24)])
    for split in kfold(fovs, 3):
        assert straddling(split, fovs) == {}
        parts = [split.parts[f"f{i}"] for i in range(24)]
        assert all(len(set(parts[i : i + 4])) == 1 for i in range(0, 24, 4))
    assert straddling(Split("s", {"f0": "train", "f1": "test"}), fovs) == {"image0": ["train", "test"]}
