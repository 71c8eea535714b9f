from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import SimpleNamespace

import numpy as np
import pytest

from cryostat.core.errors import InputError, SettingError
from cryostat.report.figures import Colouring, alt_text, embedding_map
from cryostat.report.figures.embedding import MOST, _choice, _mixing, _neighbours, _Panel, _reduced


@pytest.fixture(scope="module")
def two_kinds():
    """60 nuclei of two kinds that lie far apart in 5 features."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 5)) + np.repeat([[0.0], [20.0]], 30, axis=0)
    return vectors, ["tumour"] * 30 + ["stroma"] * 30


def words(figure) -> str:
    return " ".join(t.get_text() for t in figure.findobj(match=lambda a: hasattr(a, "get_text"))).replace("\n", " ")


def test_neighbours_are_counted_among_all_features_and_by_chance(two_kinds):
    vectors, kinds = two_kinds
    near = _neighbours(_reduced(np.asarray(vectors, np.float32), 0))
    panel = _Panel.of(Colouring("cell type", kinds), np.arange(60), near)
    assert (panel.same, panel.chance) == (1.0, 0.5)
    assert panel.told == "neighbours alike: 100 %, by chance 50 %"


def test_mixing_passes_over_what_is_not_known():
    same, chance = _mixing(np.array([0, 0, 1, -1]), np.array([[1], [0], [0], [0]]))
    assert same == pytest.approx(2 / 3)
    assert chance == pytest.approx(5 / 9)
    assert np.isnan(_mixing(np.array([-1, -1]), np.array([[1], [0]]))[0])


def test_the_choice_is_random_and_the_same_for_a_seed():
    assert _choice(5, 10, 0).tolist() == [0, 1, 2, 3, 4]
    assert len(set(_choice(1000, 10, 0).tolist())) == 10
    assert _choice(1000, 10, 3).tolist() == _choice(1000, 10, 3).tolist() != _choice(1000, 10, 4).tolist()


def test_a_map_is_drawn_and_tells_what_it_is(two_kinds, legible):
    vectors, kinds = two_kinds
    patients = [f"p{i % 4}" for i in range(60)]
    judged = ["right"] * 40 + [None] * 10 + ["wrong"] * 10
    panels = [
        Colouring("cell type", kinds, groups=("stroma", "tumour")),
        Colouring("patient", patients, named=False, one="patient"),
        Colouring("errors", judged, mixing=False),
    ]
    figure = embedding_map(vectors, panels, title="colon", most=50, method="t-SNE")
    legible(figure)
    told = words(figure)
    assert "t-SNE of 50 of 60 nuclei, chosen at random (seed 0)" in told
    assert "each colour one of 4 patients" in told
    assert "not known" in told
    assert "by cell type (2 groups; neighbours alike: 100 %" in alt_text(figure)


def test_many_groups_with_long_names_stay_legible(two_kinds, legible):
    vectors, _ = two_kinds
    names = [f"a cell type with a long name {i % 12}" for i in range(60)]
    legible(embedding_map(vectors, [Colouring("cell type", names)] * 4, title="colon", method="t-SNE"))


def test_umap_is_taken_where_it_is(two_kinds, monkeypatch):
    """A stand-in: the first call of the real one compiles for as long as all tests of figures take."""
    asked = {}

    class UMAP:
        def __init__(self, **settings):
            asked.update(settings)

        def fit_transform(self, features):
            places = features[:, :2].copy()
            places[0] = np.nan  # what UMAP gives a nucleus that is connected to no other
            return places

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=UMAP, __spec__=ModuleSpec("umap", None)))
    vectors, kinds = two_kinds
    figure = embedding_map(vectors, [Colouring("cell type", kinds)], seed=3)
    assert asked == {"n_neighbors": 15, "min_dist": 0.1, "random_state": 3, "n_jobs": 1}
    assert "UMAP of all 60 nuclei (seed 3)" in words(figure)
    assert np.isfinite(figure.axes[0].collections[0].get_offsets().data).all()


def test_without_umap_a_slower_map_is_drawn_of_fewer(two_kinds, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    vectors, kinds = two_kinds
    told = words(embedding_map(vectors, [Colouring("cell type", kinds)]))
    assert "t-SNE of all 60 nuclei" in told
    assert "(umap-learn is not installed)" in told
    assert MOST["t-SNE"] < MOST["UMAP"] == 20_000


@pytest.mark.parametrize(
    ("vectors", "labels", "method", "error", "told"),
    [
        (np.zeros((60, 4)), 60, None, InputError, "the same features"),
        (np.full((60, 4), np.nan), 60, None, InputError, "not all finite"),
        (np.zeros((3, 4)), 3, None, InputError, "shape"),
        (np.zeros(60), 60, None, InputError, "shape"),
        (np.eye(60), 59, None, InputError, "59 nuclei"),
        (np.eye(60), None, None, SettingError, "nothing to be coloured"),
        (np.eye(60), 60, "PCA", SettingError, "PCA"),
    ],
)
def test_what_cannot_be_mapped_is_told(vectors, labels, method, error, told):
    panels = [] if labels is None else [Colouring("cell type", ["a"] * labels)]
    with pytest.raises(error, match=told):
        embedding_map(vectors, panels, method=method)
