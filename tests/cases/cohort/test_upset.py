from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from cryostat.cases.cohort import CohortReport, check_cohort, load_cohort
from cryostat.cases.cohort.report import Pattern
from cryostat.core.errors import SettingError

pytest.importorskip("matplotlib")
upset = pytest.importorskip("cryostat.cases.cohort.upset")


@pytest.fixture
def report(seven: Path) -> CohortReport:
    return check_cohort(load_cohort(seven / "cohort.toml"))


def test_bars_and_their_numbers_are_the_counts(report: CohortReport) -> None:
    bars, totals, matrix, corner = upset.upset_figure(report).axes
    assert [bar.get_height() for bar in bars.patches] == [3, 1, 1, 1, 1]
    assert [text.get_text() for text in bars.texts] == ["3", "1", "1", "1", "1"]
    assert [bar.get_width() for bar in totals.patches] == [2, 5, 5]
    assert [label.get_text() for label in matrix.get_yticklabels()] == ["mri", "wsi", "report"]
    assert [text.get_text() for text in matrix.texts] == ["nothing"]
    assert [text.get_text() for text in corner.texts] == ["seven", "7 patients"]


def test_dots_are_filled_where_the_modality_is_there(report: CohortReport) -> None:
    _, _, matrix, _ = upset.upset_figure(report).axes
    filled = [
        [tuple(map(int, place)) for place in dots.get_offsets()]
        for dots in matrix.collections
        if upset.to_hex(dots.get_facecolor()[0]) == upset.INK
        if len(dots.get_offsets())
    ]
    assert filled == [[(0, 1), (0, 2)], [(2, 2)], [(3, 0), (3, 1)], [(4, 0), (4, 1), (4, 2)]]


def test_layers_of_classes_add_up_to_the_patients(report: CohortReport) -> None:
    layers = upset._layers(report, "family")
    assert [layer.label for layer in layers] == [
        "astrocytoma",
        "oligodendroglioma",
        "glioblastoma",
        "no certain class",
    ]
    assert sum(layer.patients for layer in layers).tolist() == [3, 1, 1, 1, 1]
    assert layers[-1].patients.tolist() == [1, 0, 0, 0, 0]
    assert len({layer.colour for layer in layers}) == 4


def test_ordered_classes_darken(report: CohortReport) -> None:
    def lightness(colour: str) -> int:
        return sum(int(colour[i : i + 2], 16) for i in (1, 3, 5))

    shades = [lightness(colour) for colour in upset._colours(report.task("grade"))]
    assert shades == sorted(shades, reverse=True)


def test_rare_patterns_are_told_where_they_are_not_drawn(report: CohortReport) -> None:
    many = replace(report, patterns=tuple(Pattern(("wsi",), 2) for _ in range(upset.MOST_PATTERNS + 3)))
    bars, _, matrix, _ = upset.upset_figure(many).axes
    assert len(bars.patches) == upset.MOST_PATTERNS
    assert matrix.texts[-1].get_text() == "3 rarer patterns with 6 patients are not drawn"


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_the_same_cohort_draws_the_same_file(report: CohortReport, tmp_path: Path, ending: str) -> None:
    for name in ("a", "b"):
        upset.draw_upset(report, tmp_path / f"{name}{ending}", by="family")
    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


def test_nothing_is_drawn_over_the_edge(report: CohortReport, tmp_path: Path) -> None:
    upset.draw_upset(report, tmp_path / "a.png", by="family")
    picture = Image.open(tmp_path / "a.png").convert("L")
    width, height = picture.size
    edges = [(0, 0, width, 4), (0, height - 4, width, height), (0, 0, 4, height), (width - 4, 0, width, height)]
    assert all(picture.crop(edge).getextrema()[0] == 255 for edge in edges)


def test_other_endings_and_tasks_are_refused(report: CohortReport, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"ends in none of \.png, \.svg, \.pdf"):
        upset.draw_upset(report, tmp_path / "a.jpg")
    with pytest.raises(SettingError, match=r"no task 'idh'.*family, grade"):
        upset.draw_upset(report, tmp_path / "a.png", by="idh")
