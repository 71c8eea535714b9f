from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from cryostat.cells.dataset import CellDataset
from cryostat.cells.drawing import (
    PALETTE,
    STRIPE,
    Key,
    Style,
    Window,
    class_colors,
    densest_window,
    field_image,
    fitted,
    font,
    for_display,
    legend,
    one_line,
    painted,
    ring,
    scale_bar,
    write,
)
from cryostat.cells.field import CellClass, DatasetFacts, field_from_table
from cryostat.cells.writer import DatasetWriter

GREY, RED, BLUE = (128, 128, 128), (255, 0, 0), (0, 0, 255)


@pytest.fixture
def dataset(tmp_path: Path) -> CellDataset:
    """A grey field of 100 × 60 px, two nuclei on the right."""
    classes = (CellClass(1, "red", "#ff0000"), CellClass(2, "hardly a colour", "reddish"), CellClass(3, "none yet"))
    instances = np.zeros((60, 100), np.int32)
    instances[10:30, 60:80], instances[40:50, 80:90] = 1, 2
    facts = DatasetFacts("grey", "Grey", classes, 0.5, "CC0", "none")
    with DatasetWriter(tmp_path / "grey", facts) as writer:
        image = np.full((60, 100, 3), 128, np.uint8)
        writer.add(field_from_table("a", image, instances, {1: 1, 2: 3}, mpp=0.5, source="a"))
    return CellDataset(tmp_path / "grey")


def grey(side: int) -> Image.Image:
    return Image.new("RGB", (side, side), GREY)


def square(side: int = 40) -> np.ndarray:
    """A nucleus from pixel 10 to 29."""
    instances = np.zeros((side, side), np.int32)
    instances[10:30, 10:30] = 7
    return instances


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_lines_lie_just_inside_and_fills_mix(scale):
    style = Style("#ff0000", 1.5, fill="#0000ff", cover=0.5)
    drawn = painted(grey(40 * scale), square(), {7: style})
    middle = 20 * scale
    assert drawn.getpixel((10 * scale, middle)) == RED
    assert drawn.getpixel((30 * scale - 1, middle)) == RED
    assert drawn.getpixel((10 * scale - 1, middle)) == GREY
    assert drawn.getpixel((30 * scale, middle)) == GREY
    assert drawn.getpixel((middle, middle)) == (64, 64, 192)


def test_nuclei_without_a_style_are_left_and_styles_without_a_nucleus_do_no_harm():
    assert painted(grey(40), square(), {}).tobytes() == grey(40).tobytes()
    assert painted(grey(40), square(), {8: Style("#ff0000")}).tobytes() == grey(40).tobytes()


def test_hatched_nuclei_are_striped():
    drawn = painted(grey(80), square(), {7: Style(None, fill="#0000ff", cover=1.0, hatched=True)})
    row = np.asarray(drawn)[40, 22:58].astype(int)
    pure = (row == BLUE).all(1)
    assert 0.1 < pure.mean() < 0.4
    assert (row == GREY).all(1).any()
    assert (row[:-STRIPE] == row[STRIPE:]).all()


def test_touching_nuclei_keep_their_own_lines():
    instances = np.zeros((20, 40), np.int32)
    instances[:, :20], instances[:, 20:] = 1, 2
    drawn = painted(Image.new("RGB", (80, 40), GREY), instances, {1: Style("#ff0000", 2), 2: Style("#0000ff", 2)})
    assert [drawn.getpixel((x, 20)) for x in (38, 39, 40, 41)] == [RED, RED, BLUE, BLUE]
    assert drawn.getpixel((30, 20)) == GREY
    # The border of the picture is not the border of a nucleus.
    assert drawn.getpixel((10, 0)) == drawn.getpixel((0, 10)) == GREY


@pytest.mark.parametrize("area", [1, 4, 9, 15, 16])
def test_small_nuclei_do_not_vanish_when_enlarged(area):
    instances = np.zeros((30, 30), np.int32)
    instances[10 : 10 + area // 2 + area % 2, 10:12] = 1
    drawn = painted(grey(120), instances, {1: Style(None, fill="#0000ff", cover=1.0)})
    blue = (np.asarray(drawn) == BLUE).all(-1).sum()
    assert blue >= 0.7 * 16 * (instances > 0).sum()


def test_huge_ids_take_no_memory():
    instances = square()
    instances[instances == 7] = 2**31 - 1
    assert painted(grey(40), instances, {2**31 - 1: Style("#ff0000")}).getpixel((10, 20)) == RED


def test_a_window_lies_where_nuclei_are_densest(dataset):
    assert densest_window(dataset, "a", None) == Window(0, 0, 60, 100)
    window = densest_window(dataset, "a", 22.0)
    assert (window.y1 - window.y0, window.x1 - window.x0) == (44, 44)
    assert window.x0 <= 69
    assert window.x1 >= 85
    assert densest_window(dataset, "a", 1e6) == Window(0, 0, 60, 100)
    assert field_image(dataset, "a", window, 88).size == (88, 88)
    assert field_image(dataset, "a", Window(0, 0, 60, 100), 200).size == (200, 120)


def test_eight_bits_are_shown_as_they_are_and_sixteen_stretched():
    eight = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert (for_display(eight) == eight).all()
    ramp = np.linspace(300, 40_000, 200).astype(np.uint16)
    sixteen = np.stack([ramp, ramp // 2, ramp // 4], -1)[None].repeat(8, 0)
    shown = for_display(sixteen)
    assert shown.dtype == np.uint8
    assert (shown[0, -1] == 255).all()
    assert shown[0, 0].max() <= 3
    assert np.ptp(shown[0, 100].astype(int)) <= 6


def test_a_flat_sixteen_bit_image_is_shown_without_a_warning():
    assert for_display(np.full((8, 8, 3), 900, np.uint16)).max() == 0


def test_classes_without_a_colour_get_one(dataset):
    assert class_colors(dataset) == {0: "#ffffff", 1: "#ff0000", 2: PALETTE[0], 3: PALETTE[1]}


def test_a_scale_bar_is_as_long_as_it_says():
    drawn = grey(300)
    scale_bar(drawn, 0.5)
    white = (np.asarray(drawn) == 255).all(-1)
    # 50 µm are 100 pixels, the longest round length in a third of 300.
    assert white.sum(1).max() == 101


@given(st.text(), st.integers(0, 200))
def test_any_text_is_fitted_and_written(text, width):
    pen = ImageDraw.Draw(Image.new("RGB", (4, 4)))
    line = fitted(text, font(12), width)
    assert line == "…" or font(12).getlength(line) <= width
    write(pen, (0, 0), text, font(12), "black")


def test_names_are_made_one_line():
    assert one_line(" two\nlines\tof\x00 text\ud800 ") == "two lines of  text?"
    assert fitted("short", font(12), 500) == "short"
    assert fitted("x" * 10_000, font(12), 100).endswith("x…")


def test_a_legend_breaks_into_lines():
    keys = [Key(ring("#ff0000"), f"class {i}", "10") for i in range(6)]
    one, more = legend(keys, 2000), legend(keys, 300)
    assert (one.height, more.height) == (30, 82)
    assert legend(keys[:1] * 2, 300).height == 30
    assert legend([Key(ring("#ff0000"), "x" * 5000, "y" * 5000)], 300).size == (300, 30)
