from __future__ import annotations

import pytest

from cryostat.cells.field import CellClass
from cryostat.cells.scoring.names import ClassNames, FieldNames
from cryostat.core.errors import InputError


def test_fields_are_found_by_id_ending_or_safe_name():
    fields = FieldNames(["crag_1", "reg_A.hdf", "a/b", "v1.2"])
    assert fields.find("crag_1") == fields.find("crag_1.png") == "crag_1"
    assert fields.find("reg_A") == fields.find("reg_A.hdf") == fields.find("reg_A.png") == "reg_A.hdf"
    assert fields.find("a%2Fb") == "a/b"
    assert fields.find("v1.2") == "v1.2"
    assert fields.find("v1") is None
    assert fields.find("") is None


def test_names_that_two_fields_share_are_none():
    fields = FieldNames(["x.png", "x.tif"])
    assert fields.find("x") is None
    assert fields.find("x.tif") == "x.tif"


def test_classes_are_found_by_name_or_id():
    classes = ClassNames([CellClass(1, "NK cells"), CellClass(12, "B")])
    assert [classes.find(text) for text in ("NK cells", " nk CELLS ", "1", "1.0", "b", "12", "0", "Background")] == [
        1,
        1,
        1,
        1,
        12,
        12,
        0,
        0,
    ]
    assert classes.find("2") is None
    with pytest.raises(InputError, match=r"Use 1 \(NK cells\), 12 \(B\)"):
        classes.require(["B", "T"], "p.csv")
