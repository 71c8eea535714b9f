from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cryostat.cells.dataset import CellDataset, Split, dataset_names
from cryostat.cells.field import CellClass, DatasetFacts, Field, field_from_semantic, field_from_table
from cryostat.cells.writer import DatasetWriter, write_split
from cryostat.core.errors import InputError, SettingError
from cryostat.core.files import safe_name
from cryostat.core.home import Home

FACTS = DatasetFacts(
    name="tiny",
    title="Tiny",
    classes=(CellClass(1, "round", "#ff0000"), CellClass(2, "long")),
    mpp=0.5,
    licence="CC0",
    citation="None",
    notes=("A note.",),
)
INSTANCES = np.array([[1, 1, 0], [0, 0, 5]], np.int64)


def field(fov: str = "a", classes: dict[int, int] | None = None, value: int = 7, **about: Any) -> Field:
    image = np.full((2, 3, 3), value, np.uint8)
    return field_from_table(fov, image, INSTANCES, classes or {1: 1, 5: 2}, mpp=0.5, source=f"{fov}.mat", **about)


def write(folder: Path, *fields: Field, facts: DatasetFacts = FACTS, overwrite: bool = False) -> CellDataset:
    with DatasetWriter(folder, facts, overwrite=overwrite) as writer:
        for one in fields:
            writer.add(one)
    return CellDataset(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "datasets/tiny"


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.parent.iterdir())


def test_the_tables_hold_what_was_added(folder: Path) -> None:
    dataset = write(folder, field("a", patient_id="p1", site="north", groups={"stage": "2"}), field("b"))
    assert left_behind(folder) == ["tiny"]
    assert dataset.fovs.loc["a", ["patient_id", "site", "group_stage", "height", "width", "source"]].tolist() == [
        "p1",
        "north",
        "2",
        2,
        3,
        "a.mat",
    ]
    assert dataset.fovs.loc["b", ["patient_id", "site", "group_stage"]].isna().all()
    columns = ["fov_id", "cell_id", "class_id", "area", "centroid_y", "centroid_x", "y0", "x0", "y1", "x1", "purity"]
    assert dataset.cells.columns.tolist() == columns
    assert dataset.cells.iloc[0].tolist() == ["a", 1, 1, 2, 0.0, 0.5, 0, 0, 1, 2, 1.0]
    assert dataset.cells.iloc[3].tolist() == ["b", 5, 2, 1, 1.0, 2.0, 1, 2, 2, 3, 1.0]


def test_dataset_toml_holds_the_facts(folder: Path) -> None:
    with DatasetWriter(folder, FACTS) as writer:
        writer.add(field())
        writer.note_source({"b.mat": "22", "a.mat": "11"})
        writer.add_notes(["Another note."])
    facts = CellDataset(folder).facts
    assert (facts["name"], facts["mpp"], facts["licence"], facts["fields"], facts["cells"]) == (
        "tiny",
        0.5,
        "CC0",
        1,
        2,
    )
    assert facts["notes"] == ["A note.", "Another note."]
    assert list(facts["source_sha256"].items()) == [("a.mat", "11"), ("b.mat", "22")]
    assert facts["classes"][0] == {"id": 1, "name": "round", "color": "#ff0000"}


def test_no_pickle_anywhere(folder: Path) -> None:
    write(folder, field())
    for path in folder.rglob("*.npy"):
        np.load(path, allow_pickle=False)


def test_small_ids_are_stored_in_16_bits_and_large_ones_in_32(folder: Path) -> None:
    large = field_from_table("b", np.zeros((1, 2, 3), np.uint8), np.array([[70_000, 0]]), {}, mpp=0.5, source="b")
    dataset = write(folder, field("a"), large)
    assert dataset.instances("a").dtype == np.uint16
    assert dataset.instances("b").dtype == np.int32
    assert dataset.instances("b").tolist() == [[70_000, 0]]


def test_a_pixel_map_is_kept_only_where_it_says_more(folder: Path) -> None:
    image, instances = np.zeros((1, 3, 3), np.uint8), np.array([[1, 1, 1]])
    plain = field_from_semantic("plain", image, instances, np.array([[2, 2, 2]]), mpp=0.5, source="")
    mixed = field_from_semantic("mixed", image, instances, np.array([[2, 2, 1]]), mpp=0.5, source="")
    dataset = write(folder, plain, mixed)
    assert [path.name for path in (folder / "semantic").iterdir()] == ["mixed.npy"]
    assert dataset.semantic("mixed").tolist() == [[2, 2, 1]]
    assert dataset.semantic("plain").tolist() == dataset.class_map("mixed").tolist() == [[2, 2, 2]]


@pytest.mark.parametrize("name", ["a/b", "../up", ".hidden", "Case 1 (left)", "ä", "a%2Fb"])
def test_any_name_of_a_field_is_a_safe_file(folder: Path, name: str) -> None:
    dataset = write(folder, field(name))
    assert dataset.image(name).shape == (2, 3, 3)
    assert len(list((folder / "images").iterdir())) == 1
    assert left_behind(folder) == ["tiny"]


class TestIdentity:
    def of(self, tmp_path: Path, *fields: Field, facts: DatasetFacts = FACTS) -> str:
        return write(tmp_path / "d", *fields, facts=facts, overwrite=True).identity

    def test_is_that_of_the_content_not_of_the_order(self, tmp_path: Path) -> None:
        assert self.of(tmp_path, field("a"), field("b")) == self.of(tmp_path, field("b"), field("a"))

    def test_does_not_depend_on_title_colours_notes_or_source(self, tmp_path: Path) -> None:
        other = replace(FACTS, title="T", notes=(), classes=(CellClass(1, "round"), CellClass(2, "long", "#00ff00")))
        assert self.of(tmp_path, field()) == self.of(tmp_path, replace(field(), source="x"), facts=other)

    @pytest.mark.parametrize(
        "change",
        [
            lambda: field(value=8),
            lambda: field(classes={1: 2, 5: 2}),
            lambda: field("b"),
            lambda: field(patient_id="p"),
            lambda: field(groups={"stage": "2"}),
            lambda: replace(field(), mpp=0.25),
        ],
    )
    def test_changes_with_pixels_classes_names_patients_and_scale(
        self, tmp_path: Path, change: Callable[[], Field]
    ) -> None:
        assert self.of(tmp_path, field()) != self.of(tmp_path, change())

    def test_changes_with_the_names_of_classes(self, tmp_path: Path) -> None:
        other = replace(FACTS, classes=(CellClass(1, "round"), CellClass(2, "spindle")))
        assert self.of(tmp_path, field()) != self.of(tmp_path, field(), facts=other)


class TestRefusals:
    @pytest.mark.parametrize(
        ("bad", "problem"),
        [
            (field("a"), "'a' occurs twice"),
            (replace(field("b"), fov_id=""), "occurs twice or is empty"),
            (replace(field("b"), fov_id="x" * 300), "too long for a file name"),
            (field("b", {1: 3}), "class id 3"),
            (replace(field("b"), mpp=0.0), "0.0 µm per pixel"),
            (replace(field("b"), mpp=float("nan")), "nan µm per pixel"),
            (replace(field("b"), image=np.zeros((2, 3, 3))), "float64"),
            (replace(field("b"), instances=INSTANCES[:1]), "1×3 but the image is 2×3"),
            (replace(field("b"), cell_ids=np.array([1, 2])), "not, ascending, the 2 of the instance map"),
            (replace(field("b"), semantic=np.zeros((2, 2), int)), "class map is 2×2"),
        ],
    )
    def test_a_bad_field_leaves_nothing_behind(self, folder: Path, bad: Field, problem: str) -> None:
        with pytest.raises(InputError, match=problem):
            write(folder, field("a"), bad)
        assert left_behind(folder) == []

    def test_no_fields_at_all(self, folder: Path) -> None:
        with pytest.raises(InputError, match="no field of view"):
            write(folder)
        assert left_behind(folder) == []

    @pytest.mark.parametrize("name", ["", "Upper", "a/b", "..", "-x"])
    def test_names_that_are_no_folder(self, folder: Path, name: str) -> None:
        with pytest.raises(SettingError, match="no dataset name"):
            write(folder, facts=replace(FACTS, name=name))

    @pytest.mark.parametrize(
        "classes",
        [
            (),
            (CellClass(0, "background"),),
            (CellClass(2, "b"), CellClass(1, "a")),
            (CellClass(1, "a"), CellClass(1, "b")),
            (CellClass(1, "a"), CellClass(2, "a")),
            (CellClass(1, ""),),
            (CellClass(5000, "a"),),
        ],
    )
    def test_class_tables_that_contradict_themselves(self, folder: Path, classes: tuple[CellClass, ...]) -> None:
        with pytest.raises(InputError):
            write(folder, facts=replace(FACTS, classes=classes))


class TestReplacing:
    def test_needs_to_be_asked_for(self, folder: Path) -> None:
        write(folder, field(value=1))
        with pytest.raises(SettingError, match="--overwrite"):
            write(folder, field(value=2))
        assert CellDataset(folder).image("a").max() == 1

    def test_puts_the_new_in_place_of_the_old(self, folder: Path) -> None:
        write(folder, field("old"))
        dataset = write(folder, field("new"), overwrite=True)
        assert dataset.fovs.fov_id.tolist() == ["new"]
        assert not (folder / "images/old.npy").exists()
        assert left_behind(folder) == ["tiny"]

    def test_keeps_the_old_when_the_new_fails(self, folder: Path) -> None:
        write(folder, field("old"))
        with pytest.raises(InputError):
            write(folder, field("new"), field("new"), overwrite=True)
        assert CellDataset(folder).fovs.fov_id.tolist() == ["old"]
        assert left_behind(folder) == ["tiny"]

    def test_brings_the_old_back_when_the_disk_refuses_the_new(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(folder, field("old"))
        put = Path.replace

        def refuse_drafts(self: Path, target: Path) -> Path:
            if "importing-" in self.name:
                raise OSError("no room")
            return put(self, target)

        monkeypatch.setattr(Path, "replace", refuse_drafts)
        with pytest.raises(OSError, match="no room"):
            write(folder, field("new"), overwrite=True)
        assert CellDataset(folder).fovs.fov_id.tolist() == ["old"]
        assert left_behind(folder) == ["tiny"]

    def test_of_two_imports_at_once_the_second_is_told(self, folder: Path) -> None:
        slow = DatasetWriter(folder, FACTS).__enter__()
        slow.add(field("slow"))
        write(folder, field("fast"))
        with pytest.raises(SettingError, match="another import meanwhile"):
            slow.__exit__(None, None, None)
        assert CellDataset(folder).fovs.fov_id.tolist() == ["fast"]
        assert left_behind(folder) == ["tiny"]


def test_a_killed_import_is_no_dataset(folder: Path) -> None:
    child = os.fork()
    if not child:
        with DatasetWriter(folder, FACTS) as writer:
            writer.add(field())
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert not folder.exists()
    assert dataset_names(Home(folder.parents[1])) == []
    assert write(folder, field()).fovs.fov_id.tolist() == ["a"]


def test_excluded_fields_are_listed_with_their_reason(folder: Path) -> None:
    with DatasetWriter(folder, FACTS) as writer:
        writer.add(field())
        writer.exclude("b", "is truncated")
    excluded = pd.read_parquet(folder / "excluded.parquet")
    assert excluded.to_dict("records") == [{"fov_id": "b", "reason": "is truncated"}]


PARTS = {"a": "train", "b": "valid", "c": "test"}


class TestSplits:
    def test_are_stored_beside_the_data(self, folder: Path) -> None:
        with DatasetWriter(folder, FACTS) as writer:
            for fov in PARTS:
                writer.add(field(fov))
            writer.add_splits([Split("base", PARTS), Split("by site/1", PARTS)])
            assert writer.fov_table().fov_id.tolist() == ["a", "b", "c"]
        dataset = CellDataset(folder)
        assert dataset.split_names() == ["base", "by site/1"]
        assert dataset.split("by site/1") == Split("by site/1", PARTS)

    @pytest.mark.parametrize(
        ("parts", "problem"),
        [
            ({**PARTS, "z": "test"}, "1 fields that the dataset lacks"),
            ({**PARTS, "a": "val"}, "a part 'val'"),
            ({"a": "train", "b": "valid"}, "no field in 'test'"),
            ({}, "no field in 'train'"),
        ],
    )
    def test_that_contradict_the_data_are_refused(self, tmp_path: Path, parts: dict[str, str], problem: str) -> None:
        with pytest.raises(InputError, match=problem):
            write_split(tmp_path, Split("base", parts), known=PARTS)
        assert not (tmp_path / "splits" / f"{safe_name('base')}.parquet").exists()


def test_the_next_import_sweeps_the_draft_of_a_killed_one_but_not_of_one_at_work(folder: Path) -> None:
    killed, at_work = (folder.parent / f".{folder.name}.importing-{name}" for name in ("killed", "atwork"))
    for draft in (killed, at_work):
        (draft / "images").mkdir(parents=True)
    long_ago = time.time() - 3 * 86_400
    for path in (killed / "images", killed, at_work):
        os.utime(path, (long_ago, long_ago))
    write(folder, field())
    assert not killed.exists()
    assert (at_work / "images").exists()
