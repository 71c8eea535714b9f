from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryostat.core.errors import InputError, SettingError
from cryostat.core.figures import check_ending, save_figure
from cryostat.report.figures.marks import apart, dodged, limits
from cryostat.report.figures.style import (
    COLOURS,
    COLUMN,
    DOUBLE,
    MARKERS,
    alt_text,
    canvas,
    checked,
    fitting,
    heads_in_order,
    legend_height,
    looks,
    number,
    ranged,
    signed,
    text_width,
    wrapped,
)


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_are_seen_on_white_and_never_stand_alone():
    assert all(1.05 / (luminance(colour) + 0.05) > 2 for colour in COLOURS)
    assert len(set(COLOURS)) == len(set(MARKERS)) == len(COLOURS)


def test_the_ninth_series_is_hollow():
    names = [f"m{i}" for i in range(10)]
    found = looks(names)
    assert [found[name].face == found[name].colour for name in names] == [True] * 8 + [False] * 2
    assert len({(look.colour, look.face) for look in found.values()}) == 10


def test_heads_keep_their_order_and_others_follow():
    assert heads_in_order(["unetr", "zebra", "linear", "ant", "unetr"]) == ["linear", "unetr", "ant", "zebra"]


@pytest.mark.parametrize(
    ("value", "text"), [(0.05, "+0.05"), (-0.123, "−0.12"), (0.0, "0.00"), (-0.001, "0.00"), (0.004, "0.00")]
)
def test_differences_have_a_sign(value, text):
    assert signed(value) == text


def test_numbers_and_ranges():
    assert (number(0.6149), number(-0.2), number(float("nan")), number(-0.001)) == ("0.61", "−0.20", "–", "0.00")
    assert (ranged(0.61, 0.72), ranged(-0.02, 0.03), ranged(float("nan"), 1)) == ("0.61–0.72", "−0.02 to 0.03", "")


@given(st.lists(st.text(alphabet="abcdefgh", min_size=1, max_size=12), min_size=1, max_size=30))
def test_wrapped_lines_fit_unless_a_word_does_not(words):
    found = wrapped(" ".join(words), 30, 6)
    assert found.split() == words
    for line in found.split("\n"):
        assert text_width(line, 6) <= 30 or " " not in line


def test_long_names_take_a_page():
    assert fitting(["uni · linear"]) == COLUMN
    assert fitting(["vit_tiny_patch16_224@random0 · cell-probe (live)"], ["0.61 [0.49–0.71]"]) == DOUBLE


def test_legends_take_lines_as_they_need_them():
    assert legend_height(["alone"], COLUMN) == 0
    assert legend_height(["uni", "uni2"], COLUMN) < legend_height([f"a long name {i}" for i in range(9)], COLUMN)


def test_a_canvas_keeps_its_size_and_words():
    figure = canvas(89, 40, title="", note="", alt="Two models.")
    assert np.allclose(figure.get_size_inches() * 25.4, (89, 40))
    assert alt_text(figure) == "Two models."
    assert canvas(89, 40, title="A title", note="A note", alt="").get_figheight() > figure.get_figheight()


def test_tables_are_checked():
    with pytest.raises(InputError, match="lacks the column 'value'") as told:
        checked(pd.DataFrame({"label": ["a"]}), "ranking", ("label", "value"))
    assert "ranking" in str(told.value.where)
    with pytest.raises(InputError, match="has no row"):
        checked(pd.DataFrame({"label": [], "value": []}), "ranking", ("label", "value"))
    assert checked(pd.DataFrame({"value": [None, 1]}), "ranking", ("value",), ("low",))["low"].isna().all()


@pytest.mark.parametrize("name", ["figure", "figure.jpg", "figure.svg.gz"])
def test_other_endings_are_refused_before_anything_is_written(name, tmp_path):
    with pytest.raises(SettingError, match="ends in none of"):
        check_ending(tmp_path / name)
    with pytest.raises(SettingError, match="ends in none of"):
        save_figure(canvas(89, 40, title="", note="", alt=""), tmp_path / name)
    assert not list(tmp_path.iterdir())


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20), st.floats(0.01, 1))
def test_labels_that_are_moved_apart_keep_order_and_distance(places, gap):
    found = apart(places, gap)
    order = np.argsort(places, kind="stable")
    assert (np.diff(found[order]) >= gap - 1e-6).all()
    assert np.isclose(found.mean(), np.mean(places), atol=1e-6)


def test_labels_that_are_apart_stay():
    assert apart([3.0, 1.0, 2.0], 0.5).tolist() == [3, 1, 2]
    assert apart([1.0, 1.0], 0.5).tolist() == [0.75, 1.25]


def test_marks_of_a_row_stay_within_it():
    assert dodged(1).tolist() == [0]
    assert dodged(2).tolist() == [-0.12, 0.12]
    assert np.abs(dodged(9)).max() == 0.31


def test_axes_hold_all_that_is_known():
    low, high = limits([[0.2, np.nan], [0.6]], margin=0.1)
    assert (round(low, 3), round(high, 3)) == (0.16, 0.64)
    assert limits([[0.1]], floor=0.1)[0] == 0.1
    assert limits([[np.nan]])[0] < limits([[np.nan]])[1]
