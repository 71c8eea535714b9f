from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cryostat.cells.dataset import Split
from cryostat.cells.datasets import importing
from cryostat.cells.datasets.importing import (
    FORMATS,
    FieldSource,
    ImportOptions,
    Listing,
    import_dataset,
    load_format,
)
from cryostat.cells.field import CellClass, DatasetFacts, Field, field_from_table
from cryostat.core.errors import InputError, SettingError
from cryostat.core.home import Home

FACTS = DatasetFacts("drawn", "Drawn", (CellClass(1, "round"),), 0.5, "CC0", "None")


class Drawn:
    """A format of three fields, of which those in `bad` cannot be read; it notes what was asked of it."""

    FACTS = FACTS

    def __init__(self, bad: str = "") -> None:
        self.bad, self.loaded = bad, ""

    def listing(self, source: Path, options: ImportOptions) -> Listing:
        sources = [FieldSource(fov, lambda fov=fov: self.load(fov)) for fov in "abc"]
        return Listing(
            FACTS,
            sources,
            splits=lambda fovs: (
                [Split("base", dict(zip(fovs.fov_id, ("train", "valid", "test"), strict=True)))]
                if len(fovs) == 3
                else []
            ),
            checksums={"a.png": "00"},
            remarks=lambda: [f"Loaded {self.loaded}."],
        )

    def load(self, fov: str) -> Field:
        self.loaded += fov
        if fov in self.bad:
            raise InputError("is truncated", where=f"{fov}.png", remedy="Download it again")
        instances = np.array([[0, 1]])
        return field_from_table(fov, np.zeros((1, 2, 3), np.uint8), instances, {1: 1}, mpp=0.5, source=fov)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "release").mkdir()
    (tmp_path / "release/file").touch()
    return tmp_path / "release"


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Drawn], Drawn]:
    def put(drawn: Drawn) -> Drawn:
        monkeypatch.setattr(importing, "load_format", lambda name: drawn)
        return drawn

    return put


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_facts_and_a_listing(name: str) -> None:
    reader = load_format(name)
    assert callable(reader.listing)
    for one in reader.FACTS.classes:
        assert one.color == "" or (len(one.color) == 7 and int(one.color[1:], 16) >= 0)


def test_an_unknown_format_lists_the_known() -> None:
    with pytest.raises(SettingError, match=r"no format 'tcga'.*lizard, pannuke"):
        load_format("tcga")


def test_fields_splits_checksums_and_remarks_are_kept(home: Home, source: Path, use: Callable) -> None:
    use(Drawn())
    dataset = import_dataset("drawn", source, home)
    assert dataset.folder == home.datasets / "drawn"
    assert dataset.split("base").parts == {"a": "train", "b": "valid", "c": "test"}
    assert dataset.facts["source_sha256"] == {"a.png": "00"}
    assert dataset.facts["notes"] == ["Loaded abc."]


def test_another_name_and_a_limit(home: Home, source: Path, use: Callable) -> None:
    drawn = use(Drawn())
    dataset = import_dataset("drawn", source, home, name="two", options=ImportOptions(limit=2))
    assert dataset.folder == home.datasets / "two"
    assert dataset.name == "two"
    assert drawn.loaded == "ab"
    assert dataset.split_names() == []


def test_a_bad_field_stops_the_import_and_leaves_nothing(home: Home, source: Path, use: Callable) -> None:
    drawn = use(Drawn(bad="b"))
    with pytest.raises(InputError, match=r"b\.png: is truncated"):
        import_dataset("drawn", source, home)
    assert drawn.loaded == "ab"
    assert list(home.datasets.iterdir()) == []


def test_or_is_left_out_on_request(home: Home, source: Path, use: Callable) -> None:
    use(Drawn(bad="b"))
    assert import_dataset("drawn", source, home, skip_bad=True).fovs.fov_id.tolist() == ["a", "c"]


def test_nothing_readable_is_no_dataset(home: Home, source: Path, use: Callable) -> None:
    use(Drawn(bad="abc"))
    with pytest.raises(InputError, match="no field of view could be read"):
        import_dataset("drawn", source, home, skip_bad=True)
    assert list(home.datasets.iterdir()) == []


def test_a_taken_name_is_told_before_a_pixel_is_read(home: Home, source: Path, use: Callable) -> None:
    use(Drawn())
    import_dataset("drawn", source, home)
    drawn = use(Drawn())
    with pytest.raises(SettingError, match="--overwrite"):
        import_dataset("drawn", source, home)
    assert drawn.loaded == ""
    import_dataset("drawn", source, home, overwrite=True)


def test_sources_and_limits_that_are_none(home: Home, source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        import_dataset("lizard", tmp_path / "nowhere", home)
    with pytest.raises(InputError, match="a file, not a folder"):
        import_dataset("lizard", source / "file", home)
    with pytest.raises(SettingError, match="limit of -1"):
        import_dataset("lizard", source, home, options=ImportOptions(limit=-1))


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_makes_something_of_an_unrelated_folder(name: str, tmp_path: Path, refused: Callable) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/readme.txt").write_text("nothing here")
    refused(name, tmp_path / "folder")
