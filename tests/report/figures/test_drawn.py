from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from functools import cache

import pytest
from made_up import DRAWINGS
from matplotlib.figure import Figure

from cryostat.report.figures import COLUMN, DOUBLE, alt_text, save

MM = 25.4


@cache
def drawn(name: str) -> Figure:
    return DRAWINGS[name]()


@pytest.mark.parametrize("name", DRAWINGS)
def test_no_text_is_clipped_or_runs_into_another(name, legible):
    legible(drawn(name))


@pytest.mark.parametrize("name", DRAWINGS)
def test_figures_are_a_column_or_a_page_wide_and_fit_on_it(name):
    figure = drawn(name)
    wide, high = (side * MM for side in figure.get_size_inches())
    assert any(abs(wide - fit) < 0.1 for fit in (COLUMN, DOUBLE)) or (name == "methods" and COLUMN < wide < DOUBLE)
    assert high < 240


@pytest.mark.parametrize("name", DRAWINGS)
def test_figures_are_told_in_words_with_numbers(name):
    told = alt_text(drawn(name))
    assert told.endswith(".")
    assert re.search(r"\d", told)
    assert "nan" not in told


@pytest.mark.parametrize("form", ["svg", "pdf", "png"])
def test_the_same_results_are_the_same_bytes(form, tmp_path):
    for part in "ab":
        save(DRAWINGS["lattice-of-one"](), tmp_path / f"{part}.{form}")
    assert (tmp_path / f"a.{form}").read_bytes() == (tmp_path / f"b.{form}").read_bytes()


def test_an_svg_holds_its_text_and_its_description(tmp_path):
    figure = DRAWINGS["ranking"]()
    save(figure, tmp_path / "ranking.svg")
    root = ET.parse(tmp_path / "ranking.svg").getroot()
    texts = {"".join(node.itertext()).strip() for node in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"virchow2 · unetr", "macro F1", "Lizard, base"} <= texts
    assert alt_text(figure) in "".join(root.itertext())
