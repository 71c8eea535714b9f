"""The robustness figure: marks stand where results say, text is legible."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cryostat.core.errors import InputError
from cryostat.report.figures import alt_text
from cryostat.report.figures.ladders import ladder_figure, ladder_frame
from cryostat.results.ladders import LadderRow, Robustness, Step
from cryostat.results.uncertainty import Estimate

AMOUNTS = {"blur": (" µm", (0, 0.25, 0.5, 1, 2, 3)), "stain": ("×", (1, 0.85, 0.7, 0.55, 0.4, 0.25))}


def curve(name: str, slope: float) -> Robustness:
    unit, amounts = AMOUNTS.get(name, ("", (100, 80, 60, 40, 20, 10)))
    values = [0.7 - slope * step for step in range(6)]
    drawn = [Estimate(value, value - 0.05, value + 0.04) for value in values]
    lost = [Estimate(value - 0.7, value - 0.75, value - 0.66) for value in values]
    steps = tuple(Step(i, amounts[i], drawn[i], lost[i]) for i in range(6))
    area = float(np.mean(values[1:]) / 0.7)
    about = "Faded: optical density of H and E"
    return Robustness(name, about, unit, steps, Estimate(area, area - 0.1, area + 0.1), 1, 15555, 27, "field")


def row(encoder: str, slope: float, names: tuple[str, ...]) -> LadderRow:
    facts = {"dataset": "consep", "split": "5fold", "encoder": encoder, "head": "cell-probe"}
    return LadderRow(facts, {name: curve(name, slope) for name in names}, {})


EVERY = ("stain", "overstain", "blur", "jpeg", "brightness", "noise", "scale")


@pytest.mark.parametrize("names", [EVERY, EVERY[:3], ("blur",)], ids=len)
@pytest.mark.parametrize("encoders", [1, 3, 6])
def test_no_text_is_clipped_or_runs_into_another(names, encoders, legible) -> None:
    rows = [row(f"encoder-{i}", 0.02 * i, names) for i in range(encoders)]
    frame, note = ladder_frame(rows)
    legible(ladder_figure(frame, title="consep, 5fold: robustness", note=note))


def test_marks_stand_at_the_scores_in_the_order_of_the_steps() -> None:
    frame, _ = ladder_frame([row("a", 0.1, ("blur", "stain"))])
    figure = ladder_figure(frame)
    stain, blur, area = [axes for axes in figure.axes if axes.get_visible()]
    (line,) = blur.lines
    np.testing.assert_allclose(line.get_xdata(), range(6))
    np.testing.assert_allclose(line.get_ydata(), [0.7, 0.6, 0.5, 0.4, 0.3, 0.2])
    assert [text.get_text() for text in stain.get_xticklabels()] == ["1", "0.85", "0.7", "0.55", "0.4", "0.25"]
    assert (blur.get_title(loc="left"), blur.get_xlabel()) == ("blur", "optical density of H and E, µm")
    points = [tuple(map(float, (x.get_xdata()[0], x.get_ydata()[0]))) for x in area.lines if len(x.get_xdata()) == 1]
    assert points == [(pytest.approx(0.4 / 0.7), row) for row in (0.0, 1.0)]


def test_it_is_told_in_words() -> None:
    frame, note = ladder_frame([row("a", 0.1, ("blur",))])
    told = alt_text(ladder_figure(frame))
    assert "blur: a · cell-probe 0.70 to 0.20, area 0.57 (0.47–0.67)." in told
    assert "27 fields" in note


def test_a_perturbation_that_one_model_lacks_and_unknown_intervals_are_drawn_all_the_same(legible) -> None:
    frame, _ = ladder_frame([row("a", 0.1, ("blur", "stain")), row("b", 0.05, ("stain",))])
    figure = ladder_figure(frame.drop(columns=["low", "high", "area_low", "area_high"]))
    legible(figure)


@pytest.mark.parametrize("frame", [pd.DataFrame(), pd.DataFrame({"series": ["a"]})])
def test_a_table_that_lacks_something_is_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="lacks the column"):
        ladder_figure(frame)


def test_models_of_one_name_are_told_apart() -> None:
    one, two = row("a", 0.1, ("blur",)), row("a", 0.2, ("blur",))
    two.facts["variant"] = "precision fp16"
    frame, _ = ladder_frame([one, two, row("b", 0.1, ("blur",))])
    assert list(dict.fromkeys(frame["series"])) == [
        "a · cell-probe",
        "a · cell-probe · precision fp16",
        "b · cell-probe",
    ]
