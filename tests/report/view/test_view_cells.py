from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from view_samples import feature

from cryostat.core.errors import CryostatError, InputError, SettingError
from cryostat.report.view import Overlays, shelve
from cryostat.report.view.cells import FINER, CellsSource, read_slide_cells

SLIDE = (1500, 1100)


def write(path, features):
    file = path / "cells.geojson"
    file.write_text(json.dumps(features))
    return file


def window(cells, box, shape, *, filled=False):
    """A window of the slide, px."""
    source = CellsSource(cells, filled=filled)
    assert source.size == (SLIDE[0] * FINER, SLIDE[1] * FINER)
    return source.window(tuple(side * FINER for side in box), shape)


def test_cells_are_found_under_a_point(cells):
    found, facts = read_slide_cells(cells, SLIDE)
    assert facts == (("Cells", "2"), ("Off the slide", "1"))
    assert [(key.name, key.colour, key.count) for key in found.keys] == [
        ("<script>alert(1)</script>", "#ff0000", 1),
        ("tumour", "#ff0000", 1),
    ]
    told = found.at(130, 130)
    assert (told["number"], told["class"]) == (1, "tumour")
    assert told["facts"] == [["cell_id", "7"], ["<i>area", "3600"], ["nan", "–"]]
    assert found.at(99, 130) is None
    assert found.at(700, 700) is None


def test_the_smaller_of_two_cells_and_no_hole_is_under_a_point(tmp_path):
    outer, inner = feature(0, 0, 100, "outer"), feature(10, 10, 10, "inner")
    outer["geometry"]["coordinates"].append([[40, 40], [60, 40], [60, 60], [40, 60], [40, 40]])
    found, _ = read_slide_cells(write(tmp_path, [outer, inner]), SLIDE)
    assert found.at(15, 15)["class"] == "inner"
    assert found.at(30, 30)["class"] == "outer"
    assert found.at(50, 50) is None


def test_tiles_have_outlines_where_cells_are_large_and_dots_elsewhere(cells):
    found, _ = read_slide_cells(cells, SLIDE)
    near = np.asarray(window(found, (90, 90, 190, 190), (100, 100)))
    assert near.shape == (100, 100, 4)
    assert near[30, 10].tolist() == [255, 0, 0, 255]
    assert near[40, 40, 3] == 0
    filled = np.asarray(window(found, (90, 90, 190, 190), (100, 100), filled=True))
    assert filled[40, 40].tolist() == [255, 0, 0, 102]
    far = np.asarray(window(found, (0, 0, 1500, 1100), (150, 110)))
    assert far[13, 13].tolist() == [255, 0, 0, 255]
    assert np.count_nonzero(far[..., 3]) == 8  # two cells, four pixels each
    assert not np.asarray(window(found, (800, 800, 900, 900), (50, 50))).any()


def test_all_parts_are_filled_and_holes_are_not(tmp_path):
    holed, double = feature(100, 100, 100), feature(0, 0, 40)
    holed["geometry"]["coordinates"].append([[130, 130], [170, 130], [170, 170], [130, 170], [130, 130]])
    second = [[300, 300], [340, 300], [340, 340], [300, 340], [300, 300]]
    double["geometry"] = {"type": "MultiPolygon", "coordinates": [double["geometry"]["coordinates"], [second]]}
    found, _ = read_slide_cells(write(tmp_path, [holed, double]), SLIDE)
    opacity = np.asarray(window(found, (0, 0, 400, 400), (400, 400), filled=True))[..., 3]
    filled = {place: int(opacity[place]) for place in [(115, 115), (150, 150), (20, 20), (320, 320), (250, 250)]}
    assert filled == {(115, 115): 102, (150, 150): 0, (20, 20): 102, (320, 320): 102, (250, 250): 0}


def test_a_measurement_too_large_for_a_float_is_no_end(tmp_path):
    found, _ = read_slide_cells(write(tmp_path, [feature(0, 0, measurements={"n": 10**400, "m": 12})]), SLIDE)
    assert found.at(5, 5)["facts"] == [["n", "–"], ["m", "12"]]


def test_colours_are_those_of_the_file_else_of_a_palette(tmp_path):
    old, none, bad = (feature(i * 30, 0, name=name) for i, name in enumerate(("old", "none", "bad")))
    old["properties"]["classification"] = {"name": "old", "colorRGB": -16776961}
    none["properties"]["classification"] = None
    bad["properties"]["classification"] = {"name": "bad", "color": [1, 2, "red;background:url(//evil)"]}
    found, _ = read_slide_cells(write(tmp_path, [old, none, bad]), SLIDE)
    assert {key.name: key.colour for key in found.keys} == {"bad": "#0072ff", "old": "#0000ff", "no class": "#ffffff"}


POINT = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {}}


@pytest.mark.parametrize(
    ("features", "told"),
    [
        ([], "holds no cell"),
        ({"type": "Nothing"}, "no GeoJSON feature"),
        (["cell"], "no GeoJSON feature"),
        ([POINT], "no cell that can be drawn; the first of its 1 is not a polygon"),
        ([feature(math.nan, 0)], "vertices that are not numbers"),
        ([feature(math.inf, 0)], "vertices that are not numbers"),
        ([feature(5, 5, 0)], "without area"),
        ([feature(2000, 0), feature(-50, 0)], "2 cells, none of which lies on the slide of 1,500 × 1,100 px"),
    ],
)
def test_files_without_a_cell_on_the_slide_are_told(tmp_path, features, told):
    with pytest.raises(InputError, match=told):
        read_slide_cells(write(tmp_path, features), SLIDE)


def test_broken_missing_and_huge_files_are_told(tmp_path, monkeypatch):
    path = tmp_path / "cells.geojson"
    with pytest.raises(InputError, match="does not exist"):
        read_slide_cells(path, SLIDE)
    for content in (b"", b"{", b"\xff\xfe", b"[" * 100_000, b"9" * 10_000):
        path.write_bytes(content)
        with pytest.raises(InputError):
            read_slide_cells(path, SLIDE)
    monkeypatch.setattr("cryostat.report.view.cells.LARGEST", 5)
    with pytest.raises(InputError, match="at most"):
        read_slide_cells(path, SLIDE)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(geometry=JSON, coordinates=JSON, properties=JSON, classification=JSON)
@settings(max_examples=60)
def test_no_feature_ends_in_anothers_error(tmp_path_factory, geometry, coordinates, properties, classification):
    sound = feature(10, 10, measurements=properties, metadata=classification)
    features = [sound, {**sound, "geometry": geometry}, {**sound, "properties": properties}]
    features.append({**sound, "geometry": {"type": "Polygon", "coordinates": coordinates}})
    features.append({**sound, "properties": {"objectType": "cell", "classification": classification}})
    path = write(tmp_path_factory.mktemp("cells"), features)
    try:
        found, _ = read_slide_cells(path, SLIDE)
    except CryostatError:
        return
    json.dumps(found.at(15, 15), allow_nan=False)
    window(found, (0, 0, 100, 100), (100, 100))


def test_cells_need_one_slide(tiff, broken, cells, judged):
    with pytest.raises(SettingError, match="one slide, and 2 are shown"):
        shelve([str(tiff), str(broken)], judged, Overlays(cells=[cells]))
    with pytest.raises(SettingError, match="one slide, and 0 are shown"):
        shelve(["squares"], judged, Overlays(cells=[cells]))
    with pytest.raises(InputError, match="cannot be read as a slide"):
        shelve([str(broken)], judged, Overlays(cells=[cells]))


def test_several_files_of_cells_are_layers_of_their_own(tiff, cells, judged):
    scene = shelve([str(tiff)], judged, Overlays(cells=[cells, cells])).slide("slide one.tiff")
    assert [(layer.name, layer.title, layer.shown) for layer in scene.layers] == [
        ("cells1", "cells: Outlines", True),
        ("cells1filled", "cells: Filled", False),
        ("cells2", "cells: Outlines", False),
        ("cells2filled", "cells: Filled", False),
    ]
