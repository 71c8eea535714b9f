from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from cryostat.cells.datasets.pannuke import class_map, instance_map, whole_instance_map
from cryostat.core.errors import InputError

NEOPLASTIC, INFLAMMATORY, CONNECTIVE, DEAD, EPITHELIAL, BACKGROUND = range(6)
CLASS = {NEOPLASTIC: 5, INFLAMMATORY: 4, CONNECTIVE: 3, DEAD: 2, EPITHELIAL: 1}


def masks_of(rows: dict[int, list[list[int]]]) -> NDArray[np.float64]:
    """Masks from maps of ids by channel, background where no nucleus is."""
    masks = np.zeros((*np.shape(next(iter(rows.values()))), 6))
    for channel, ids in rows.items():
        masks[..., channel] = ids
    if BACKGROUND not in rows:
        masks[..., BACKGROUND] = masks[..., :5].max(-1) == 0
    return masks


def put_fold(folder: Path, masks: NDArray, *, images: NDArray | None = None, types: NDArray | None = None) -> None:
    """One fold, its three arrays in one folder."""
    folder.mkdir(parents=True, exist_ok=True)
    n = len(masks)
    plain = np.arange(n * 12, dtype=np.float64).reshape(n, 2, 2, 3)
    np.save(folder / "masks.npy", masks)
    np.save(folder / "images.npy", plain if images is None else images)
    np.save(folder / "types.npy", np.array(["Colon", "Breast"] * n)[:n] if types is None else types)


ONE = masks_of({CONNECTIVE: [[3, 3], [0, 0]], DEAD: [[0, 0], [0, 8]]})
TILES = np.stack([ONE, ONE])


@pytest.mark.parametrize("channel", CLASS)
def test_channels_become_the_documented_classes(channel: int) -> None:
    assert class_map(masks_of({channel: [[4, 0]]})).tolist() == [[CLASS[channel], 0]]


def test_on_an_overlap_the_largest_id_wins() -> None:
    masks = masks_of({NEOPLASTIC: [[2, 2, 0]], EPITHELIAL: [[0, 7, 7]]})
    assert class_map(masks).tolist() == [[5, 1, 1]]
    assert instance_map(masks).tolist() == [[1, 2, 2]]
    masks = masks_of({NEOPLASTIC: [[9, 9, 0]], EPITHELIAL: [[0, 7, 7]]})
    assert class_map(masks).tolist() == [[5, 5, 1]]


def test_of_equal_ids_the_lower_class_wins() -> None:
    assert class_map(masks_of({NEOPLASTIC: [[4]], INFLAMMATORY: [[4]]})).tolist() == [[4]]
    assert class_map(masks_of({CONNECTIVE: [[4]], EPITHELIAL: [[4]]})).tolist() == [[1]]


def test_background_ties_with_nucleus_one_and_wins() -> None:
    assert class_map(masks_of({NEOPLASTIC: [[1, 1]], BACKGROUND: [[1, 0]]})).tolist() == [[0, 5]]


def test_touching_nuclei_stay_two_and_a_torn_one_becomes_two() -> None:
    masks = masks_of({NEOPLASTIC: [[4, 4, 6, 6, 0, 4]]})
    assert instance_map(masks).tolist() == [[1, 1, 2, 2, 0, 3]]
    assert instance_map(masks).dtype == np.uint16
    assert whole_instance_map(masks).tolist() == [[1, 1, 2, 2, 0, 1]]


def test_diagonal_neighbours_are_one_piece() -> None:
    assert instance_map(masks_of({DEAD: [[5, 0], [0, 5]]})).tolist() == [[1, 0], [0, 1]]


def test_equal_ids_of_two_channels_are_one_piece_as_published_and_two_as_released() -> None:
    masks = masks_of({NEOPLASTIC: [[4, 0]], DEAD: [[0, 4]]})
    assert instance_map(masks).tolist() == [[1, 1]]
    assert len(set(whole_instance_map(masks).ravel())) == 2


def test_whole_ids_start_at_one_even_without_background() -> None:
    assert whole_instance_map(masks_of({DEAD: [[7, 7]]})).tolist() == [[1, 1]]


@pytest.mark.parametrize(
    "layout",
    ["fold{k}", "Fold {k}", "fold_{k}", "Fold-{k}/nested", "fold{k}/Fold {k}/images/fold{k}"],
)
def test_folders_as_people_have_them(tmp_path: Path, layout: str, import_into_home: Callable) -> None:
    for k in (1, 2, 3):
        put_fold(tmp_path / "r" / layout.format(k=k), TILES)
    dataset = import_into_home("pannuke", tmp_path / "r")
    assert dataset.fovs.fov_id.tolist() == ["fold1_0", "fold1_1", "fold2_0", "fold2_1", "fold3_0", "fold3_1"]
    assert "base" in dataset.split_names()
    assert dataset.split("base").parts["fold2_0"] == "test"


def test_one_fold_handed_directly(tmp_path: Path, import_into_home: Callable) -> None:
    put_fold(tmp_path / "Fold 2", TILES)
    dataset = import_into_home("pannuke", tmp_path / "Fold 2")
    assert dataset.fovs.fov_id.tolist() == ["fold2_0", "fold2_1"]
    assert dataset.fovs.group_tissue.tolist() == ["Colon", "Breast"]
    assert dataset.fovs.site.isna().all()
    assert dataset.split_names() == []
    assert dataset.image("fold2_1").dtype == np.uint8
    assert dataset.image("fold2_1")[0, 0].tolist() == [12, 13, 14]
    assert dataset.cells_of("fold2_0").class_id.tolist() == [3, 2]


def test_a_nucleus_under_background_has_no_class(tmp_path: Path, import_into_home: Callable) -> None:
    put_fold(tmp_path / "fold1", masks_of({DEAD: [[1, 1], [0, 0]], BACKGROUND: [[1, 1], [1, 1]]})[None])
    assert import_into_home("pannuke", tmp_path / "fold1").cells.class_id.tolist() == [0]


def test_a_nucleus_of_two_classes_gets_the_commoner(tmp_path: Path, import_into_home: Callable) -> None:
    # Published rule: equal ids of two channels merge into one piece of 3 px, two of them dead.
    masks = masks_of({DEAD: [[4, 4], [0, 0]], NEOPLASTIC: [[0, 0], [4, 0]]})
    put_fold(tmp_path / "fold1", masks[None])
    dataset = import_into_home("pannuke", tmp_path / "fold1", settings={"pieces": "apart"})
    assert dataset.cells.class_id.tolist() == [2]
    assert dataset.cells.purity.tolist() == pytest.approx([2 / 3])
    assert dataset.semantic("fold1_0").tolist() == [[2, 2], [5, 0]]


@pytest.mark.parametrize(("settings", "nuclei"), [({}, 1), ({"pieces": "together"}, 1), ({"pieces": "apart"}, 2)])
def test_torn_ids_are_one_nucleus_unless_asked_otherwise(
    tmp_path: Path, import_into_home: Callable, settings: dict[str, str], nuclei: int
) -> None:
    put_fold(tmp_path / "fold1", masks_of({DEAD: [[4, 0, 4]]})[None], images=np.zeros((1, 1, 3, 3)))
    assert len(import_into_home("pannuke", tmp_path / "fold1", settings=settings).cells) == nuclei


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"images": np.full((2, 2, 2, 3), 0.5)}, "whole numbers from 0 to 255"),
        ({"images": np.full((2, 2, 2, 3), 300.0)}, "whole numbers from 0 to 255"),
        ({"images": np.zeros((2, 3, 2, 2))}, "not (n, height, width, 3)"),
        ({"images": np.zeros((3, 2, 2, 3))}, "not (3, 2, 2, 6)"),
        ({"masks": TILES[..., :5]}, "not (2, 2, 2, 6)"),
        ({"masks": TILES * 0.1}, "something else than whole numbers"),
        ({"masks": -TILES}, "or an id is negative"),
        ({"masks": np.roll(TILES, 2, axis=-1)}, "not a background of 0 and 1"),
        ({"types": np.array(["Colon"])}, "not 2 names"),
        ({"types": np.array([1, 2])}, "not 2 names"),
        ({"types": np.array(["Colon", None], object)}, "holds pickled Python objects"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, arrays: dict, problem: str, refused: Callable) -> None:
    put_fold(tmp_path / "fold1", **({"masks": TILES} | arrays))
    error = refused("pannuke", tmp_path / "fold1")
    assert isinstance(error, InputError)
    assert problem in str(error)


def test_pickled_types_name_the_way_out(tmp_path: Path, refused: Callable) -> None:
    put_fold(tmp_path / "fold1", TILES, types=np.array(["a", "b"], object))
    assert "numpy.save(..., allow_pickle=False)" in refused("pannuke", tmp_path / "fold1").remedy


def test_truncated_arrays_are_refused(tmp_path: Path, refused: Callable) -> None:
    put_fold(tmp_path / "fold1", TILES)
    path = tmp_path / "fold1/masks.npy"
    path.write_bytes(path.read_bytes()[:-8])
    assert "masks.npy: is damaged or truncated" in str(refused("pannuke", tmp_path / "fold1"))


def test_folds_that_cannot_be_told(tmp_path: Path, refused: Callable) -> None:
    put_fold(tmp_path / "zero/fold0", TILES)
    assert "folds [0], not 1, 2 and 3" in str(refused("pannuke", tmp_path / "zero"))
    put_fold(tmp_path / "none/data", TILES)
    assert "below folders of 0 folds" in str(refused("pannuke", tmp_path / "none"))
    put_fold(tmp_path / "both/fold1/fold2", TILES)
    assert "below folders of 2 folds" in str(refused("pannuke", tmp_path / "both"))
    put_fold(tmp_path / "twice/fold1", TILES)
    put_fold(tmp_path / "twice/Fold 1", TILES)
    assert "are of one fold" in str(refused("pannuke", tmp_path / "twice"))
    (tmp_path / "twice/fold1/masks.npy").unlink()
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/readme.txt").touch()
    assert "holds the folds none" in str(refused("pannuke", tmp_path / "bare"))


def test_a_fold_without_its_masks(tmp_path: Path, refused: Callable) -> None:
    put_fold(tmp_path / "fold1", TILES)
    (tmp_path / "fold1/masks.npy").unlink()
    assert "fold 1 has no masks.npy" in str(refused("pannuke", tmp_path / "fold1"))


def test_masks_are_never_loaded_whole(tmp_path: Path, import_into_home: Callable) -> None:
    """A file that claims 27 GB of masks, nearly all of it a hole on the disk, imports its first tile."""
    n, side = 9000, 256
    folder = tmp_path / "fold1"
    folder.mkdir()
    for name, channels in (("images", 3), ("masks", 6)):
        shape = (n, side, side, channels)
        np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.float64, shape=shape).flush()
    np.save(folder / "types.npy", np.array(["Colon"] * n))
    dataset = import_into_home("pannuke", folder, limit=1)
    assert len(dataset.fovs) == 1
    assert len(dataset.cells) == 0


def test_forged_release_gives_exactly_the_printed_counts(
    forge: Callable, import_into_home: Callable, counted: Callable
) -> None:
    folder, counts = forge("pannuke", 9)
    found = counted(import_into_home("pannuke", folder))
    assert found == {CLASS[channel]: n for channel, n in counts.items()}


def test_forged_release_by_the_published_rule_adds_only_torn_pieces(
    forge: Callable, import_into_home: Callable
) -> None:
    folder, counts = forge("pannuke", 9)
    masks = np.concatenate([np.load(path) for path in folder.rglob("masks.npy")])
    pieces = sum(
        ndimage.label(tile[..., channel] == number, np.ones((3, 3)))[1]
        for tile in masks
        for channel in range(5)
        for number in np.unique(tile[..., channel])[1:]
    )
    dataset = import_into_home("pannuke", folder, settings={"pieces": "apart"})
    assert len(dataset.cells) == pieces
    surplus = pieces - sum(counts.values())
    assert surplus == 0 or any(f"in several pieces: {surplus}," in note for note in dataset.facts["notes"])


def test_torn_ids_are_told(tmp_path: Path, import_into_home: Callable) -> None:
    put_fold(tmp_path / "fold1", masks_of({DEAD: [[4, 0, 4, 0, 4]]})[None], images=np.zeros((1, 1, 5, 3)))
    notes = import_into_home("pannuke", tmp_path / "fold1").facts["notes"]
    assert "from ids in several pieces: 2, in tiles: 1" in notes[-1]
