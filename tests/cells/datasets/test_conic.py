from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cryostat.core.errors import InputError

COUNTS = "neutrophil,epithelial,lymphocyte,plasma,eosinophil,connective\n"


def patches(n: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Patch i has two nuclei: 3 (class 2) and 4 (class 6)."""
    images = np.zeros((n, 256, 256, 3), np.uint8) + np.arange(n, dtype=np.uint8)[:, None, None, None]
    labels = np.zeros((n, 256, 256, 2), np.int32)
    labels[:, 10:14, 10:15] = 3, 2
    labels[:, 200:202, 50:53] = 4, 6
    return images, labels


def put(folder: Path, n: int = 2, **arrays: NDArray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = patches(n)
    for name, array in ({"images": images, "labels": labels} | arrays).items():
        np.save(folder / f"{name}.npy", array)
    return folder


def test_patches_and_their_nuclei(tmp_path: Path, import_into_home: Callable) -> None:
    dataset = import_into_home("conic", put(tmp_path / "r"))
    assert dataset.fovs.fov_id.tolist() == ["patch_0000", "patch_0001"]
    assert dataset.mpp("patch_0001") == 0.5
    assert dataset.image("patch_0001").max() == 1
    cells = dataset.cells_of("patch_0001")
    assert cells[["cell_id", "class_id", "area"]].to_numpy().tolist() == [[3, 2, 20], [4, 6, 6]]
    assert cells[["y0", "x0", "y1", "x1"]].to_numpy().tolist() == [[10, 10, 14, 15], [200, 50, 202, 53]]


def test_patch_info_names_image_and_centre(tmp_path: Path, import_into_home: Callable) -> None:
    release = put(tmp_path / "r", 6)
    names = ["glas_1-0000", "glas_1-0001", "crag_2-0000", "crag_2-0001", "dpath_3-0000", "dpath_3-0001"]
    (release / "patch_info.csv").write_text("patch_info\n" + "\n".join(names) + "\n")
    dataset = import_into_home("conic", release)
    assert dataset.fovs.site.tolist() == ["glas", "glas", "crag", "crag", "dpath", "dpath"]
    assert dataset.fovs.group_source_image.tolist()[::2] == ["glas_1", "crag_2", "dpath_3"]
    assert dataset.fovs.patient_id.isna().all()
    parts = dataset.split("holdout").parts
    assert all(parts[f"patch_000{i}"] == parts[f"patch_000{i + 1}"] for i in (0, 2, 4))


def test_counts_may_be_fewer_than_the_patch_holds_but_not_more(
    tmp_path: Path, refused: Callable, import_into_home: Callable
) -> None:
    release = put(tmp_path / "r")
    (release / "counts.csv").write_text(COUNTS + "0,1,0,0,0,1\n0,2,0,0,0,0\n")
    assert "1 epithelial nuclei where counts.csv counts 2" in str(refused("conic", release))
    (release / "counts.csv").write_text(COUNTS + "0,1,0,0,0,1\n0,0,0,0,0,1\n")
    assert len(import_into_home("conic", release).cells) == 4


def test_counts_of_other_patches_are_passed_over(tmp_path: Path, import_into_home: Callable) -> None:
    release = put(tmp_path / "r")
    (release / "counts.csv").write_text(COUNTS + "9,9,9,9,9,9\n" * 3)
    assert len(import_into_home("conic", release).fovs) == 2


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"labels": patches(2)[1].astype(np.float32)}, "float32 of shape (2, 256, 256, 2), not integers"),
        ({"labels": patches(3)[1]}, "(3, 256, 256, 2)"),
        ({"labels": patches(2)[1][..., 0]}, "(2, 256, 256)"),
        ({"images": patches(2)[0].astype(np.float64)}, "not uint8"),
        ({"images": patches(2)[0][:, :128]}, "(2, 128, 256, 3)"),
        ({"labels": np.array([{}], object)}, "holds pickled Python objects"),
        ({"labels": patches(2)[1] * 2}, "class id 12"),
        ({"labels": patches(2)[1][..., ::-1] * 600}, "swapped"),
        ({"labels": -patches(2)[1]}, "ids outside"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, arrays: dict, problem: str, refused: Callable) -> None:
    error = refused("conic", put(tmp_path / "r", **arrays))
    assert isinstance(error, InputError)
    assert problem in str(error)


def test_truncated_labels(tmp_path: Path, refused: Callable) -> None:
    path = put(tmp_path / "r") / "labels.npy"
    path.write_bytes(path.read_bytes()[:5000])
    assert "labels.npy: is damaged or truncated" in str(refused("conic", tmp_path / "r"))


def test_images_alone_are_refused(tmp_path: Path, refused: Callable) -> None:
    (put(tmp_path / "r") / "labels.npy").unlink()
    assert "no labels.npy" in str(refused("conic", tmp_path / "r"))


def test_a_patch_table_of_another_length(tmp_path: Path, refused: Callable) -> None:
    (put(tmp_path / "r") / "patch_info.csv").write_text("patch_info\nglas_1-0000\n")
    assert "names 1 patches for 2 images" in str(refused("conic", tmp_path / "r"))


def test_real_patches_without_masks_are_refused(shared: Path, refused: Callable) -> None:
    assert "without masks" in str(refused("conic", shared / "data/nuclei/conic_images"))


def test_forged_release_gives_exactly_the_printed_counts(
    forge: Callable, import_into_home: Callable, counted: Callable
) -> None:
    folder, counts = forge("conic", 8)
    assert counted(import_into_home("conic", folder)) == counts
