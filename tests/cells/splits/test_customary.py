from __future__ import annotations

import pytest

from cryostat.cells.splits import published, straddling


def by_name(splits):
    return {split.name: split for split in splits}


def test_pannuke_base_trains_on_fold_3(fov_table):
    fovs = fov_table([f"fold{fold}_{i}" for fold in (1, 2, 3) for i in range(fold)])
    splits = by_name(published("pannuke", fovs))
    assert set(splits) == {"base", "official-1", "official-2", "official-3"}
    assert splits["base"].fovs("train") == ["fold3_0", "fold3_1", "fold3_2"]
    assert splits["base"].fovs("valid") == ["fold1_0"]
    assert splits["base"].fovs("test") == ["fold2_0", "fold2_1"]
    assert splits["official-2"].fovs("train") == ["fold2_0", "fold2_1"]
    assert splits["official-3"].fovs("test") == ["fold1_0"]


def test_pannuke_with_two_folds_has_no_split(fov_table):
    assert published("pannuke", fov_table(["fold1_0", "fold2_0"])) == []


def test_arctique_release_tests_on_the_released_test_part(fov_table):
    ids = [str(i) for i in range(40)]
    sources = [f"{'test' if i % 4 == 3 else 'train'}/images/img_{i}.png" for i in range(40)]
    splits = by_name(published("arctique", fov_table(ids, source=sources)))
    assert set(splits) == {"release", "train-part-70-15-15"}
    assert splits["release"].fovs("test") == [str(i) for i in range(3, 40, 4)]
    dealt = splits["train-part-70-15-15"]
    assert [len(dealt.fovs(part)) for part in ("train", "valid", "test")] == [21, 5, 4]
    assert not set(dealt.parts) & set(splits["release"].fovs("test"))


@pytest.mark.parametrize("column", ["group", "name"])
def test_consep_official_keeps_train_and_test_apart(fov_table, column):
    prefix = "" if column == "group" else None
    ids = [f"train_{i}" for i in range(27)] + [f"test_{i}" for i in range(14)]
    parts = [fov.split("_")[0] for fov in ids]
    names = ids if prefix is None else [f"image_{i}" for i in range(41)]
    groups = {} if prefix is None else {"group_release_part": parts}
    splits = by_name(published("consep", fov_table(names, **groups)))
    assert set(splits) == {"official", "holdout", *(f"5fold-{i}" for i in range(5))}
    official = splits["official"]
    assert official.fovs("test") == names[27:]
    assert len(official.fovs("train")) == 23
    assert len(official.fovs("valid")) == 4
    assert all(set(split.parts) == set(names[:27]) for name, split in splits.items() if name != "official")


def test_consep_training_images_alone_have_folds_but_no_official_split(fov_table):
    splits = by_name(published("consep", fov_table([f"train_{i}" for i in range(1, 28)])))
    assert "official" not in splits
    assert [len(splits["holdout"].fovs(part)) for part in ("train", "valid", "test")] == [19, 4, 4]
    tested = sorted(fov for i in range(5) for fov in splits[f"5fold-{i}"].fovs("test"))
    assert tested == sorted(f"train_{i}" for i in range(1, 28))


def test_conic_groups_patches_by_their_source_image(fov_table):
    ids, images = [f"patch_{i}" for i in range(40)], [f"crag_{i // 4}" for i in range(40)]
    fovs = fov_table(ids, patient_id=images, site=[("crag", "glas", "dpath")[i // 4 % 3] for i in range(40)])
    splits = by_name(published("conic", fovs))
    assert set(splits) == {"holdout", "site-crag-out", "site-dpath-out", "site-glas-out"}
    assert all(straddling(split, fovs) == {} for split in splits.values())


def test_a_format_without_customary_splits_has_none(fov_table):
    assert published("generic", fov_table(["a", "b", "c"])) == []


@pytest.mark.parametrize("name", ["lizard", "pannuke", "arctique", "pathocell", "consep", "conic"])
def test_one_field_or_none_gives_no_split_and_no_error(fov_table, name):
    assert published(name, fov_table([])) == []
    assert published(name, fov_table(["reg001_A"])) == []
