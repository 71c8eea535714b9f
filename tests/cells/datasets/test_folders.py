from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryostat.cells.datasets.folders import IMAGES, by_stem, numeric_order, read_label_map, read_pixels, table_in
from cryostat.core.errors import InputError


def test_numbers_in_names_are_ordered_as_numbers() -> None:
    names = ["img_10", "img_9", "b", "img_9a", "a2", "a10b1", "a10"]
    assert sorted(names, key=numeric_order) == ["a2", "a10", "a10b1", "b", "img_9", "img_9a", "img_10"]


def test_hidden_files_and_other_kinds_are_passed_over(tmp_path: Path) -> None:
    for name in (".a.png", "b.PNG", "c.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert list(by_stem(tmp_path, IMAGES)) == ["b"]
    (tmp_path / "b.PNG").unlink()
    with pytest.raises(InputError, match="holds no"):
        by_stem(tmp_path, IMAGES)


def test_tables_are_found_in_any_form(tmp_path: Path) -> None:
    assert table_in(tmp_path, "cells.csv") is None
    (tmp_path / "cells.parquet").write_bytes(b"x")
    assert table_in(tmp_path, "cells.csv") == tmp_path / "cells.parquet"


def test_arrays_that_are_no_label_maps(tmp_path: Path) -> None:
    for array in (np.zeros(4, int), np.zeros((2, 2), bool), np.full((2, 2), 0.5), np.full((2, 2), -1)):
        np.save(tmp_path / "a.npy", array)
        with pytest.raises(InputError, match=r"a.npy"):
            read_label_map(tmp_path / "a.npy")


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    for read in (read_pixels, read_label_map):
        with pytest.raises(InputError, match="pickled"):
            read(tmp_path / "a.npy")
