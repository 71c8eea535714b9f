from __future__ import annotations

import builtins
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryostat.cells.datasets import ImportOptions, import_dataset, pathocell
from cryostat.cells.datasets.pathocell_markers import MARKERS, marker_intensities
from cryostat.core.errors import InputError, MissingExtraError, SettingError
from cryostat.core.home import Home

h5py = pytest.importorskip("h5py")

# Four nuclei of 2×2 px: B cells (1), dirt (17), Tregs (15), vasculature (29).
INSTANCES = np.zeros((6, 8), np.uint16)
INSTANCES[0:2, 0:2], INSTANCES[0:2, 4:6], INSTANCES[3:5, 0:2], INSTANCES[3:5, 4:6] = 1, 2, 3, 7
FINE = np.array([0, 1, 17, 15, 0, 0, 0, 29], np.uint16)[INSTANCES]
MERGED = np.array([0, 1, 0, 5, 0, 0, 0, 13], np.uint16)[INSTANCES]
PIXELS = np.arange(3 * 6 * 8, dtype=np.uint16).reshape(3, 6, 8) * 400


def write(path: Path, **changed: object) -> Path:
    arrays: dict[str, object] = {"img": PIXELS, "gt_inst": INSTANCES[None], "gt_ct": FINE[None], **changed}
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            if array is not None:
                file.create_dataset(key, data=array)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name in ("reg001_A", "reg001_B", "reg004_A"):
        write(tmp_path / "release" / f"{name}.hdf")
    return tmp_path / "release"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def left_over(home: Home) -> list[Path]:
    return list(home.datasets.iterdir()) if home.datasets.exists() else []


def settings(**given: str) -> ImportOptions:
    return ImportOptions(settings=given)


def test_merge_table_is_the_published_one() -> None:
    rows = pathocell.fine_types()
    assert [int(row["fine_id"]) for row in rows] == list(range(1, 30))
    assert [row["phenotype"] for row in rows if not row["class"]] == ["dirt"]
    assert Counter(row["class"] for row in rows if row["class"]) == {
        "Macrophages/Monocytes": 6,
        "T cells": 6,
        "Other cells": 4,
        "Vasculature/Lymphatics": 2,
        **dict.fromkeys(
            (
                "B cells",
                "Dendritic cells",
                "Granulocytes",
                "NK cells",
                "Nerves",
                "Plasma cells",
                "Smooth muscle",
                "Stroma",
                "Tumor cells",
                "Adipocytes",
            ),
            1,
        ),
    }
    assert [c.id for c in pathocell.FACTS.classes] == list(range(1, 15))
    assert len({row["fine_color"] for row in rows if row["class"]}) == 28


def test_coarse_is_the_default_and_dirt_leaves_both_maps(source: Path, home: Home) -> None:
    dataset = import_dataset("pathocell", source, home)
    nuclei = dataset.cells_of("reg001_A")
    assert dict(zip(nuclei["cell_id"], nuclei["class_id"], strict=True)) == {1: 1, 3: 5, 7: 13}
    assert np.array_equal(dataset.instances("reg001_A"), np.where(INSTANCES == 2, 0, INSTANCES))
    assert np.array_equal(dataset.semantic("reg001_A"), MERGED)
    assert dataset.image("reg001_A").dtype == np.uint16
    assert dataset.image("reg001_A")[5, 7].tolist() == PIXELS[:, 5, 7].tolist()


def test_fine_labels_keep_28_types(source: Path, home: Home) -> None:
    dataset = import_dataset("pathocell", source, home, options=settings(labels="fine"))
    assert dataset.name == "pathocell-fine"
    assert len(dataset.classes) == 28
    assert dataset.cells_of("reg001_B")["class_id"].tolist() == [1, 15, 29]


def test_patients_groups_and_scale(source: Path, home: Home) -> None:
    fovs = import_dataset("pathocell", source, home).fovs
    assert fovs["patient_id"].to_dict() == {"reg001_A": "P01", "reg001_B": "P01", "reg004_A": "P02"}
    assert fovs["group_region"].tolist() == ["001", "001", "004"]
    assert fovs["group_tma"].tolist() == ["A", "B", "A"]
    assert fovs["group_infiltrate"].tolist() == ["CLR", "CLR", "DII"]
    assert set(fovs["mpp"]) == {0.377}


def test_release_folder_may_be_the_parent(source: Path, home: Home) -> None:
    source.rename(source.parent / "pathocell_hdf")
    assert len(import_dataset("pathocell", source.parent, home).fovs) == 3


def test_codex_stack_is_never_touched(source: Path, home: Home) -> None:
    with h5py.File(source / "reg001_A.hdf", "a") as file:
        stack = file.create_dataset("ifl", (58, 6, 8), np.uint16, chunks=(1, 6, 8), compression="gzip")
        for channel in range(58):
            stack.id.write_direct_chunk((channel, 0, 0), b"no gzip at all")
    import_dataset("pathocell", source, home)
    with pytest.raises(InputError, match="'ifl' is damaged"):
        marker_intensities(source / "reg001_A.hdf", ["CD8"])


def test_markers_are_read_when_asked(tmp_path: Path) -> None:
    stack = np.zeros((58, 6, 8), np.uint16)
    stack[MARKERS.index("CD8"), 0, 0], stack[57] = 100, 9
    path = write(tmp_path / "reg001_A.hdf", ifl=stack)
    table = marker_intensities(path, ["CD8", "DRAQ5"])
    assert table["cell_id"].tolist() == [1, 2, 3, 7]
    assert table["CD8"].tolist() == [25, 0, 0, 0]
    assert set(table["DRAQ5"]) == {9}
    with pytest.raises(SettingError, match="no marker 'CD999'"):
        marker_intensities(path, ["CD999"])
    with pytest.raises(InputError, match="'ifl' has shape"):
        marker_intensities(write(tmp_path / "b.hdf", ifl=stack[:57]), ["CD8"])


@pytest.mark.parametrize("form", ["csv", "tsv", "parquet", "xlsx"])
def test_clinical_table_joins_by_patient_however_written(source: Path, home: Home, form: str, tmp_path: Path) -> None:
    rows = pd.DataFrame({"Patient ": [1, 2], "pTNM stage": [3, 4], "Histology": ["adeno", None], "Spot": ["1", "7"]})
    rows = pd.concat([rows, rows.iloc[:1].assign(Spot="2")])
    path = tmp_path / f"annotations.{form}"
    if form == "xlsx":
        pytest.importorskip("openpyxl")
        rows.to_excel(path, index=False, startrow=2)
    elif form == "parquet":
        rows.to_parquet(path)
    else:
        rows.to_csv(path, index=False, sep="\t" if form == "tsv" else ",")
    dataset = import_dataset("pathocell", source, home, options=ImportOptions(clinical=path))
    assert dataset.fovs["group_pTNM stage"].tolist() == ["3", "3", "4"]
    assert dataset.fovs["group_Histology"].tolist()[:2] == ["adeno", "adeno"]
    assert dataset.fovs["group_Histology"].isna().tolist() == [False, False, True]
    assert "group_Spot" not in dataset.fovs
    assert any("Spot" in note for note in dataset.facts["notes"])


def test_clinical_table_of_strangers_is_refused(source: Path, home: Home, tmp_path: Path) -> None:
    table = tmp_path / "clinical.csv"
    table.write_text("patient,stage\nX-77,3\n")
    with pytest.raises(InputError, match="knows none of the fields"):
        import_dataset("pathocell", source, home, options=ImportOptions(clinical=table))
    table.write_text("patient,tma\n1,3\n")
    with pytest.raises(InputError, match="column 'tma', which the file names give already"):
        import_dataset("pathocell", source, home, options=ImportOptions(clinical=table))
    assert left_over(home) == []


def test_published_coarse_map_is_compared_with_the_merge(source: Path, home: Home) -> None:
    write(source / "reg001_A.hdf", gt_ct_coarse=np.where(FINE == 17, 14, MERGED)[None])
    import_dataset("pathocell", source, home)
    write(source / "reg001_A.hdf", gt_ct_coarse=np.where(FINE == 15, 6, MERGED)[None])
    with pytest.raises(InputError, match=r"reg001_A.hdf.*in 4 pixels \(first: row 3, column 0, fine id 15"):
        import_dataset("pathocell", source, home, overwrite=True)
    assert (
        len(import_dataset("pathocell", source, home, overwrite=True, options=settings(coarse_check="off")).fovs) == 3
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"gt_ct": None}, r"no key 'gt_ct' \(it holds gt_inst, img\)"),
        ({"img": None}, "no key 'img'"),
        ({"gt_ct": np.where(FINE == 15, 30, FINE)[None]}, "holds the id 30"),
        ({"gt_inst": INSTANCES[None].astype(np.float32)}, "float32"),
        ({"gt_inst": INSTANCES[None, :5]}, "5×8 but the image is 6×8"),
        ({"img": PIXELS[:2]}, r"shape \(2, 6, 8\)"),
        ({"img": PIXELS.astype(np.float64)}, "float64"),
        ({"gt_ct": np.stack([FINE, FINE])}, r"shape \(2, 6, 8\)"),
        ({"gt_ct": "a string"}, "no array of numbers"),
    ],
)
def test_malformed_files_are_refused(source: Path, home: Home, changed: dict[str, object], message: str) -> None:
    write(source / "reg001_B.hdf", **changed)
    with pytest.raises(InputError, match=message) as caught:
        import_dataset("pathocell", source, home)
    assert "reg001_B.hdf" in str(caught.value)
    assert left_over(home) == []


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9, 0.999])
def test_truncated_files_are_refused(source: Path, home: Home, share: float) -> None:
    path = source / "reg001_B.hdf"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match="reg001_B"):
        import_dataset("pathocell", source, home)
    assert left_over(home) == []


def test_a_bad_file_can_be_left_out_with_its_reason(source: Path, home: Home) -> None:
    (source / "reg001_B.hdf").write_bytes(b"<html>not found</html>")
    dataset = import_dataset("pathocell", source, home, skip_bad=True)
    assert list(dataset.fovs.index) == ["reg001_A", "reg004_A"]
    excluded = pd.read_parquet(dataset.folder / "excluded.parquet")
    assert "is not an HDF5 file" in excluded.loc[0, "reason"]


def test_folders_and_names_that_are_not_the_release(tmp_path: Path, home: Home) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "readme.txt").write_text("hello")
    for folder, message in (("empty", "is an empty folder"), ("other", "holds no .hdf file")):
        with pytest.raises(InputError, match=message):
            import_dataset("pathocell", tmp_path / folder, home)
    write(tmp_path / "named" / "slide7.hdf")
    with pytest.raises(InputError, match=r"slide7.hdf: is not named as released"):
        import_dataset("pathocell", tmp_path / "named", home)


def test_unknown_settings_are_refused(source: Path, home: Home) -> None:
    for options, message in (
        (settings(labels="medium"), "coarse, fine"),
        (settings(channels="CD8"), "no setting 'channels'"),
        (ImportOptions(classes=source), "cannot use --classes"),
    ):
        with pytest.raises(SettingError, match=message):
            import_dataset("pathocell", source, home, options=options)


def test_without_h5py_the_remedy_is_named(source: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name == "h5py":
            raise ImportError(name)
        return genuine(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"cryostat\[formats\]"):
        import_dataset("pathocell", source, home)
    assert left_over(home) == []


def test_forged_release_has_the_printed_counts(shared: Path, tmp_path: Path, home: Home) -> None:
    command = [sys.executable, shared / "data/forge.py", "pathocell", shared / "data/consep/Train", tmp_path / "forged"]
    printed = json.loads(subprocess.run([*command, "--limit", "1"], capture_output=True, check=True, text=True).stdout)
    expected = {int(key): count for key, count in printed.items() if key != "17"}
    fine = import_dataset("pathocell", tmp_path / "forged", home, options=settings(labels="fine"))
    assert Counter(fine.cells["class_id"]) == expected
    merged: Counter[int] = Counter()
    for row in pathocell.fine_types():
        if row["class"]:
            merged[int(row["class_id"])] += expected.get(int(row["fine_id"]), 0)
    coarse = import_dataset("pathocell", tmp_path / "forged", home)
    assert Counter(coarse.cells["class_id"]) == +merged
