from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from cryostat.cells.pictures.runs import _title, picture_run
from cryostat.cells.pictures.sheet import GUTTER, MARGIN, PANEL
from cryostat.core.errors import IdentityError, InputError, SettingError
from cryostat.results.records import RunRecord


def width(columns):
    return 2 * MARGIN + columns * PANEL + (columns - 1) * GUTTER


def changed(run, **facts):
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | facts))
    return RunRecord.load(run)


def test_a_run_is_drawn_as_often_as_asked(home, run):
    record = RunRecord.load(run)
    one = picture_run(record, home, fields=1)
    # The median field is d.
    two = picture_run(record, home, fovs=["d", "b", "d"])
    assert one.width == two.width == width(4)
    assert two.height - one.height > PANEL
    below_heads = slice(260, 260 + PANEL)
    assert (np.asarray(one)[below_heads] == np.asarray(two)[below_heads]).all()


def test_its_own_nuclei_make_a_fifth_column(home, run):
    (run / "segments").mkdir()
    record = RunRecord.load(run)
    assert picture_run(record, home, fields=1).width == width(4)
    arrays = {"instances": np.eye(100, dtype=np.int32), "cell_ids": np.array([1]), "class_ids": np.array([2])}
    np.savez(run / "segments" / "d.npz", **arrays)
    assert picture_run(record, home, fields=1).width == width(5)


def test_the_title_says_what_was_run(run):
    assert (
        _title(RunRecord.load(run))
        == "vit · linear on squares, split base, 0.1 of the training data, seed 3, protocol standard"
    )


def test_unknown_fields_are_named_with_some_that_are_known(home, run):
    with pytest.raises(SettingError) as caught:
        picture_run(RunRecord.load(run), home, fovs=["a", "z"])
    assert "'z'" in caught.value.problem
    assert "a, b, c, d, e" in caught.value.remedy


def test_another_dataset_of_the_name_or_none_is_refused(home, run):
    with pytest.raises(IdentityError, match="identity abc"):
        picture_run(changed(run, identity={"dataset": "abc"}), home)
    shutil.rmtree(home.datasets / "squares")
    with pytest.raises(SettingError, match="no dataset 'squares'"):
        picture_run(RunRecord.load(run), home)


def test_records_that_cannot_be_drawn_are_refused(home, run):
    with pytest.raises(InputError, match="does not name its dataset"):
        picture_run(changed(run, settings={}), home)
    with pytest.raises(SettingError, match="benchmark 'cases'"):
        picture_run(changed(run, benchmark="cases"), home)
