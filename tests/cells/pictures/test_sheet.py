from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import ImageColor

from cryostat.cells.dataset import CellDataset
from cryostat.cells.field import CellClass, DatasetFacts, field_from_table
from cryostat.cells.pictures.nuclei import CORRECT, GHOST, LOST
from cryostat.cells.pictures.segments import Segments
from cryostat.cells.pictures.sheet import GUTTER, MARGIN, choose_fields, prediction_sheet
from cryostat.cells.writer import DatasetWriter
from cryostat.core.errors import InputError, SettingError

GREY, RED, BLUE = (128, 128, 128), (255, 0, 0), (0, 0, 255)
PALE = (191, 191, 191)
SIDE = 400


def panels(sheet, count=4):
    """The pictures of the first row, four page pixels to a pixel of the field."""
    assert sheet.width == 2 * MARGIN + count * SIDE + (count - 1) * GUTTER
    page = np.asarray(sheet)
    top = np.argwhere((page[:, MARGIN] == GREY).all(-1))[0, 0]
    lefts = [MARGIN + i * (SIDE + GUTTER) for i in range(count)]
    return [page[top : top + SIDE, left : left + SIDE] for left in lefts]


def draw(dataset, table, fovs=("a",), **options):
    return prediction_sheet(dataset, table, fovs, classes=dataset.classes, title="t", **{"panel": SIDE} | options)


def near(pixel, color, tolerance=2):
    return bool((np.abs(np.asarray(pixel, int) - color) <= tolerance).all())


def test_the_image_is_bare_and_the_truth_in_class_colours(squares, table):
    image, truth, *_ = panels(draw(squares, table))
    assert (image[:300] == GREY).all()
    # Nuclei start at pixels 10 and 60 of the field and are 20 wide; middles lie at 20 and 70.
    assert tuple(truth[80, 40]) == RED
    assert tuple(truth[80, 319]) == RED
    assert tuple(truth[280, 40]) == BLUE
    assert tuple(truth[80, 39]) == GREY
    # 28 % of the class colour over grey.
    assert near(truth[80, 80], (164, 92, 92))
    assert near(truth[280, 280], (92, 92, 164))


def test_the_prediction_has_the_colour_of_the_predicted_class(squares, table):
    prediction = panels(draw(squares, table))[2]
    assert tuple(prediction[80, 40]) == RED
    assert tuple(prediction[80, 240]) == BLUE
    assert near(prediction[80, 280], (92, 92, 164))
    # Nuclei 3 and 4 have no class.
    assert tuple(prediction[280, 40]) == tuple(prediction[280, 240]) == ImageColor.getrgb(GHOST)


def test_errors_stand_out_and_the_rest_is_quiet(squares, table):
    errors = panels(draw(squares, table))[3]
    assert near(errors[5, 5], PALE)
    assert tuple(errors[80, 40]) == ImageColor.getrgb(CORRECT)
    assert near(errors[80, 80], PALE)
    # Wrong: outlined as what it was taken for, 85 % filled with what it is.
    assert tuple(errors[80, 240]) == tuple(errors[80, 242]) == BLUE
    assert near(errors[80, 280], (245, 29, 29))
    # Taken for background: stripes of what it is. Not scored: stripes of grey.
    assert tuple(errors[280, 40]) == ImageColor.getrgb(LOST)
    assert tuple(errors[280, 240]) == ImageColor.getrgb(GHOST)
    missed, unscored = errors[250:310, 50:110].reshape(-1, 3), errors[250:310, 250:310].reshape(-1, 3)
    assert 0.1 < np.mean([near(p, (10, 10, 252)) for p in missed]) < 0.4
    assert not any(near(p, (10, 10, 252), 60) for p in unscored)
    assert np.mean([near(p, PALE) for p in unscored]) > 0.3


def test_nuclei_found_by_the_model_get_a_column(squares, table):
    instances = np.zeros((100, 100), np.int32)
    instances[40:60, 40:60] = 5
    found = Segments(instances, np.array([5]), np.array([2]))
    image = panels(draw(squares, table, segments={"a": found}), 5)[4]
    assert tuple(image[200, 160]) == BLUE
    assert tuple(image[80, 40]) == GREY
    # A field for which nothing was kept is shown pale.
    sheet = draw(squares, table, ("b", "a"), segments={"a": found})
    assert near(panels(sheet, 5)[4][200, 160], PALE)


def test_fields_are_best_median_and_worst(table):
    # Of a, one of three is right; of b, c, d, e four, three, two, one of four.
    assert choose_fields(table) == ["b", "d", "e"]
    assert choose_fields(table, 1) == ["d"]
    assert choose_fields(table, 2) == ["b", "e"]
    assert choose_fields(table, 4) == ["b", "c", "d", "e"]
    assert choose_fields(table, 9) == ["b", "c", "d", "a", "e"]
    assert choose_fields(table.sample(frac=1, random_state=1)) == ["b", "d", "e"]


def test_equal_fields_stand_by_name_and_unscored_ones_are_never_chosen(table):
    table["y_pred"] = table["y_true"]
    assert choose_fields(table, 5) == list("abcde")
    table.loc[table["fov_id"] == "c", "y_true"] = 0
    assert choose_fields(table, 5) == list("abde")
    with pytest.raises(SettingError, match="nothing to show"):
        choose_fields(table.assign(y_true=0))
    with pytest.raises(SettingError, match="nothing to show"):
        choose_fields(table, 0)


def test_the_same_page_is_drawn_twice_and_grows_by_rows(squares, table):
    one, two = draw(squares, table, ("a",)), draw(squares, table, ("a", "b", "a"))
    assert one.tobytes() == draw(squares, table, ("a",)).tobytes()
    assert one.width == two.width
    assert two.height - one.height > SIDE


def test_a_crop_shows_nuclei_larger(squares, table):
    image = np.asarray(draw(squares, table, crop_um=20.0))
    red = (image == RED).all(-1).sum()
    assert red > 1.5 * (np.asarray(draw(squares, table)) == RED).all(-1).sum()


@pytest.mark.parametrize("wrong", [{"fovs": ()}, {"panel": 10}, {"crop_um": 0.0}, {"crop_um": float("nan")}])
def test_what_cannot_be_shown_is_refused(squares, table, wrong):
    with pytest.raises(SettingError):
        draw(squares, table, **wrong)


def test_unknown_classes_and_fields_are_refused(squares, table):
    with pytest.raises(SettingError, match="no field of view 'z'"):
        draw(squares, table, ("z",))
    with pytest.raises(InputError, match="class id 9"):
        draw(squares, table.assign(y_pred=9))


HOSTILE = ("", "two\nlines\tand\x00more", "x" * 5000, "🦠 Ω 核 \u202eflip", "[bold]%s{0}</b>", "../../etc")


def test_hostile_names_are_drawn(tmp_path):
    classes = tuple(CellClass(i, name or "?") for i, name in enumerate(HOSTILE, start=1))
    instances = np.zeros((8, 200), np.int32)
    instances[1:7, 1 : 1 + 10 * len(classes)] = np.repeat(np.arange(1, 1 + len(classes)), 10)
    fov = "a\nb" + "y" * 60
    facts = DatasetFacts("hostile", "Hostile", classes, 0.5, "CC0", "none")
    with DatasetWriter(tmp_path / "d", facts) as writer:
        ids = {i: i for i in range(1, 1 + len(classes))}
        image = np.full((8, 200, 3), 40_000, np.uint16)
        writer.add(field_from_table(fov, image, instances, ids, mpp=0.5, source="s", site="\x07bell" * 90))
    dataset = CellDataset(tmp_path / "d")
    rows = {"fov_id": fov, "cell_id": [1, 2, 3], "y_true": [1, 2, 3], "y_pred": [2, 3, 1], "tile": -1, "run_id": "r"}
    sheet = prediction_sheet(
        dataset, pd.DataFrame(rows), [fov], classes=dict(enumerate(HOSTILE, start=1)), title="\ud800 ti\ntle " * 99
    )
    assert sheet.width == 2 * MARGIN + 4 * 640 + 3 * GUTTER
