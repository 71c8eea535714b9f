from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
from PIL import Image

from cryostat.cells.datasets import ImportOptions, import_dataset
from cryostat.core.errors import CryostatError, InputError, SettingError
from cryostat.core.home import Home

# Nuclei 1 and 5 in every field.
INSTANCES = np.zeros((10, 12), np.uint16)
INSTANCES[1:4, 1:4], INSTANCES[5:9, 6:10] = 1, 5
IMAGE = np.random.default_rng(0).integers(0, 255, (10, 12, 3)).astype(np.uint8)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "My Tissue"
    (folder / "images").mkdir(parents=True)
    (folder / "instances").mkdir()
    for name in ("a1", "a2", "a10"):
        Image.fromarray(IMAGE).save(folder / f"images/{name}.png")
        Image.fromarray(INSTANCES).save(folder / f"instances/{name}.png")
    rows = [
        f"{name},{cell},{kind}" for name in ("a1", "a2", "a10") for cell, kind in ((1, "tumour"), (5, "lymphocyte"))
    ]
    (folder / "cells.csv").write_text("\n".join(["fov_id,cell_id,class", *rows]) + "\n")
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def options(**settings: str) -> ImportOptions:
    return ImportOptions(mpp=0.5, settings=settings)


def test_class_names_are_numbered_in_alphabetical_order(source: Path, home: Home) -> None:
    dataset = import_dataset("generic", source, home, options=options(licence="CC0"))
    assert dataset.name == "my-tissue"
    assert [(c.id, c.name) for c in dataset.classes] == [(1, "lymphocyte"), (2, "tumour")]
    assert len({c.color for c in dataset.classes} - {""}) == 2
    assert list(dataset.fovs.index) == ["a1", "a2", "a10"]
    assert dataset.cells_of("a2")[["cell_id", "class_id"]].to_numpy().tolist() == [[1, 2], [5, 1]]
    assert dataset.facts["licence"] == "CC0"
    assert dataset.facts["mpp"] == 0.5


def test_class_table_gives_ids_and_an_empty_class_is_none(source: Path, home: Home, tmp_path: Path) -> None:
    table = tmp_path / "classes.csv"
    table.write_text("id,name,color\n0,background,\n3,lymphocyte,#00FF00\n7,tumour,\n")
    (source / "cells.csv").write_text("fov_id,cell_id,class\na1,1,7\na1,5,\na2,1,lymphocyte\na10,5,0\n")
    dataset = import_dataset("generic", source, home, options=ImportOptions(mpp=0.5, classes=table))
    assert dataset.cells_of("a1")["class_id"].tolist() == [7, 0]
    # A nucleus that the table passes over has no class either.
    assert dataset.cells_of("a2")["class_id"].tolist() == [3, 0]
    assert dataset.cells_of("a10")["class_id"].tolist() == [0, 0]
    assert dataset.classes[0].color == "#00ff00"
    assert dataset.classes[1].color not in ("", "#00ff00")


def test_class_maps(source: Path, home: Home, tmp_path: Path) -> None:
    table = tmp_path / "classes.csv"
    table.write_text("id,name\n1,lymphocyte\n2,tumour\n")
    (source / "cells.csv").unlink()
    (source / "semantic").mkdir()
    semantic = np.where(INSTANCES == 1, 2, np.where(INSTANCES == 5, 1, 0)).astype(np.uint8)
    semantic[1, 1] = 1
    for name in ("a1", "a2", "a10"):
        np.save(source / f"semantic/{name}.npy", semantic)
    chosen = ImportOptions(mpp=0.5, classes=table, settings={"classes": "semantic"})
    nuclei = import_dataset("generic", source, home, options=chosen).cells_of("a1")
    assert nuclei["class_id"].tolist() == [2, 1]
    assert nuclei["purity"].tolist() == pytest.approx([8 / 9, 1])


@pytest.mark.parametrize("form", ["npy", "tif", "mat"])
def test_other_forms_of_instance_maps(source: Path, home: Home, form: str) -> None:
    for path in list((source / "instances").iterdir()):
        path.unlink()
        target = path.with_suffix(f".{form}")
        if form == "npy":
            np.save(target, INSTANCES.astype(np.int64))
        elif form == "mat":
            scipy.io.savemat(target, {"nuclei": INSTANCES.astype(np.float64)})
        else:
            Image.fromarray(INSTANCES).save(target)
    dataset = import_dataset("generic", source, home, options=options(mat_key="nuclei"))
    assert np.array_equal(dataset.instances("a1"), INSTANCES)


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1)])
def test_npy_images_of_16_bits_keep_their_values(source: Path, home: Home, axes: tuple[int, int, int]) -> None:
    deep = IMAGE.astype(np.uint16) * 200
    (source / "images/a1.png").unlink()
    np.save(source / "images/a1.npy", deep.transpose(axes))
    assert np.array_equal(import_dataset("generic", source, home, options=options()).image("a1"), deep)


def test_table_of_fields_and_clinical_table(source: Path, home: Home, tmp_path: Path) -> None:
    (source / "fovs.csv").write_text("fov_id,patient_id,site,mpp,Tissue\na1,007,Jena,0.25,colon\na2,008,Ulm,,NA\n")
    clinical = tmp_path / "clinical.csv"
    clinical.write_text("patient_id,stage\n007,III\n008,IV\n")
    dataset = import_dataset("generic", source, home, options=ImportOptions(mpp=0.5, clinical=clinical))
    fovs = dataset.fovs
    assert fovs["patient_id"].tolist()[:2] == ["007", "008"]
    assert fovs["site"].tolist()[:2] == ["Jena", "Ulm"]
    assert fovs["mpp"].tolist() == [0.25, 0.5, 0.5]
    assert fovs["group_Tissue"].tolist()[0] == "colon"
    assert fovs["group_Tissue"].isna().tolist() == [False, True, True]
    assert fovs["group_stage"].tolist()[:2] == ["III", "IV"]
    assert fovs.loc["a10", ["patient_id", "site", "group_stage"]].isna().all()
    assert "group_mpp" not in fovs
    assert "mpp" not in dataset.facts
    assert any("does not know the fov_id a10" in note for note in dataset.facts["notes"])


def replace_mask(array: np.ndarray) -> object:
    def spoil(source: Path) -> None:
        (source / "instances/a2.png").unlink()
        np.save(source / "instances/a2.npy", array)

    return spoil


def table(text: str, name: str = "cells.csv") -> object:
    def spoil(source: Path) -> None:
        (source / name).write_text(text)

    return spoil


def remove(name: str) -> object:
    def spoil(source: Path) -> None:
        (source / name).unlink()

    return spoil


def overwrite(name: str, content: bytes) -> object:
    def spoil(source: Path) -> None:
        (source / name).write_bytes(content)

    return spoil


HEAD = "fov_id,cell_id,class\n"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (replace_mask(INSTANCES.astype(np.float32)), "float32"),
        (replace_mask(INSTANCES[:9]), "9×12 but the image is 10×12"),
        (replace_mask(INSTANCES[None]), r"shape \(1, 10, 12\)"),
        (replace_mask(-INSTANCES.astype(np.int32)), "ids outside"),
        (table(HEAD + "a1,1,tumour\na1,1,tumour\n"), "two rows for nucleus 1 of 'a1'"),
        (table(HEAD + "a1,2,tumour\n"), "not in the instance map"),
        (table(HEAD + "b1,1,tumour\n"), "'b1', which has no image"),
        (table(HEAD + "a1,1.5,tumour\n"), "'1.5', which is not a whole number"),
        (table(HEAD + "a1,-1,tumour\n"), "'-1', which is not a whole number"),
        (table(HEAD + "a1,1,2\n"), "ids but no names"),
        (table(HEAD + "a1,1,tumour\n"), "no row for the field of view 'a2'"),
        (table("fov_id,class\na1,tumour\n"), "no column 'cell_id'"),
        (table(HEAD), "no rows"),
        (table(HEAD + "a1,1,tumour,extra\n"), "cannot be read as a table"),
        (overwrite("cells.csv", b"\xff\xfe\x00"), "cells.csv"),
        (table("fov_id,mpp\na1,0\n", "fovs.csv"), "mpp '0'"),
        (table("fov_id,mpp\na1,1000\n", "fovs.csv"), "not a microscope's"),
        (table("fov_id,site\na1,x\na1,y\n", "fovs.csv"), "two rows for the field of view 'a1'"),
        (table("name,site\na1,x\n", "fovs.csv"), "neither a column 'fov_id'"),
        (table("fov_id,site\nz1,x\n", "fovs.csv"), "knows none of the fields"),
        (remove("images/a2.png"), "which has no image"),
        (remove("instances/a2.png"), "no instance map for 'a2'"),
        (remove("cells.csv"), "neither cells.csv nor classes/"),
        (overwrite("images/a2.png", b"<html>"), "a2.png"),
        (overwrite("images/a2.png", b""), "is empty"),
        (overwrite("images/a2.npy", b"x"), "holds both"),
    ],
)
def test_malformed_folders_are_refused(source: Path, home: Home, spoil: object, message: str) -> None:
    spoil(source)
    with pytest.raises(InputError, match=message):
        import_dataset("generic", source, home, options=options())
    assert not home.datasets.exists() or list(home.datasets.iterdir()) == []


def test_scale_must_be_known(source: Path, home: Home) -> None:
    with pytest.raises(InputError, match=r"scale of 3 fields of view.*--mpp"):
        import_dataset("generic", source, home)


def test_two_sources_of_classes_must_be_chosen_from(source: Path, home: Home) -> None:
    (source / "classes").mkdir()
    with pytest.raises(InputError, match="--set labels=cells"):
        import_dataset("generic", source, home, options=options())
    assert len(import_dataset("generic", source, home, options=options(labels="cells")).cells) == 6


def test_unknown_names(source: Path, home: Home, tmp_path: Path) -> None:
    classes = tmp_path / "classes.csv"
    classes.write_text("id,name\n1,tumour\n")
    with pytest.raises(InputError, match="nucleus 5 of 'a1' the class 'lymphocyte'"):
        import_dataset("generic", source, home, options=ImportOptions(mpp=0.5, classes=classes))
    with pytest.raises(SettingError, match="no setting 'mask'"):
        import_dataset("generic", source, home, options=options(mask="x"))


@pytest.mark.parametrize("ending", ["parquet", "tsv"])
def test_tables_in_other_forms(source: Path, home: Home, ending: str) -> None:
    frame = pd.read_csv(source / "cells.csv")
    (source / "cells.csv").unlink()
    if ending == "parquet":
        frame.to_parquet(source / "cells.parquet")
    else:
        frame.to_csv(source / "cells.tsv", sep="\t", index=False)
    assert len(import_dataset("generic", source, home, options=options()).cells) == 6


def test_a_bad_field_can_be_left_out(source: Path, home: Home) -> None:
    (source / "instances/a2.png").unlink()
    dataset = import_dataset("generic", source, home, options=options(), skip_bad=True)
    assert list(dataset.fovs.index) == ["a1", "a10"]


def test_every_error_is_ours(source: Path, home: Home) -> None:
    for path in sorted(source.rglob("*.*")):
        whole = path.read_bytes()
        for cut in (0, 1, len(whole) // 2):
            path.write_bytes(whole[:cut])
            with contextlib.suppress(CryostatError):
                import_dataset("generic", source, home, options=options(), overwrite=True)
        path.write_bytes(whole)
