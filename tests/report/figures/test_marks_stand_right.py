"""What is drawn stands where the results say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_up import (
    ENCODERS,
    MODALITIES,
    about,
    classes,
    contributions,
    heads,
    lattice,
    ranking,
    scaling,
    shift,
    waiting,
)
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cryostat.core.errors import InputError
from cryostat.report import figures as f
from cryostat.report.figures.scaling import amount


def points(axes: Axes, which: int = 0) -> list[float]:
    """Places of all single marks."""
    return [round(float(line.get_data()[which][0]), 6) for line in axes.lines if len(line.get_xdata()) == 1]


def labels(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def words(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(match=lambda a: hasattr(a, "get_text")))


def test_models_stand_from_best_to_worst():
    axes = f.ranking_figure(ranking()).axes[0]
    assert labels(axes)[0] == "virchow2 · unetr"
    assert points(axes) == sorted(points(axes), reverse=True)
    assert points(axes)[0] == 0.735


def test_models_without_intervals_are_points_alone():
    figure = f.ranking_figure(pd.DataFrame({"label": ["a", "b"], "value": [0.2, 0.4]}))
    assert [len(line.get_xdata()) for line in figure.axes[0].lines] == [0, 1, 0, 1]
    assert "95" not in words(figure)


def test_a_difference_is_filled_where_the_interval_excludes_zero():
    table = pd.DataFrame(
        {"first": "a", "second": ["b", "c"], "difference": [0.1, 0.01], "low": [0.05, -0.02], "high": [0.2, 0.04]}
    )
    axes = f.differences_figure(table).axes[0]
    marks = [line for line in axes.lines if len(line.get_xdata()) == 1]
    assert [mark.get_markerfacecolor() != "white" for mark in marks] == [True, False]
    assert "+0.10 [0.05, 0.20]" in words(axes.figure)


def test_a_decoder_gain_is_the_larger_head_less_the_smaller():
    figure = f.heads_figure(heads(("Lizard",)))
    assert labels(figure.axes[0])[0] == "virchow2"
    assert {"+0.05", "+0.15", "hovernext"} <= set(words(figure).split())


def test_rare_classes_are_marked_and_counted():
    figure = f.classes_figure(classes())
    assert labels(figure.axes[0])[0] == "Macrophages/Monocytes"
    assert [name for name in labels(figure.axes[0]) if "‡" in name] == ["NK cells ‡"]
    assert "‡ Rare: fewer than 20 cells" in words(figure).replace("\n", " ")
    assert "9,416" in words(figure)


def test_classes_that_few_patients_hold_are_marked():
    table = classes()
    held = table.assign(doubtful=table["class"].isin(["Nerves", "NK cells"]))
    figure = f.classes_figure(held)
    assert [name for name in labels(figure.axes[0]) if "†" in name] == ["Nerves †", "NK cells †‡"]
    assert "† Mostly held by few patients or fields" in words(figure).replace("\n", " ")


def test_intervals_over_few_patients_are_marked():
    table = ranking().assign(doubtful=True)
    assert "0.57 [0.54–0.60]†" in words(f.ranking_figure(table))
    assert "†" not in words(f.ranking_figure(ranking()))


def test_common_classes_have_no_dagger():
    assert not {"†", "‡"} & set(words(f.classes_figure(classes().query("support > 100"))))


def test_a_confusion_matrix_is_in_percent_of_rows():
    figure = f.confusion_figure([[3, 1], [0, 4]], ["a", "b"])
    assert {"75", "25", "100"} <= set(words(figure).split())
    assert "25 % of a predicted as b" in f.alt_text(figure)


@pytest.mark.parametrize("matrix", [[[1, 2]], [[1, -1], [0, 1]], [[1, np.nan], [0, 1]], []])
def test_what_is_no_confusion_matrix_is_refused(matrix):
    with pytest.raises(InputError, match="has the shape"):
        f.confusion_figure(matrix, ["a", "b"])


def test_a_shift_names_who_loses_most():
    models, by_class = shift()
    told = f.alt_text(f.shift_figure(models, by_class, names=("base", "glas")))
    assert "largest musk (−0.151)" in told
    assert "loses most is Neutrophil (−0.180)" in told


def test_sizes_of_one_architecture_stand_side_by_side():
    axes = f.scaling_figure(scaling()).axes[0]
    places = points(axes)
    assert len(set(places)) == len(ENCODERS)
    assert places[ENCODERS_IN_ORDER.index("prov-gigapath")] == pytest.approx(1135e6, rel=0.02)


ENCODERS_IN_ORDER = list(ENCODERS)


def test_encoders_without_a_size_are_no_figure():
    with pytest.raises(InputError, match="has no row"):
        f.scaling_figure(pd.DataFrame({"dataset": ["a"], "encoder": ["b"], **{k: [v] for k, v in about(0.5).items()}}))


def test_sizes_are_written_as_people_write_them():
    assert [amount(v) for v in (22e6, 1.1e9, 3e5, 50)] == ["22 M", "1.1 G", "300 k", "50"]


def test_subsets_stand_from_nothing_to_everything_with_their_patients():
    figure = f.lattice_figure(lattice(("core-bt",)), MODALITIES, chance=0.5)
    assert points(figure.axes[0], 1) == [round(0.5 + 0.04 * i, 6) for i in range(8)]
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == [str(561 - 40 * i) for i in range(8)]
    assert "best with mri and wsi and report (0.780)" in f.alt_text(figure)


def test_the_best_of_a_column_is_bold_unless_all_are_alike():
    table = lattice(("a", "b")).query("offered in ('nothing', 'mri')").copy()
    table.loc[table["offered"] == "nothing", "value"] = 0.5
    bold = [t.get_text() for t in f.methods_figure(table, MODALITIES).axes[1].texts if t.get_weight() == "bold"]
    assert bold == ["0.54"]


def test_a_lower_loss_is_the_better():
    table = lattice(("a", "b")).query("offered == 'mri'")
    figure = f.methods_figure(table, MODALITIES, higher_is_better=False)
    assert [t.get_text() for t in figure.axes[1].texts if t.get_weight() == "bold"] == ["0.53"]


def test_steps_of_a_waterfall_lead_to_everything():
    axes = f.contributions_figure(contributions()).axes[0]
    steps = [
        (round(bar.get_x(), 6), round(bar.get_x() + bar.get_width(), 6)) for bar in axes.patches if bar.get_width() < 1
    ]
    steps = [step for step in steps if step[0] >= 0.5]
    assert steps == [(0.5, 0.7), (0.7, 0.8), (0.8, 0.78)]


def test_waiting_tells_gain_and_who_changes():
    told = f.alt_text(f.waiting_figure(waiting()))
    assert "a gain of +0.100 (0.02–0.19)" in told
    assert "20 % change from wrong to right, 5 % from right to wrong" in told
    with pytest.raises(InputError, match="has no row"):
        f.waiting_figure(waiting(), column="auroc")
