from __future__ import annotations

import math
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cryostat.cells.drawing import Style, overlays, painted
from cryostat.report.site.charts import Chart, domain, signed_domain, ticks, waiting
from cryostat.report.site.data import CaseBoard, Curve, Study
from cryostat.report.site.downloads import csv_text, tex
from cryostat.report.site.gallery import confident_errors
from cryostat.report.site.ladder_charts import open_domain
from cryostat.report.site.pages import (
    bar,
    breakable,
    coded,
    cohort_page,
    duration,
    interval,
    json_text,
    number,
    p_value,
    page_file,
    signed,
)
from cryostat.results.uncertainty import Estimate

SCORE = Estimate(0.6, 0.5, 0.75)


def test_figures_as_papers_print_them():
    assert (number(0.61249), number(-0.5, 1), number(math.nan)) == ("0.612", "−0.5", "–")
    assert (signed(0.02, 2), signed(-0.02, 2)) == ("+0.02", "−0.02")
    assert (signed(-0.001, 2), signed(0.001, 2), number(-0.001, 2)) == ("0.00", "0.00", "0.00")
    assert interval(SCORE, 2) == "0.50–0.75"
    assert interval(Estimate(0.0, -0.1, 0.2), 1) == "−0.1 to 0.2"
    assert interval(Estimate(0.5, math.nan, math.nan)) == ""
    assert (p_value(0.0004), p_value(0.25), p_value(math.nan)) == ("< 0.001", "0.250", "–")
    assert (duration(42), duration(90), duration(7200), duration(2 * 86400)) == (
        "42.0 s",
        "1.5 min",
        "2.0 h",
        "2.0 days",
    )


def test_backticks_are_code():
    assert coded("τ of `a<b`, `c`") == "τ of <code>a&lt;b</code>, <code>c</code>"
    assert coded("one ` alone <i>") == "one ` alone &lt;i&gt;"


def test_an_interval_stands_where_it_is():
    assert bar(SCORE, (0.0, 1.0), 0.7) == "--l:50.00%;--w:25.00%;--v:60.00%;--m:70.00%"
    assert bar(Estimate(0.5, math.nan, math.nan), (0.0, 1.0)) == "--l:50.00%;--w:0.00%;--v:50.00%"
    assert bar(Estimate(2.0, -1.0, 3.0), (0.0, 1.0)) == "--l:0.00%;--w:100.00%;--v:100.00%"


def test_domains_hold_what_is_shown():
    assert domain([SCORE]) == (0.5, 0.8)
    assert domain([Estimate(math.nan, math.nan, math.nan)]) == (0.0, 1.0)
    low, high = signed_domain([Estimate(-0.12, -0.31, 0.02)])
    assert (low, high) == (pytest.approx(-0.4), pytest.approx(0.1))
    assert ticks(0.2, 0.6) == [0.2, 0.3, 0.4, 0.5, 0.6]


def test_the_scale_of_what_is_left_may_end_beyond_all():
    assert open_domain([Estimate(0.9, 0.71, 1.13)]) == (0.6, 1.2)
    assert open_domain([Estimate(0.9, math.nan, math.nan)]) == (0.8, 1.0)


def test_charts_are_sound_and_told_in_words():
    curve = Curve("<mri> → all", ((0.0, SCORE), (1.0, Estimate(0.8, 0.7, 0.9))), (0.6, 0.8))
    drawn = ElementTree.fromstring(str(waiting(curve, "accuracy")))
    assert drawn.get("role") == "img"
    assert "<mri> → all: nobody waits 0.600" in drawn.get("aria-label")
    chart = Chart((0, 1), (0, 1), "x")
    assert (chart.up(0), chart.up(1), chart.up(2)) == (274, 12, 12)


@given(st.text(max_size=30))
def test_json_never_ends_its_element(text):
    plain = str(json_text({"name": text + "</script>\u2028"}))
    assert not set("<>&\u2028\u2029") & set(plain)


@given(st.text(min_size=1, max_size=200))
def test_files_are_named_safely_and_apart(name):
    file = page_file("encoder", name)
    assert "/" not in file
    assert len(file) < 120
    assert file == file.lower()
    assert file.startswith("encoder-")
    assert page_file("encoder", name + "x") != file


def test_names_that_differ_in_case_are_different_files():
    assert page_file("encoder", "uni").lower() != page_file("encoder", "UNI").lower()


def test_long_names_break_at_their_joints():
    assert breakable("a_<b>") == "a_<wbr>&lt;b&gt;"


def test_latex_sees_no_command():
    assert tex(r"a_b & 50 % \input{x}") == r"a\_b \& 50 \% \textbackslash{}input\{x\}"


def test_tables_keep_unknown_empty_and_formulas_still():
    assert csv_text([{"a": math.nan, "b": "=1+1"}, {"a": 0.5, "b": None}]) == "a,b\n,'=1+1\n0.5,\n"


def test_surest_errors_first():
    table = pd.DataFrame(
        {
            "fov_id": "f",
            "cell_id": [1, 2, 3, 4],
            "y_true": [1, 1, 2, 0],
            "y_pred": [2, 1, 1, 1],
            "p_0": 0.0,
            "p_1": [0.4, 0.9, 0.7, 0.9],
            "p_2": [0.6, 0.1, 0.3, 0.1],
        }
    )
    # 2 is right, 4 has no true class.
    assert confident_errors(table)["cell_id"].tolist() == [3, 1]
    assert confident_errors(table)["confidence"].tolist() == [0.7, 0.6]
    assert confident_errors(table.drop(columns=["p_0", "p_1", "p_2"])).empty


def test_an_overlay_laid_on_a_picture_is_the_painted_picture():
    instances = np.zeros((40, 40), np.int32)
    instances[8:30, 10:25] = 5
    styles = {5: Style("#00ff00", 1.5, fill="#ff0000", cover=0.4)}
    picture = Image.fromarray(np.full((40, 40, 3), (200, 150, 180), np.uint8))
    (layer,) = overlays((40, 40), instances, [styles])
    together = picture.convert("RGBA")
    together.alpha_composite(layer)
    want = np.asarray(painted(picture, instances, styles), int)
    assert np.abs(np.asarray(together.convert("RGB"), int) - want).max() <= 2
    assert np.asarray(layer)[0, 0, 3] == 0


def board_of(task: str, split: str, *modalities: str, cohort: str = "glioma") -> CaseBoard:
    """A leaderboard of cases without rows."""
    return CaseBoard(cohort, task, "standard", split, modalities, ("a", "b"), (1, 1), 2, {}, ())


def test_leaderboards_of_one_task_have_their_own_names_and_pages():
    boards = (
        board_of("idh", "kfold", "mri", "wsi"),
        board_of("idh", "site", "mri", "wsi"),
        board_of("idh", "kfold", "mri", "wsi", "clinical"),
        board_of("grade", "kfold", "mri", "wsi"),
        board_of("idh", "kfold", "mri", cohort="other"),
    )
    study = Study("t", cases=boards)
    assert [study.label(board) for board in boards] == [
        "glioma · idh · kfold",
        "glioma · idh · site",
        "glioma · idh · kfold · with clinical",
        "glioma · grade",
        "other · idh",
    ]
    assert len({page_file("cohort", cohort_page(board)) for board in boards}) == len(boards)
    assert study.siblings(boards[4]) == (boards[4],)
