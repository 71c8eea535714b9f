from __future__ import annotations

import pytest

from cryostat.cells.splits import published, straddling
from cryostat.cells.splits.pathocell import infiltrate, patient, region

MISSING = {
    *("013A", "014A", "015B", "019B", "024A", "034B", "038B", "043B", "044B", "046B", "047B", "049B", "053B", "054B"),
    *("055B", "056B", "057A", "057B", "058B", "061B", "062B", "063B", "064B", "065B", "066B", "067B", "068B", "069A"),
    *("069B", "070A", "070B"),
}
RELEASE = [f"reg{r:03d}_{t}" for r in range(1, 71) for t in "AB" if f"{r:03d}{t}" not in MISSING]


def by_name(splits):
    return {split.name: split for split in splits}


def test_two_regions_make_a_patient():
    assert [patient(f"reg{r:03d}_A") for r in (1, 2, 3, 4, 69, 70)] == [1, 1, 2, 2, 35, 35]
    assert region("reg007_B.hdf") == 7
    assert region("crag_1") is None
    assert [infiltrate(f"reg{r:03d}_A") for r in (1, 3, 68)] == ["CLR", "DII", "CLR"]


@pytest.mark.parametrize("suffix", ["", ".hdf"])
def test_base_is_patient_disjoint_and_70_15_15(fov_table, suffix):
    fovs = fov_table([name + suffix for name in RELEASE])
    base = by_name(published("pathocell", fovs))["base"]
    counts = [len(base.fovs(part)) for part in ("train", "valid", "test")]
    assert sum(counts) == 109
    assert [abs(count - share * 109) < 4 for count, share in zip(counts, (0.7, 0.15, 0.15), strict=True)] == [True] * 3
    patients = [{patient(fov) for fov in base.fovs(part)} for part in ("train", "valid", "test")]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 34


def test_published_rule_deals_46_10_11_regions_and_lets_patients_straddle(fov_table):
    fovs = fov_table(RELEASE, patient_id=[str(patient(fov)) for fov in RELEASE])
    rule = by_name(published("pathocell", fovs))["published-rule"]
    assert [len({region(fov) for fov in rule.fovs(part)}) for part in ("train", "valid", "test")] == [46, 10, 11]
    assert len(straddling(rule, fovs)) > 5


def test_dii_trains_and_clr_tests_without_a_clinical_table(fov_table):
    shift = by_name(published("pathocell", fov_table(RELEASE)))["dii-to-clr"]
    assert {infiltrate(fov) for fov in shift.fovs("test")} == {"CLR"}
    assert {infiltrate(fov) for part in ("train", "valid") for fov in shift.fovs(part)} == {"DII"}
    assert len(shift.parts) == 109


def test_clinical_groups_make_the_type_and_stage_shifts(fov_table):
    patients = [patient(fov) for fov in RELEASE]
    histology = ["Mucinous adenocarcinoma" if p % 5 == 0 else "Adenocarcinoma" for p in patients]
    stage = [("III", "IV", "IIIB", "II")[p % 4] for p in patients]
    fovs = fov_table(RELEASE, group_histology=histology, group_stage=stage)
    splits = by_name(published("pathocell", fovs))
    kind = splits["tumour-type"]
    assert {patient(fov) % 5 for fov in kind.fovs("test")} == {0}
    assert all(patient(fov) % 5 for fov in kind.fovs("train") + kind.fovs("valid"))
    stages = splits["tumour-stage"]
    assert {patient(fov) % 4 for fov in stages.fovs("test")} == {1}
    assert {patient(fov) % 4 for fov in stages.fovs("train") + stages.fovs("valid")} == {0, 2}
    train, valid = ({patient(fov) for fov in stages.fovs(part)} for part in ("train", "valid"))
    assert not train & valid
    assert 0.1 < len(stages.fovs("valid")) / len(stages.fovs("train") + stages.fovs("valid")) < 0.3


@pytest.mark.parametrize(("stable", "unstable"), [("MSS", "MSI"), ("pMMR", "dMMR"), ("stable", "unstable")])
def test_microsatellite_words_are_told_apart(fov_table, stable, unstable):
    fovs = fov_table(RELEASE, group_msi=[unstable if patient(fov) % 3 == 0 else stable for fov in RELEASE])
    shift = by_name(published("pathocell", fovs))["mss-to-msi"]
    assert {patient(fov) % 3 for fov in shift.fovs("test")} == {0}


def test_a_field_without_a_stage_is_left_out_of_the_stage_shift(fov_table):
    stage = [None if fov == "reg001_A" else str(3 + patient(fov) % 2) for fov in RELEASE]
    shift = by_name(published("pathocell", fov_table(RELEASE, group_stage=stage)))["tumour-stage"]
    assert len(shift.parts) == 108
    assert "reg001_A" not in shift.parts
