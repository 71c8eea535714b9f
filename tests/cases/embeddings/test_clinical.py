"""Columns of the patients' table as evidence, and what a fold makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryostat.cases.cohort import load_cohort
from cryostat.cases.embeddings import gather
from cryostat.cases.evaluation.preparation import Preparation, Prepared
from cryostat.cases.evidence import Evidence, Vectors
from cryostat.core.errors import InputError
from cryostat.core.home import Home

MANIFEST = """[cohort]
name = "c"
table = "c.csv"
[modalities.clinical]
values = ["age", "sex", "grade"]
"""


def gathered(folder: Path, rows: Sequence[str]) -> Evidence:
    lines = "".join(f"p{i},{row}\n" for i, row in enumerate(rows))
    (folder / "c.csv").write_text(f"patient_id,age,sex,grade\n{lines}")
    (folder / "c.toml").write_text(MANIFEST)
    return gather(load_cohort(folder / "c.toml"), Home(folder / "home"))


def prepared(evidence: Evidence, train: Sequence[int], components: int = 0) -> Prepared:
    allowed = np.ones((len(evidence.patients), 2), bool)
    return Preparation(components=components).fit(evidence, np.array(train), allowed)


def test_numbers_and_indicators_and_who_has_nothing(tmp_path: Path) -> None:
    evidence = gathered(tmp_path, ["60,f,x", "70 years,m,y", ",,", ",m,z", "80,,x"])
    clinical = evidence.modalities["clinical"]
    assert isinstance(clinical, Vectors)
    nan = np.nan
    np.testing.assert_array_equal(
        clinical.values,
        [[60, 1, 0, 1, 0, 0], [70, 0, 1, 0, 1, 0], [nan] * 6, [nan, 0, 1, 0, 0, 1], [80, nan, nan, 1, 0, 0]],
    )
    assert clinical.present.tolist() == [True, True, False, True, True]
    assert evidence.identity["clinical"]["features"] == ["age", "sex=f", "sex=m", "grade=x", "grade=y", "grade=z"]
    assert evidence.problems == []


def test_standardised_in_the_fold_and_a_word_that_training_lacks_is_no_word(tmp_path: Path) -> None:
    evidence = gathered(tmp_path, ["60,f,x", "70,m,y", "60,f,x", "70,m,y", "65,f,z", ",m,x"])
    block = prepared(evidence, [0, 1, 2, 3]).blocks[0]
    # Age: mean 65, deviation 5; each indicator: mean ½, deviation ½; nobody in training has z.
    np.testing.assert_allclose(block[0], [-1, 1, -1, 1, -1, 0])
    np.testing.assert_allclose(block[1], [1, -1, 1, -1, 1, 0])
    np.testing.assert_allclose(block[4], [0, 1, -1, -1, -1, 0], atol=1e-6)
    # An unknown age is the median of training.
    np.testing.assert_allclose(block[5], [0, -1, 1, 1, -1, 0], atol=1e-6)


def test_components_of_mixed_columns(tmp_path: Path) -> None:
    rows = [f"{40 + 3 * (i % 11)},{'fm'[i % 2]},{'xyz'[i % 3]}" for i in range(66)]
    found = prepared(gathered(tmp_path, rows), range(66), components=32)
    assert found.widths == (6,)
    assert found.facts["clinical"]["columns"] == 6
    assert found.facts["clinical"]["variance_kept"] == pytest.approx(1)
    variance = found.blocks[0].var(0)
    # Four axes, since the indicators of each column add up to 1; of unit variance on average.
    assert (variance[4:] < 1e-9).all()
    assert variance[:4].mean() == pytest.approx(1, abs=1e-4)


LEARNT = ("age", "sex=f", "sex=m", "grade=x", "grade=y")


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(["50,f,x", "90,m,z", ",f,w", "70,,", "61,m,y"]), min_size=2, max_size=2))
def test_what_is_learnt_does_not_depend_on_those_tested(
    tmp_path_factory: pytest.TempPathFactory, tested: list[str]
) -> None:
    train = ["60,f,x", "70,m,y", "62,m,x", "75,f,y"]

    def block(rows: list[str]) -> np.ndarray:
        evidence = gathered(tmp_path_factory.mktemp("c"), rows)
        names = evidence.identity["clinical"]["features"]
        place = {name: i for i, name in enumerate(names)}
        found = prepared(evidence, range(4)).blocks[0][:4]
        unseen = [place[name] for name in names if name not in LEARNT]
        assert not found[:, unseen].any()
        return np.stack([found[:, place[name]] for name in LEARNT], 1)

    np.testing.assert_array_equal(block([*train, *tested]), block([*train, "60,f,x", "60,m,y"]))


def test_identity_is_that_of_the_values(tmp_path: Path) -> None:
    one = gathered(tmp_path, ["60,f,x", "70,m,y"]).identity
    assert (
        gathered(tmp_path, ["60 years,f,X", "70 years,m,y"]).identity["clinical"]["content"]
        == one["clinical"]["content"]
    )
    assert gathered(tmp_path, ["61,f,x", "70,m,y"]).identity != one


def test_nobody_with_any_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nobody has the modality 'clinical'"):
        gathered(tmp_path, [",,", "--,unknown,?"])


def test_the_real_cohort(shared: Path, tmp_path: Path) -> None:
    root = shared / "data" / "tcga_glioma"
    (tmp_path / "c.toml").write_text(
        f'[cohort]\nname = "g"\nroot = "{root}"\ntable = "cohort.csv"\n[modalities.clinical]\nvalues = ["age", "sex"]\n'
    )
    clinical = gather(load_cohort(tmp_path / "c.toml"), Home(tmp_path)).modalities["clinical"]
    assert isinstance(clinical, Vectors)
    # TCGA-02-0003: 50 years 79 days, Male.
    np.testing.assert_allclose(clinical.values[0], [50 + 79 / 365.25, 0, 1], rtol=1e-6)
    assert clinical.present.all()
    assert np.isnan(clinical.values[:, 0]).sum() == 1
