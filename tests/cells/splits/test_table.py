from __future__ import annotations

import logging

import pytest

from cryostat.cells.splits import read_split_csv
from cryostat.core.errors import InputError


@pytest.fixture
def table(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "split.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def test_published_names_with_extensions_find_their_fields(table, small_dataset):
    dataset = small_dataset(["reg001_A", "reg001_B", "reg002_A", "reg002_B"])
    path = table(
        "sample_name,train_test_val_split\r\nreg002_A.hdf,train\r\nreg001_A.hdf,test\r\nreg001_B.hdf,valid\r\n",
        "utf-8-sig",
    )
    split = read_split_csv(path, "published", dataset)
    assert split.name == "published"
    assert list(split.parts.items()) == [("reg002_A", "train"), ("reg001_A", "test"), ("reg001_B", "valid")]


def test_names_without_extensions_find_fields_that_carry_one(table, small_dataset):
    dataset = small_dataset(["a.hdf", "b.hdf", "c.hdf"])
    path = table("sample_name,train_test_val_split\na,train\nb,valid\nc,test\n")
    assert set(read_split_csv(path, "s", dataset).parts) == {"a.hdf", "b.hdf", "c.hdf"}


def test_integer_names_stay_text(table, small_dataset):
    dataset = small_dataset(["1", "2", "03"])
    path = table("sample_name,train_test_val_split\n1,train\n2,valid\n03,test\n")
    assert read_split_csv(path, "s", dataset).fovs("test") == ["03"]


def test_val_is_read_as_valid_and_said(table, small_dataset, caplog):
    dataset = small_dataset(["a", "b", "c"])
    path = table("sample_name,train_test_val_split\na,train\nb,val\nc,test\n")
    with caplog.at_level(logging.WARNING):
        assert read_split_csv(path, "s", dataset).fovs("valid") == ["b"]
    assert "'val' as 'valid' in 1 rows" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("sample_name,train_test_val_split\n", "lacks rows"),
        ("name,part\na,train\n", "lacks rows or the columns"),
        ("sample_name,train_test_val_split\na,train\nb,holdout\nc,test\n", "line 3 puts 'b' into 'holdout'"),
        ("sample_name,train_test_val_split\na,train\nb\nc,test\n", "line 3 puts 'b' into ''"),
        ("sample_name,train_test_val_split\na,train\na,test\nb,valid\n", "names 'a' twice"),
        ("sample_name,train_test_val_split\na,train\na.png,train\nb,valid\n", "names 'a' twice"),
        ("sample_name,train_test_val_split\na,train\nb,train\nc,test\n", "no field in 'valid'"),
        ("sample_name,train_test_val_split\na,train\nb,valid\nx,test\ny,test\n", "names 2 fields .* x, y"),
        ("sample_name,train_test_val_split\na_TILE_0,train\nb_TILE_1,valid\n", "divides tiles"),
    ],
)
def test_bad_tables_are_refused_by_name(table, small_dataset, text, message):
    dataset = small_dataset(["a", "b", "c"])
    with pytest.raises(InputError, match=message):
        read_split_csv(table(text), "s", dataset)


def test_bytes_that_are_no_text_are_refused(tmp_path, small_dataset):
    path = tmp_path / "split.csv"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe\x00\x00")
    with pytest.raises(InputError):
        read_split_csv(path, "s", small_dataset(["a", "b", "c"]))


def test_a_missing_table_is_refused(tmp_path, small_dataset):
    with pytest.raises(InputError, match="does not exist"):
        read_split_csv(tmp_path / "none.csv", "s", small_dataset(["a", "b", "c"]))
