from __future__ import annotations

import logging
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest

from cryostat.cases.cohort import check_cohort, load_cohort
from cryostat.cases.embeddings import gather
from cryostat.cases.evidence import Bags, Problem, Texts, Vectors
from cryostat.core.errors import InputError, SettingError
from cryostat.core.home import Home


def save(folder: Path, **arrays: object) -> None:
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", np.asarray(array, np.float32))


def values_of(evidence) -> np.ndarray:
    return evidence.modalities["m"].values


@pytest.mark.parametrize(("pool", "expected"), [("mean", [3.5]), ("weighted", [3.0]), ("first", [2.0])])
def test_slides_pool_to_the_patient(pool: str, expected: list[float], tmp_path: Path, make_cohort, home: Home) -> None:
    save(tmp_path, one=[[1], [2], [3]], two=[[5], [5]][:1])
    cohort = make_cohort(["one.npy;two.npy", ""], f'pool = "{pool}"')
    evidence = gather(cohort, home)
    # Three tiles of mean 2 and one of 5: slides alike 3.5, tiles alike 11 / 4.
    expected = [2.75] if pool == "weighted" else expected
    assert values_of(evidence)[0].tolist() == expected
    assert evidence.present.tolist() == [[True], [False]]
    assert np.isnan(values_of(evidence)[1]).all()


def test_attention_keeps_all_vectors_of_a_patient(tmp_path: Path, make_cohort, home: Home) -> None:
    save(tmp_path, one=[[1, 1], [2, 2]], two=[[5, 5]])
    bags = gather(make_cohort(["*.npy", ""], 'pool = "attention"'), home).modalities["m"]
    assert isinstance(bags, Bags)
    assert bags.items[0].tolist() == [[1, 1], [2, 2], [5, 5]]
    assert bags.items[1].shape == (0, 2)


def test_a_bad_file_is_a_problem_and_its_patient_lacks_the_modality(tmp_path: Path, make_cohort, home: Home) -> None:
    save(tmp_path, good=[1, 2], bad=[1, np.nan])
    evidence = gather(make_cohort(["good.npy", "bad.npy", "gone.npy"]), home)
    assert evidence.present[:, 0].tolist() == [True, False, False]
    assert evidence.problems == [
        Problem("p1", "m", "bad.npy", "1 of 1 vectors hold numbers that are not finite", remain=0, files=1),
        Problem("p2", "m", "gone.npy", "does not exist", remain=0, files=1),
    ]


def test_the_other_files_of_a_patient_are_used(tmp_path: Path, make_cohort, home: Home) -> None:
    save(tmp_path, one=[1, 2], two=[3, 4], bad=[1, np.nan])
    cells = ["one.npy;bad.npy;two.npy;gone.npy", "bad.npy;gone.npy"]
    evidence = gather(make_cohort(cells), home)
    assert values_of(evidence)[0].tolist() == [2, 3]
    assert evidence.present[:, 0].tolist() == [True, False]
    assert [(p.patient_id, p.where, p.remain, p.files) for p in evidence.problems] == [
        ("p0", "bad.npy", 2, 4),
        ("p0", "gone.npy", 2, 4),
        ("p1", "bad.npy", 0, 2),
        ("p1", "gone.npy", 0, 2),
    ]
    with pytest.raises(InputError, match="none of 2 patients' m can be used"):
        gather(make_cohort(cells, 'incomplete = "missing"'), home)


def test_before_and_after_a_repair_are_told_apart(tmp_path: Path, make_cohort, home: Home) -> None:
    save(tmp_path, one=[1, 2], bad=[1, np.nan])
    before = gather(make_cohort(["one.npy;bad.npy", "one.npy"]), home)
    left_out = gather(make_cohort(["one.npy", "one.npy"]), home)
    assert before.identity == left_out.identity
    save(tmp_path, bad=[3, 4])
    after = gather(make_cohort(["one.npy;bad.npy", "one.npy"]), home)
    assert after.identity != before.identity
    assert values_of(after)[0].tolist() == [2, 3]


def test_a_name_too_long_for_the_disk_is_a_problem_of_one_patient(tmp_path: Path, make_cohort, home: Home) -> None:
    save(tmp_path, one=[1, 2])
    long = f"{'x' * 300}.npy"
    for lines in ((), ('encoder = "tfidf"',), ('encoder = "mean"',)):
        (tmp_path / "text.txt").write_text("a report")
        good = "text.txt" if lines == ('encoder = "tfidf"',) else "one.npy"
        evidence = gather(make_cohort([long, good, good], *lines), home)
        (problem,) = evidence.problems
        assert (problem.patient_id, problem.reason) == ("p0", "cannot be opened (File name too long)")
        assert evidence.present[:, 0].tolist() == [False, True, True]


def test_different_widths_name_both_files(tmp_path: Path, make_cohort, home: Home) -> None:
    save(tmp_path, narrow=[1, 2], wide=[1, 2, 3])
    told = r"wide\.npy: holds vectors of 3 numbers \(1 of 3 files\), .*narrow\.npy of 2 \(2 of 3\)"
    for files in (["narrow.npy", "wide.npy", "narrow.npy"], ["wide.npy", "narrow.npy", "narrow.npy"]):
        with pytest.raises(InputError, match=told):
            gather(make_cohort(files), home)


def test_nobody_with_anything_usable_is_an_error_with_the_first_reason(tmp_path: Path, make_cohort, home: Home) -> None:
    with pytest.raises(InputError, match="none of 2 patients' m can be used; of the first, p0: it does not exist"):
        gather(make_cohort(["a.npy", "b.npy"]), home)
    with pytest.raises(InputError, match="nobody has the modality 'm'"):
        gather(make_cohort(["", ""]), home)


def test_a_file_that_changes_is_read_again(tmp_path: Path, make_cohort, home: Home) -> None:
    save(tmp_path, a=[1, 2])
    cohort = make_cohort(["a.npy", ""])
    first = gather(cohort, home).identity
    save(tmp_path, a=[1, 2, 3])
    assert gather(cohort, home).identity != first


def test_the_identity_follows_content_and_patients_not_place(tmp_path: Path, make_cohort, home: Home) -> None:
    save(tmp_path, a=[1, 2], b=[1, 2], c=[1, 3])
    ours, same, other = (gather(make_cohort([name, "a.npy"]), home).identity for name in ("a.npy", "b.npy", "c.npy"))
    assert ours == same
    assert ours != other


def test_tables_of_patients_keep_the_columns_that_are_numbers_in_all(tmp_path: Path, make_cohort, home: Home) -> None:
    (tmp_path / "a.csv").write_text("volume,ratio,who\n1,inf,Smith\n")
    (tmp_path / "b.csv").write_text("ratio,volume,who\n,2,Jones\n")
    (tmp_path / "c.csv").write_text("volume,who\n,Jones\n")
    evidence = gather(make_cohort(["a.csv", "b.csv"]), home)
    np.testing.assert_array_equal(values_of(evidence), [[1, np.nan], [2, np.nan]])
    assert evidence.identity["m"]["left_out"] == {"who": "holds dates or other text"}
    with pytest.raises(InputError, match=r"a\.csv: has a column 'ratio' that .*c\.csv lacks"):
        gather(make_cohort(["a.csv", "c.csv"]), home)


def test_a_table_of_features_may_not_show_the_label(tmp_path: Path, make_cohort, home: Home) -> None:
    (tmp_path / "f.csv").write_text("key,a,label\n7,1,0\n8,2,1\n")
    cohort = make_cohort(["7", "8"], 'table = "f.csv"', 'key = "key"')
    with pytest.raises(InputError, match=r"f\.csv: has among its numbers 'label', .* the label of task t\."):
        gather(cohort, home)
    (tmp_path / "f.csv").write_text("key,a,label\n7,1,no\n8,2,yes\n")
    assert values_of(gather(cohort, home)).tolist() == [[1], [2]]


def test_rows_of_a_feature_table(tmp_path: Path, make_cohort, home: Home) -> None:
    (tmp_path / "f.csv").write_text("key,u,v\n007,1,2\n007,3,inf\n8,5,6\n8,5,6\n9,,\n")
    evidence = gather(make_cohort(["007", "8", "9", "10", ""], 'table = "f.csv"', 'key = "key"'), home)
    np.testing.assert_array_equal(values_of(evidence)[:2], [[2, 2], [5, 6]])
    assert evidence.present[:, 0].tolist() == [True, True, False, False, False]
    assert [p.reason for p in evidence.problems] == [
        "knows no number of the patient",
        "has no row for the patient's key",
    ]
    assert evidence.identity["m"]["keys_with_several_rows"] == 1


SECRET = "Mr Smith of Elm Street has a glioma"


def test_reports_become_texts_and_their_words_are_told_nowhere(
    tmp_path: Path, make_cohort, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.txt").write_text(SECRET, encoding="utf-8-sig")
    (tmp_path / "b.txt").write_text("second page")
    (tmp_path / "latin.txt").write_bytes(f"{SECRET} é".encode("latin-1"))
    (tmp_path / "blank.txt").write_text(" \n")
    save(tmp_path, vector=[1])
    caplog.set_level(logging.DEBUG)
    cohort = make_cohort(["a.txt;b.txt", "latin.txt", "blank.txt", "vector.npy", "a.txt"], 'encoder = "tfidf"')
    evidence = gather(cohort, home)
    texts = evidence.modalities["m"]
    assert isinstance(texts, Texts)
    assert texts.texts[0] == f"{SECRET}\n\nsecond page"
    assert [p.reason for p in evidence.problems] == [
        "is not UTF-8 text",
        "is blank",
        "holds features, those of most patients text",
    ]
    assert "Smith" not in repr((evidence, evidence.problems, evidence.identity, caplog.text))
    assert not home.root.exists()


@pytest.mark.parametrize("pool", ["first", "weighted", "attention"])
def test_a_pooling_that_texts_would_pass_over_is_refused(tmp_path: Path, make_cohort, home: Home, pool: str) -> None:
    (tmp_path / "a.txt").write_text("first")
    cohort = make_cohort(["a.txt", "a.txt"], 'encoder = "tfidf"', f'pool = "{pool}"')
    with pytest.raises(SettingError, match=f"has pool = '{pool}', and the texts of a patient are read as one"):
        gather(cohort, home)
    (told,) = [finding for finding in check_cohort(cohort).findings if "pool" in finding.what]
    assert (told.severity, told.where) == ("error", "modality m")


def test_an_encoder_for_other_files_is_told_with_the_manifest(tmp_path: Path, make_cohort, home: Home) -> None:
    slides(tmp_path, 2)
    with pytest.raises(SettingError, match=r"cohort\.toml, \[modalities\.m\]: .*'tfidf'; most files hold features"):
        gather(make_cohort(["s0.h5", "s1.h5"], 'encoder = "tfidf"'), home)
    with pytest.raises(InputError, match="none of 2 patients' m can be used; of the first, p0: it does not exist"):
        gather(make_cohort(["a.txt", "b.txt"], 'encoder = "tfidf"'), home)


def test_the_other_reports_of_a_patient_are_used(tmp_path: Path, make_cohort, home: Home) -> None:
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "b.txt").write_text("third")
    (tmp_path / "blank.txt").write_text(" \n")
    evidence = gather(make_cohort(["a.txt;blank.txt;b.txt", "a.txt"], 'encoder = "tfidf"'), home)
    assert evidence.modalities["m"].texts == ("first\n\nthird", "first")
    assert [(p.where, p.reason, p.remain, p.files) for p in evidence.problems] == [("blank.txt", "is blank", 2, 3)]


def slides(folder: Path, count: int) -> None:
    for i in range(count):
        with h5py.File(folder / f"s{i}.h5", "w") as handle:
            handle["features"] = np.full((3, 2), i, np.float32) + np.arange(3)[:, None]


def test_a_slide_encoder_is_asked_once_a_slide(
    tmp_path: Path, make_cohort, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    slides(tmp_path, 3)
    cohort = make_cohort(["s0.h5;s1.h5", "s2.h5", "gone.h5"], 'encoder = "max"', 'pool = "mean"')
    first = gather(cohort, home)
    assert values_of(first)[:2].tolist() == [[2.5, 2.5], [4, 4]]
    assert len(list(home.root.rglob("*.npy"))) == 3

    def never(*_: object) -> None:
        raise AssertionError("was encoded again")

    monkeypatch.setattr("cryostat.encoders.slide.base.SlideEncoder.encode", never)
    again = gather(cohort, home)
    np.testing.assert_array_equal(values_of(again), values_of(first))
    assert again.identity == first.identity


def test_a_damaged_stored_vector_is_made_again(tmp_path: Path, make_cohort, home: Home) -> None:
    slides(tmp_path, 1)
    cohort = make_cohort(["s0.h5"], 'encoder = "mean"')
    first = values_of(gather(cohort, home))
    next(home.root.rglob("*.npy")).write_bytes(b"broken")
    np.testing.assert_array_equal(values_of(gather(cohort, home)), first)


def test_a_slide_encoder_that_needs_places_says_what_is_missing(tmp_path: Path, make_cohort, home: Home) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as handle:
        handle["features"], handle["coords"] = np.zeros((2, 1536), np.float32), np.array([[0, 0], [512, 0]])
    lines = ('encoder = "gigapath-slide"', 'weights = "random"', "options = { tile_sied = 512 }")
    with pytest.raises(SettingError, match=r"has no option 'tile_sied'.*Did you mean tile_side"):
        gather(make_cohort(["s.h5"], *lines), home)


def test_series_of_a_volume_encoder(tmp_path: Path, make_cohort, home: Home) -> None:
    rng = np.random.default_rng(0)
    for name in ("t1", "flair"):
        data = np.zeros((24, 24, 24), np.float32)
        data[4:20, 4:20, 4:20] = rng.normal(100, 10, (16, 16, 16))
        nibabel.save(nibabel.Nifti1Image(data, np.diag([2, 2, 2, 1])), tmp_path / f"{name}.nii.gz")
    nibabel.save(nibabel.Nifti1Image((data > 110).astype(np.uint8), np.diag([2, 2, 2, 1])), tmp_path / "mask.nii")
    (tmp_path / "broken.nii.gz").write_bytes((tmp_path / "t1.nii.gz").read_bytes()[:2000])
    cells = ["t1.nii.gz;flair.nii.gz", "t1.nii.gz", "broken.nii.gz"]
    evidence = gather(make_cohort(cells, 'encoder = "volume-stats"'), home)
    assert isinstance(evidence.modalities["m"], Vectors)
    assert evidence.present[:, 0].tolist() == [True, True, False]
    assert evidence.problems[0].where == "broken.nii.gz"
    vectors = values_of(evidence)
    assert not np.array_equal(vectors[0], vectors[1])
    (tmp_path / "cohort.csv").write_text("patient_id,m,seg,label\np0,t1.nii.gz,mask.nii,a\np1,t1.nii.gz,,b\n")
    with_mask = tmp_path / "masked.toml"
    text = (tmp_path / "cohort.toml").read_text()
    with_mask.write_text(text.replace('"volume-stats"', '"volume-stats"\noptions = { tumour = "seg" }'))
    masked = values_of(gather(load_cohort(with_mask), home))
    np.testing.assert_array_equal(masked[1], vectors[1])
    assert not np.array_equal(masked[0], vectors[1])
    # A series that cannot be read is left out; a mask that cannot be read is not.
    (tmp_path / "cohort.csv").write_text(
        "patient_id,m,seg,label\np0,t1.nii.gz;broken.nii.gz,,a\np1,t1.nii.gz,broken.nii.gz,b\np2,t1.nii.gz,,b\n"
    )
    partly = gather(load_cohort(with_mask), home)
    np.testing.assert_array_equal(values_of(partly)[[0, 2]], vectors[[1, 1]])
    assert partly.present[:, 0].tolist() == [True, False, True]
    told = [(p.patient_id, p.where, p.remain, p.files) for p in partly.problems]
    assert told == [("p0", "broken.nii.gz", 1, 2), ("p1", "broken.nii.gz", 0, 1)]


def test_options_without_an_encoder_and_unknown_modalities_are_refused(tmp_path: Path, make_cohort, home: Home) -> None:
    save(tmp_path, a=[1])
    cohort = make_cohort(["a.npy"], "options = { keep = 1 }")
    with pytest.raises(SettingError, match="has options but no encoder"):
        gather(cohort, home)
    with pytest.raises(SettingError, match="has no modality 'wsi'"):
        gather(cohort, home, modalities=["wsi"])


GLIOMA = """
[cohort]
name = "tcga-glioma"
root = "{root}"
table = "cohort.csv"
[modalities.mri]
column = "mri_radiomics"
table = "mri_radiomics.csv"
[modalities.wsi]
column = "wsi"
[modalities.report]
column = "report"
encoder = "tfidf"
[tasks.idh]
column = "idh"
"""


def test_the_real_cohort(shared: Path, tmp_path: Path, home: Home) -> None:
    (tmp_path / "cohort.toml").write_text(GLIOMA.format(root=shared / "data" / "tcga_glioma"))
    cohort = load_cohort(tmp_path / "cohort.toml")
    evidence = gather(cohort, home)
    # 535 reports are named, of which 64 are blank.
    assert evidence.present.sum(0).tolist() == [76, 404, 471]
    assert {p.reason for p in evidence.problems} == {"is blank", "is empty"}
    assert set(evidence.identity["mri"]["left_out"]) == {"Date"}
    assert evidence.modalities["mri"].values.shape == (561, 724)
