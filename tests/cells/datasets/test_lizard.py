from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from PIL import Image

from cryostat.cells.datasets.lizard import FACTS, class_table
from cryostat.core.errors import InputError, SettingError

LABELS = "lizard_labels/Lizard_Labels/Labels"

# Ids 5 and 9 have a class, 2 has none; the table's order is not the map's.
MAP = np.array([[5, 5, 0, 2], [0, 0, 0, 2], [9, 9, 9, 0]], np.int32)
TABLE = {"id": [[9], [5]], "class": [[6], [1]]}


def put(folder: Path, name: str, half: int = 1, **changes: Any) -> None:
    """One image and its label file in the released layout; keywords replace variables of the file."""
    images = folder / f"lizard_images{half}/Lizard_Images{half}"
    images.mkdir(parents=True, exist_ok=True)
    (folder / LABELS).mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(36, dtype=np.uint8).reshape(3, 4, 3)).save(images / f"{name}.png")
    scipy.io.savemat(folder / LABELS / f"{name}.mat", {"inst_map": MAP, **TABLE, **changes}, do_compression=True)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    for half, name in ((1, "crag_10"), (2, "crag_9"), (1, "glas_1")):
        put(tmp_path / "release", name, half)
    return tmp_path / "release"


def test_class_goes_by_id_and_a_nucleus_without_row_has_none(release: Path, import_into_home: Callable) -> None:
    cells = import_into_home("lizard", release).cells_of("crag_9")
    assert dict(zip(cells.cell_id, cells.class_id, strict=True)) == {2: 0, 5: 1, 9: 6}
    assert cells.area.tolist() == [2, 2, 3]


def test_fields_in_numeric_order_with_their_centre(release: Path, import_into_home: Callable) -> None:
    dataset = import_into_home("lizard", release)
    assert dataset.fovs.fov_id.tolist() == ["crag_9", "crag_10", "glas_1"]
    assert dataset.fovs.site.tolist() == ["crag", "crag", "glas"]
    assert dataset.fovs.patient_id.isna().all()
    assert dataset.mpp("glas_1") == 0.5
    assert dataset.image("glas_1")[2, 3].tolist() == [33, 34, 35]
    assert sorted(dataset.facts["source_sha256"]) == [f"{LABELS}/{n}.mat" for n in ("crag_10", "crag_9", "glas_1")]


def test_what_macos_leaves_in_archives_is_passed_over(release: Path, import_into_home: Callable) -> None:
    (release / "__MACOSX").mkdir()
    (release / "__MACOSX/glas_1.png").write_bytes(b"junk")
    (release / LABELS / "._glas_1.mat").write_bytes(b"junk")
    assert len(import_into_home("lizard", release).fovs) == 3


@pytest.mark.parametrize("shape", [(2, 1), (1, 2)])
def test_columns_may_lie_down(tmp_path: Path, shape: tuple[int, int], import_into_home: Callable) -> None:
    put(tmp_path / "r", "glas_1", id=np.reshape([9, 5], shape), **{"class": np.reshape([6.0, 1.0], shape)})
    assert import_into_home("lizard", tmp_path / "r").cells.class_id.tolist() == [0, 1, 6]


def test_one_nucleus_is_enough(tmp_path: Path, import_into_home: Callable) -> None:
    put(tmp_path / "r", "glas_1", inst_map=np.minimum(MAP, 1), id=1, **{"class": 4})
    assert import_into_home("lizard", tmp_path / "r").cells.class_id.tolist() == [4]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"id": [[5], [5]]}, "id 5 more than one row"),
        ({"id": [[5], [7]]}, "1 nuclei that are not in the instance map (first: 7)"),
        ({"id": [[5], [0]]}, "nucleus 0"),
        ({"class": [[7], [1]]}, "class 7; ids start at 1 and classes are 1 to 6"),
        ({"class": [[0], [1]]}, "class 0"),
        ({"class": [[1], [1], [1]]}, "2 ids but 3 classes"),
        ({"class": [[1.5], [1]]}, "something else than whole numbers"),
        ({"inst_map": MAP / 9}, "something else than whole numbers"),
        ({"inst_map": MAP - 1}, "ids outside"),
        ({"inst_map": MAP[:2]}, "2×4 but the image is 3×4"),
        ({"inst_map": np.dstack([MAP, MAP])}, "shape (3, 4, 2)"),
        ({"inst_map": "text"}, "MATLAB class char"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, changes: dict, problem: str, refused: Callable) -> None:
    put(tmp_path / "r", "glas_1")
    put(tmp_path / "r", "glas_2", **changes)
    error = refused("lizard", tmp_path / "r")
    assert isinstance(error, InputError)
    assert problem in str(error)
    assert "glas_2.mat" in str(error)


def test_damaged_files_are_refused_or_left_out(release: Path, refused: Callable, import_into_home: Callable) -> None:
    labels = release / LABELS / "crag_10.mat"
    labels.write_bytes(labels.read_bytes()[:150])
    assert "crag_10.mat: is damaged or truncated" in str(refused("lizard", release))
    dataset = import_into_home("lizard", release, skip_bad=True)
    assert dataset.fovs.fov_id.tolist() == ["crag_9", "glas_1"]
    assert (dataset.folder / "excluded.parquet").exists()


def test_a_png_that_is_not_one(release: Path, refused: Callable) -> None:
    next(release.rglob("glas_1.png")).write_text("<html>not found</html>")
    assert "glas_1.png: is not an image" in str(refused("lizard", release))


def test_missing_halves(release: Path, tmp_path: Path, refused: Callable) -> None:
    next(release.rglob("glas_1.png")).unlink()
    assert "'glas_1' has no image" in str(refused("lizard", release))
    for path in release.rglob("*.mat"):
        path.unlink()
    assert "holds no .mat file" in str(refused("lizard", release))
    (tmp_path / "empty").mkdir()
    assert "is an empty folder" in str(refused("lizard", tmp_path / "empty"))


def test_two_copies_are_refused(release: Path, refused: Callable) -> None:
    put(release, "glas_1", half=2)
    assert "have one name" in str(refused("lizard", release))


def test_options_that_do_not_concern_it(release: Path, refused: Callable) -> None:
    assert isinstance(refused("lizard", release, mpp=0.25), SettingError)
    assert isinstance(refused("lizard", release, settings={"types": "raw"}), SettingError)
    assert isinstance(refused("lizard", release, limit=0), SettingError)


def test_a_clinical_table_names_patients_and_groups(release: Path, tmp_path: Path, import_into_home: Callable) -> None:
    table = tmp_path / "clinical.csv"
    table.write_text("fov_id,patient_id,stage\ncrag_9,007,2\ncrag_10,007,2\n")
    dataset = import_into_home("lizard", release, clinical=table)
    assert dataset.fovs.patient_id.tolist()[:2] == ["007", "007"]
    assert dataset.fovs.group_stage.tolist()[:2] == ["2", "2"]
    assert dataset.fovs.patient_id.isna().tolist() == [False, False, True]
    assert any("clinical.csv does not know" in note for note in dataset.facts["notes"])


def test_a_clinical_table_of_other_data_is_refused(release: Path, tmp_path: Path, refused: Callable) -> None:
    (tmp_path / "clinical.csv").write_text("fov_id,stage\nother_1,2\n")
    assert "knows none of the fields" in str(refused("lizard", release, clinical=tmp_path / "clinical.csv"))


def test_class_table_maps_ids() -> None:
    assert class_table(np.array([[3], [1]]), np.array([[6], [2]]), Path("x.mat")) == {3: 6, 1: 2}


def test_facts() -> None:
    assert [c.id for c in FACTS.classes] == [1, 2, 3, 4, 5, 6]
    assert len({c.color for c in FACTS.classes}) == 6


def test_forged_release_gives_exactly_the_printed_counts(
    forge: Callable, import_into_home: Callable, counted: Callable
) -> None:
    folder, counts = forge("lizard", 5)
    dataset = import_into_home("lizard", folder)
    assert counted(dataset) == counts
    assert sorted(dataset.fovs.site) == ["consep", "crag", "dpath", "glas", "pannuke"]
    assert "glas-partial" in dataset.split_names()
