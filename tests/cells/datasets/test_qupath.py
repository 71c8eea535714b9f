from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cryostat.cells.datasets import ImportOptions, import_dataset
from cryostat.cells.datasets.geojson import Outline, read_outlines
from cryostat.cells.datasets.rasterising import rasterise
from cryostat.core.errors import InputError, SettingError
from cryostat.core.home import Home

HEIGHT, WIDTH = 20, 30


def box(x0: float, y0: float, x1: float, y1: float) -> list[list[float]]:
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]


def feature(rings: list[Any], name: str | None = "Tumor", kind: str = "detection", **more: Any) -> dict[str, Any]:
    properties: dict[str, Any] = {"objectType": kind}
    if name is not None:
        properties["classification"] = {"name": name, "color": [200, 0, 0]}
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": rings}, "properties": properties, **more}


def write(folder: Path, features: Any, name: str = "a", *, bare: bool = False) -> Path:
    for sub in ("images", "annotations"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 200, np.uint8)).save(folder / f"images/{name}.png")
    path = folder / f"annotations/{name}.geojson"
    path.write_text(json.dumps(features if bare else {"type": "FeatureCollection", "features": features}))
    return path


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def options(**settings: str) -> ImportOptions:
    return ImportOptions(mpp=0.25, settings=settings)


def test_polygons_become_nuclei_named_by_their_place_in_the_file(tmp_path: Path, home: Home) -> None:
    write(
        tmp_path / "q",
        [
            feature([box(1, 2, 4, 8)]),
            feature([box(10, 5, 20, 15), box(12, 7, 18, 13)], "Stroma"),
            feature([box(25, 0, 28, 3)], None),
        ],
    )
    dataset = import_dataset("qupath", tmp_path / "q", home, options=options())
    instances = dataset.instances("a")
    expected = np.zeros((HEIGHT, WIDTH), int)
    expected[2:8, 1:4] = 1
    expected[5:15, 10:20] = 2
    expected[7:13, 12:18] = 0
    expected[0:3, 25:28] = 3
    assert np.array_equal(instances, expected)
    assert [(c.id, c.name) for c in dataset.classes] == [(1, "Stroma"), (2, "Tumor")]
    assert dataset.cells["class_id"].tolist() == [2, 1, 0]


def test_bare_list_names_and_old_ids(tmp_path: Path, home: Home) -> None:
    old = feature([box(0, 0, 3, 3)], kind="")
    old["id"] = "PathDetectionObject"
    old["properties"] = {"classification": {"name": "Tumor", "colorRGB": -377282}}
    new = feature([box(5, 0, 8, 3)], None)
    new["properties"]["classification"] = {"names": ["Tumor", "Positive"], "color": [1, 2, 3]}
    plain = feature([box(10, 0, 13, 3)], None)
    plain["properties"]["classification"] = "Stroma"
    write(tmp_path / "q", [old, new, plain], bare=True)
    dataset = import_dataset("qupath", tmp_path / "q", home, options=options())
    assert [c.name for c in dataset.classes] == ["Stroma", "Tumor", "Tumor: Positive"]
    assert dataset.cells["class_id"].tolist() == [2, 3, 1]


def test_multipolygon_is_one_nucleus(tmp_path: Path, home: Home) -> None:
    both = feature([])
    both["geometry"] = {"type": "MultiPolygon", "coordinates": [[box(0, 0, 3, 3)], [box(6, 0, 9, 3), box(7, 1, 8, 2)]]}
    write(tmp_path / "q", [both])
    assert import_dataset("qupath", tmp_path / "q", home, options=options()).cells["area"].tolist() == [9 + 8]


def test_cells_count_by_their_nucleus(tmp_path: Path, home: Home) -> None:
    nucleus = {"type": "Polygon", "coordinates": [box(4, 4, 6, 6)]}
    write(tmp_path / "q", [feature([box(2, 2, 10, 10)], kind="cell", nucleusGeometry=nucleus)])
    areas = [
        int(import_dataset("qupath", tmp_path / "q", home, options=chosen, overwrite=True).cells["area"].sum())
        for chosen in (options(), options(outline="cell"))
    ]
    assert areas == [4, 64]


def test_regions_are_not_nuclei_where_there_are_detections(tmp_path: Path, home: Home) -> None:
    region, nucleus = feature([box(0, 0, 30, 20)], "Region", "annotation"), feature([box(4, 4, 6, 6)])
    write(tmp_path / "q", [region, nucleus])
    found = import_dataset("qupath", tmp_path / "q", home, options=options())
    assert found.cells["area"].tolist() == [4]
    assert [c.name for c in found.classes] == ["Tumor"]
    both = import_dataset(
        "qupath", tmp_path / "q", home, options=options(objects="annotation,detection"), overwrite=True
    )
    assert both.cells["area"].tolist() == [600 - 4, 4]
    write(tmp_path / "r", [feature([box(4, 4, 7, 7)], "Drawn by hand", "annotation")])
    assert import_dataset("qupath", tmp_path / "r", home, options=options()).cells["area"].tolist() == [9]


def test_smaller_nuclei_lie_on_top_whatever_their_order(tmp_path: Path, home: Home) -> None:
    large, small = feature([box(0, 0, 10, 10)], "L"), feature([box(2, 2, 5, 5)], "S")
    for order, areas in (([large, small], [91, 9]), ([small, large], [9, 91])):
        write(tmp_path / "q", order)
        dataset = import_dataset("qupath", tmp_path / "q", home, options=options(), overwrite=True)
        assert dataset.cells["area"].tolist() == areas


def test_polygons_that_reach_over_the_edge_are_cut(tmp_path: Path, home: Home) -> None:
    write(tmp_path / "q", [feature([box(-5, -5, 3, 4)]), feature([box(28, 18, 99, 99)])])
    assert import_dataset("qupath", tmp_path / "q", home, options=options()).cells["area"].tolist() == [12, 4]


FAULTY = {
    "outside the image": [box(100, 100, 110, 110)],
    "without area": [[[1, 1], [5, 1], [1, 1]]],
    "without vertices": [],
    "with vertices that are not numbers": [[[1, 1], [float("nan"), 3], [4, 4]]],
    "without a pixel's centre": [box(3.6, 3.6, 3.9, 3.9)],
}


@pytest.mark.parametrize(("reason", "rings"), FAULTY.items())
def test_faulty_polygons_are_refused_or_counted(tmp_path: Path, home: Home, reason: str, rings: list[Any]) -> None:
    write(tmp_path / "q", [feature([box(10, 10, 14, 14)]), feature(rings), feature(rings)])
    with pytest.raises(InputError, match=rf"a.geojson.*2 {reason} \(first: feature 2\).*faulty=skip"):
        import_dataset("qupath", tmp_path / "q", home, options=options())
    assert not home.datasets.exists() or list(home.datasets.iterdir()) == []
    dataset = import_dataset("qupath", tmp_path / "q", home, options=options(faulty="skip"))
    assert dataset.cells["area"].tolist() == [16]
    assert f"Left out of a: 2 {reason} (first: feature 2)." in dataset.facts["notes"]


def test_hidden_duplicates_and_other_geometries_are_counted(tmp_path: Path, home: Home) -> None:
    point = feature([])
    point["geometry"] = {"type": "Point", "coordinates": [3, 4]}
    empty = feature([])
    empty["geometry"] = None
    write(tmp_path / "q", [feature([box(0, 0, 4, 4)]), feature([box(0, 0, 4, 4)]), point, empty])
    message = r"2 not a polygon \(first: feature 3\), 1 wholly under others \(first: feature 1\)"
    with pytest.raises(InputError, match=message):
        import_dataset("qupath", tmp_path / "q", home, options=options())
    assert len(import_dataset("qupath", tmp_path / "q", home, options=options(faulty="skip")).cells) == 1


def test_class_table_limits_the_names(tmp_path: Path, home: Home) -> None:
    write(tmp_path / "q", [feature([box(0, 0, 4, 4)])])
    table = tmp_path / "classes.csv"
    table.write_text("id,name\n4,Tumor\n")
    dataset = import_dataset("qupath", tmp_path / "q", home, options=ImportOptions(mpp=0.25, classes=table))
    assert dataset.cells["class_id"].tolist() == [4]
    table.write_text("id,name\n4,Stroma\n")
    with pytest.raises(InputError, match="class 'Tumor', which the class table does not have"):
        import_dataset("qupath", tmp_path / "q", home, options=ImportOptions(mpp=0.25, classes=table), overwrite=True)


def test_full_image_name_patients_and_scale_by_field(tmp_path: Path, home: Home) -> None:
    for name in ("a", "b"):
        path = write(tmp_path / "q", [feature([box(0, 0, 4, 4)])], name)
        path.rename(path.with_name(f"{name}.png.geojson"))
    (tmp_path / "q/fovs.csv").write_text("fov_id,patient_id,mpp\na,P1,0.2\nb,P2,0.3\n")
    fovs = import_dataset("qupath", tmp_path / "q", home).fovs
    assert fovs["mpp"].tolist() == [0.2, 0.3]
    assert fovs["patient_id"].tolist() == ["P1", "P2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("{", "not valid JSON"),
        ('{"type": "FeatureCollection"}', "no list of features"),
        ("3", "no list of features"),
        ("[1]", "entry 1 is no GeoJSON feature"),
        ('[{"type": "Feature"}]', "entry 1 is no GeoJSON feature"),
        ('[{"geometry": null, "properties": {"classification": 3}}]', "classification without a name"),
        ("[" * 100_000, "nested too deeply"),
        ("[" + "9" * 5000 + "]", "numbers too long"),
        ("[]", "no object with a classification"),
    ],
)
def test_files_that_are_no_geojson(tmp_path: Path, home: Home, text: str, message: str) -> None:
    write(tmp_path / "q", []).write_text(text)
    with pytest.raises(InputError, match=message):
        import_dataset("qupath", tmp_path / "q", home, options=options())


def test_images_and_files_must_pair(tmp_path: Path, home: Home) -> None:
    write(tmp_path / "q", [feature([box(0, 0, 4, 4)])])
    stray = tmp_path / "q/annotations/b.geojson"
    stray.write_text("[]")
    with pytest.raises(InputError, match=r"b.geojson: belongs to no image"):
        import_dataset("qupath", tmp_path / "q", home, options=options())
    stray.rename(stray.with_name("a.png.geojson"))
    with pytest.raises(InputError, match="belong to one image"):
        import_dataset("qupath", tmp_path / "q", home, options=options())
    stray.with_name("a.png.geojson").unlink()
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "q/images/b.png")
    with pytest.raises(InputError, match="no GeoJSON file for 'b'"):
        import_dataset("qupath", tmp_path / "q", home, options=options())
    with pytest.raises(InputError, match="--mpp"):
        import_dataset("qupath", tmp_path / "q", home)
    with pytest.raises(SettingError, match="refuse, skip"):
        import_dataset("qupath", tmp_path / "q", home, options=options(faulty="mend"))


corner = st.integers(-5, 35)


@given(st.lists(st.tuples(corner, corner, st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=8))
def test_whole_pixel_boxes_are_drawn_exactly(boxes: list[tuple[int, int, int, int]]) -> None:
    rings = [np.array(box(x, y, x + w, y + h), float) for x, y, w, h in boxes]
    outlines = [Outline(number, "detection", "t", ((ring,),)) for number, ring in enumerate(rings, 1)]
    expected = np.zeros((HEIGHT, WIDTH), int)
    for number in sorted(range(len(boxes)), key=lambda k: -boxes[k][2] * boxes[k][3]):
        x, y, w, h = boxes[number]
        expected[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)] = number + 1
    raster = rasterise(outlines, HEIGHT, WIDTH)
    assert np.array_equal(raster.instances, expected)
    faulty = sorted(number for numbers in raster.faults.values() for number in numbers)
    assert faulty == sorted(set(range(1, len(boxes) + 1)) - set(np.unique(expected).tolist()))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["name", "names"]), inner, max_size=2),
    max_leaves=12,
)


@settings(max_examples=100)
@given(st.sampled_from(["Polygon", "MultiPolygon"]), anything, anything)
def test_any_geometry_is_drawn_counted_or_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, coordinates: Any, classification: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.geojson"
    geometry = {"type": kind, "coordinates": coordinates}
    path.write_text(json.dumps([{"geometry": geometry, "properties": {"classification": classification}}]))
    with contextlib.suppress(InputError):
        raster = rasterise(read_outlines(path), HEIGHT, WIDTH)
        assert len(raster.class_names) + sum(map(len, raster.faults.values())) == 1
