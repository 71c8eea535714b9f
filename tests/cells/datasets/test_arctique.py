from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cryostat.cells.datasets import ImportOptions, import_dataset
from cryostat.core.errors import InputError, SettingError
from cryostat.core.home import Home

SIDE = 64
PINK, VIOLET = (230, 160, 200), (90, 60, 140)


def nuclei(seed: int) -> NDArray[np.uint16]:
    """16 nuclei of 6×6 px, one in each cell of a grid, none of them on its own mirror image."""
    rng = np.random.default_rng(seed)
    instances = np.zeros((SIDE, SIDE), np.uint16)
    for k in range(16):
        y, x = 16 * (k // 4) + rng.integers(0, 4), 16 * (k % 4) + rng.integers(6, 10)
        instances[y : y + 6, x : x + 6] = k + 1
    return instances


def stained(instances: NDArray[np.uint16], seed: int = 0) -> NDArray[np.uint8]:
    image = np.where(instances[..., None] > 0, VIOLET, PINK) + np.random.default_rng(seed).integers(
        -9, 9, (SIDE, SIDE, 3)
    )
    return image.astype(np.uint8)


def put(folder: Path, number: int, *, turned: bool = False, ending: str = "tif") -> None:
    instances = nuclei(number)
    semantic = np.where(instances > 0, 1 + instances % 5, 0).astype(np.uint8)
    for sub in ("images", "masks/semantic", "masks/instance"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    image = stained(instances.T if turned else instances, number)
    Image.fromarray(image).save(folder / f"images/img_{number}.png")
    for name, array in (("semantic", semantic), ("instance", instances)):
        Image.fromarray(array).save(folder / f"masks/{name}/{number}.{ending}", format="TIFF")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for number in (1, 2, 10):
        put(tmp_path / "release/train", number)
    put(tmp_path / "release/test", 7)
    return tmp_path / "release"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def settings(**given: str) -> ImportOptions:
    return ImportOptions(settings=given)


def left_over(home: Home) -> list[Path]:
    return list(home.datasets.iterdir()) if home.datasets.exists() else []


def test_both_parts_in_numeric_order(source: Path, home: Home) -> None:
    dataset = import_dataset("arctique", source, home)
    assert list(dataset.fovs.index) == ["1", "2", "10", "7"]
    assert dataset.fovs["group_release_part"].tolist() == ["train", "train", "train", "test"]
    assert set(dataset.fovs["mpp"]) == {0.29}
    assert np.array_equal(dataset.instances("2"), nuclei(2))
    # Ids 1 … 16 carry the classes 1 + id % 5: three of each, and a fourth of class 2 (ids 1, 6, 11, 16).
    assert Counter(dataset.cells_of("2")["class_id"]) == {1: 3, 2: 4, 3: 3, 4: 3, 5: 3}


def test_flat_folder_and_tiff_bytes_under_a_png_name(tmp_path: Path, home: Home) -> None:
    put(tmp_path / "flat", 3, ending="png")
    dataset = import_dataset("arctique", tmp_path / "flat", home)
    assert np.array_equal(dataset.instances("3"), nuclei(3))
    assert "group_release_part" not in dataset.fovs


def test_ids_used_by_both_parts_get_the_part_in_front(source: Path, home: Home) -> None:
    put(source / "test", 2)
    assert list(import_dataset("arctique", source, home).fovs.index) == ["1", "train_2", "10", "test_2", "7"]


def test_transposed_masks_are_refused_and_can_be_turned(tmp_path: Path, home: Home) -> None:
    put(tmp_path / "turned", 4, turned=True)
    with pytest.raises(InputError, match=r"img_4.png.*--set orientation=transposed"):
        import_dataset("arctique", tmp_path / "turned", home)
    assert left_over(home) == []
    dataset = import_dataset("arctique", tmp_path / "turned", home, options=settings(orientation="transposed"))
    assert np.array_equal(dataset.instances("4"), nuclei(4).T)
    unchecked = import_dataset(
        "arctique", tmp_path / "turned", home, options=settings(alignment="skip"), overwrite=True
    )
    assert np.array_equal(unchecked.instances("4"), nuclei(4))


def test_turning_masks_that_fit_is_refused(source: Path, home: Home) -> None:
    with pytest.raises(InputError, match="orientation=as-stored"):
        import_dataset("arctique", source, home, options=settings(orientation="transposed"))


def test_true_ids_of_the_generator_are_preferred_to_their_pictures(tmp_path: Path, home: Home) -> None:
    put(tmp_path / "out", 5)
    for kind in ("semantic", "instance"):
        folder = tmp_path / "out/masks" / kind
        folder.rename(folder.with_name(f"{kind}_indexing"))
        folder.mkdir()
        Image.fromarray(stained(nuclei(5))).save(folder / "5.png")
    assert len(import_dataset("arctique", tmp_path / "out", home).cells) == 16


def spoil(source: Path, kind: str) -> str:
    mask = source / "train/masks/instance/2.tif"
    if kind == "float":
        Image.fromarray(nuclei(2).astype(np.float32)).save(mask)
    elif kind == "small":
        Image.fromarray(nuclei(2)[:60]).save(mask)
    elif kind == "class":
        Image.fromarray(np.where(nuclei(2) > 0, 6, 0).astype(np.uint8)).save(source / "train/masks/semantic/2.tif")
    elif kind == "truncated":
        mask.write_bytes(mask.read_bytes()[:500])
    elif kind == "no mask":
        mask.unlink()
    elif kind == "no image":
        (source / "train/images/img_2.png").unlink()
    elif kind == "no png":
        (source / "train/images/img_2.png").write_text("<html>")
    elif kind == "name":
        (source / "train/images/img_2.png").rename(source / "train/images/second.png")
    elif kind == "twice":
        Image.fromarray(stained(nuclei(2))).save(source / "train/images/img_2.jpg")
    return kind


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("float", "2.tif"),
        ("small", "60×64 but the image is 64×64"),
        ("class", "class id 6"),
        ("truncated", "2.tif"),
        ("no mask", "no instance mask for '2'"),
        ("no image", "no image for '2'"),
        ("no png", "img_2.png"),
        ("name", "second.png"),
        ("twice", "img_2.jpg and img_2.png"),
    ],
)
def test_malformed_releases_are_refused(source: Path, home: Home, kind: str, message: str) -> None:
    spoil(source, kind)
    with pytest.raises(InputError, match=message):
        import_dataset("arctique", source, home)
    assert left_over(home) == []


def test_other_folders_and_options_are_refused(tmp_path: Path, source: Path, home: Home) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").write_text("a")
    with pytest.raises(InputError, match="neither train/images, test/images nor images"):
        import_dataset("arctique", tmp_path / "other", home)
    with pytest.raises(SettingError, match="no setting 'flip'"):
        import_dataset("arctique", source, home, options=settings(flip="yes"))


def test_forged_release_has_the_printed_counts(shared: Path, tmp_path: Path, home: Home) -> None:
    command = [sys.executable, shared / "data/forge.py", "arctique", shared / "data/consep/Train", tmp_path / "forged"]
    printed = json.loads(subprocess.run([*command, "--limit", "8"], capture_output=True, check=True, text=True).stdout)
    dataset = import_dataset("arctique", tmp_path / "forged", home)
    assert Counter(dataset.cells["class_id"]) == {int(key): count for key, count in printed.items()}
    assert dict(dataset.fovs["group_release_part"].value_counts()) == {"train": 6, "test": 2}
