from __future__ import annotations

import hashlib
import importlib.util
import io
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cryostat.core.errors import CryostatError, InputError
from cryostat.report.view import Pyramid, open_slide
from cryostat.report.view.fields import FieldSource
from cryostat.report.view.tiles import TILE


class Flat:
    """A picture of one colour."""

    def __init__(self, size):
        self.size = size

    def window(self, box, shape):
        assert 0 <= box[0] < box[2] <= self.size[0]
        assert 0 <= box[1] < box[3] <= self.size[1]
        assert box[2] - box[0] >= shape[0] > 0
        return Image.new("RGB", shape, "red")


@settings(max_examples=30)
@given(st.integers(1, 200_000), st.integers(1, 200_000), st.data())
def test_every_tile_lies_within_and_has_its_size(width, height, data):
    pyramid = Pyramid(Flat((width, height)))
    level = data.draw(st.integers(0, pyramid.top))
    columns, rows = pyramid.grid(level)
    column, row = data.draw(st.integers(0, columns - 1)), data.draw(st.integers(0, rows - 1))
    tile = Image.open(io.BytesIO(pyramid.tile(level, column, row)))
    full = pyramid.level_size(level)
    assert tile.size[0] == min((column + 1) * TILE + 1, full[0]) - max(column * TILE - 1, 0)
    with pytest.raises(InputError, match="no tile"):
        pyramid.tile(level, columns, row)


def test_levels_halve_from_full_size_to_one_pixel():
    pyramid = Pyramid(Flat((1500, 1100)))
    assert pyramid.top == 11
    assert [pyramid.level_size(level) for level in (11, 10, 0)] == [(1500, 1100), (750, 550), (1, 1)]
    assert pyramid.grid(11) == (3, 3)


@pytest.mark.parametrize("with_openslide", [True, False])
def test_a_tiled_tiff_is_read_by_either_package(tiff, monkeypatch, with_openslide):
    if with_openslide:
        pytest.importorskip("openslide")
    else:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    slide = open_slide(tiff)
    assert slide.source.size == (1500, 1100)
    assert slide.mpp == pytest.approx(0.5)
    part = np.asarray(slide.source.window((700, 500, 800, 560), (100, 60)))
    whole = tifffile.imread(tiff)
    assert np.array_equal(part, whole[500:560, 700:800])
    small = np.asarray(slide.source.window((0, 0, 1500, 1100), (150, 110)), int)
    assert np.abs(small - whole[5::10, 5::10]).max() <= 4


def test_slides_without_a_scale_that_can_be_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((64, 64), np.uint8), resolution=(72, 72), resolutionunit="INCH")
    slide = open_slide(tmp_path / "a.tif")
    assert slide.mpp is None
    assert ("Scale", "not told by the file") in slide.facts
    assert np.asarray(slide.source.window((0, 0, 64, 64), (8, 8))).shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("pixels", "told"),
    [
        (np.zeros((64, 64, 3), np.uint16), "not 8-bit"),
        (np.zeros((64, 64), np.float32), "not 8-bit"),
        (np.zeros((64, 64, 64), np.uint8), "not 8-bit"),
    ],
)
def test_other_tiffs_are_refused(tmp_path, monkeypatch, pixels, told):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    tifffile.imwrite(tmp_path / "a.tif", pixels, planarconfig="contig" if pixels.shape[-1] > 3 else None)
    with pytest.raises(InputError, match=told):
        open_slide(tmp_path / "a.tif")


def test_a_slide_without_a_pyramid_that_is_too_large_is_refused(tiff, monkeypatch):
    monkeypatch.setattr("cryostat.report.view.slides.BUDGET", 10_000)
    with pytest.raises(InputError, match="no smaller copy"):
        open_slide(tiff)


@given(st.binary(min_size=1, max_size=300), st.sampled_from([b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II+\0"]))
@settings(max_examples=40)
def test_no_bytes_end_in_anothers_error(tmp_path_factory, content, head):
    path = tmp_path_factory.mktemp("bytes") / "a.svs"
    path.write_bytes(head + content)
    with pytest.raises(CryostatError):
        open_slide(path)


def test_shared_slides_open_or_are_refused(shared):
    pytest.importorskip("openslide")
    found = {}
    for path in sorted((shared / "data" / "wsi").rglob("*.*")):
        if path.suffix in (".svs", ".tiff", ".dcm"):
            try:
                slide = open_slide(path)
                found[path.name] = slide.mpp and round(slide.mpp, 3)
            except InputError:
                found[path.name] = "refused"
    assert found["cmu-1-small-region.svs"] == found["boxes_0.dcm"] == 0.499
    assert found["tcga-cr-7395-01a-01-ts1.svs"] is None
    refused = ("broken.svs", "broken-html.svs", "unreadable.svs", "unopenable.tiff", "small_dicom.dcm")
    assert all(found[name] == "refused" for name in refused)


def test_a_field_is_read_as_it_is_and_reduced(tiny):
    source = FieldSource(tiny, "one")
    assert source.size == (60, 40)
    assert np.array_equal(source.window((5, 5, 15, 9), (10, 4)), tiny.image("one")[5:9, 5:15])
    assert source.window((0, 0, 60, 40), (3, 2)).size == (3, 2)


def test_the_shipped_viewer_is_the_published_one():
    static = files("cryostat.report.view").joinpath("static")
    found = hashlib.sha256(static.joinpath("openseadragon.min.js").read_bytes()).hexdigest()
    notice = Path(__file__).parents[3] / "NOTICE"
    assert found in notice.read_text()
    assert "CodePlex" in static.joinpath("openseadragon.LICENSE.txt").read_text()
