from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.draw import disk

from cryostat.cells.building import BuildReport, build_dataset
from cryostat.core.errors import InputError, SettingError
from cryostat.core.home import Home

# Six nuclei in 60×90 px; odd ones are T cells, even ones B cells, the last is dirt.
CENTRES = [(15, 15), (15, 45), (15, 75), (45, 15), (45, 45), (45, 75)]
KINDS = ["CD4", "B", "CD8", "B", "CD4", "dirt"]
MERGE = "phenotype,class\nCD4,T cells\nCD8,T cells\nB,B cells\ndirt,\n"


def mask() -> NDArray[np.uint16]:
    instances = np.zeros((60, 90), np.uint16)
    for number, centre in enumerate(CENTRES, 1):
        instances[disk(centre, 7)] = number
    return instances


def image() -> NDArray[np.uint8]:
    return np.where(mask()[..., None] > 0, (100, 70, 150), (235, 190, 215)).astype(np.uint8)


class Sources:
    """Folders and tables of a build in a temporary folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.home = root, Home(root / "home")
        for name in ("images", "masks", "cells"):
            (root / name).mkdir()
        for fov in ("a1", "a2", "a10"):
            Image.fromarray(image()).save(root / f"images/{fov}.png")
            Image.fromarray(mask()).save(root / f"masks/{fov}.tif")
            rows = [f"{x},{y},{kind}" for (y, x), kind in zip(CENTRES, KINDS, strict=True)]
            (root / f"cells/{fov}.csv").write_text("\n".join(["x,y,phenotype", *rows]) + "\n")
        self.write("merge.csv", MERGE)

    def write(self, name: str, text: str) -> Path:
        (self.root / name).write_text(text)
        return self.root / name

    def build(self, phenotypes: str = "cells", **tables: str) -> BuildReport:
        paths = {key: self.root / name for key, name in {"merge": "merge.csv", **tables}.items() if name}
        folders = (self.root / "images", self.root / "masks", self.root / phenotypes)
        return build_dataset(*folders, self.home, name="built", mpp=0.5, overwrite=True, **paths)


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(tmp_path)


def test_classes_counts_and_removed_nuclei(sources: Sources) -> None:
    report = sources.build()
    assert report.counts == {"T cells": 9, "B cells": 6}
    assert (report.unmatched, report.removed, report.without_phenotype) == (0, 3, 0)
    dataset = report.dataset
    assert list(dataset.fovs.index) == ["a1", "a2", "a10"]
    assert dataset.cells_of("a2")[["cell_id", "class_id"]].to_numpy().tolist() == [
        [1, 1],
        [2, 2],
        [3, 1],
        [4, 2],
        [5, 1],
    ]
    assert np.array_equal(dataset.instances("a2"), np.where(mask() == 6, 0, mask()))
    assert np.array_equal(dataset.image("a2"), image())


def test_report_lies_beside_the_dataset(sources: Sources) -> None:
    report = sources.build()
    assert [path.name for path in report.files] == ["qc.csv", "suspects.csv", "exclude.csv", "sheet-01.png"]
    assert all(path.parent == report.dataset.folder / "qc" for path in report.files)
    table = pd.read_csv(report.files[0])
    assert table["fov_id"].tolist() == report.qc["fov_id"].tolist() == ["a1", "a2", "a10"]
    # Masks are judged as given: the removed nucleus covers its haematoxylin.
    assert table["missed"].tolist() == [0, 0, 0]
    with Image.open(report.files[-1]) as sheet:
        assert sheet.width > 1500


def test_without_a_merge_table_phenotypes_are_classes(sources: Sources) -> None:
    assert sources.build(merge="").counts == {"B": 6, "CD4": 6, "CD8": 3, "dirt": 3}


def test_one_table_by_id_may_leave_nuclei_out(sources: Sources) -> None:
    rows = [f"{fov},{cell},{kind}" for fov in ("a1", "a2", "a10") for cell, kind in enumerate(KINDS[:4], 1)]
    sources.write("cells.csv", "\n".join(["fov_id,cell_id,phenotype", *rows, "a1,77,CD4", "a1,5,"]))
    report = sources.build("cells.csv")
    assert report.counts == {"T cells": 6, "B cells": 6}
    assert (report.unmatched, report.without_phenotype) == (1, 5)
    assert report.dataset.cells_of("a1")["class_id"].tolist() == [1, 2, 1, 2, 0, 0]


def test_proposals_are_handed_back_as_exclusions(sources: Sources) -> None:
    half = np.where(mask() > 3, 0, mask())
    Image.fromarray(half).save(sources.root / "masks/a2.tif")
    rows = ["x,y,phenotype", *(f"{x},{y},B" for y, x in CENTRES[:3])]
    sources.write("cells/a2.csv", "\n".join(rows) + "\n")
    report = sources.build()
    proposed = pd.read_csv(report.dataset.folder / "qc/exclude.csv")
    assert proposed["fov_id"].tolist() == ["a2"]
    assert proposed["reason"].tolist() == ["3 blobs of haematoxylin are not covered by 3 nuclei"]
    (sources.root / "exclude.csv").write_bytes((report.dataset.folder / "qc/exclude.csv").read_bytes())
    again = sources.build(exclude="exclude.csv")
    assert list(again.dataset.fovs.index) == ["a1", "a10"]
    excluded = pd.read_parquet(again.dataset.folder / "excluded.parquet")
    assert excluded.to_dict("records") == proposed.to_dict("records")
    # Nothing is proposed now; the empty list may be handed back too.
    (sources.root / "exclude.csv").write_bytes((again.dataset.folder / "qc/exclude.csv").read_bytes())
    assert len(sources.build(exclude="exclude.csv").dataset.fovs) == 3


def test_patients_and_groups(sources: Sources) -> None:
    sources.write("patients.csv", "fov_id,patient_id,site,stage\na1,P1,Ulm,III\na2,P1,Ulm,III\na10,P2,,IV\n")
    fovs = sources.build(patients="patients.csv").dataset.fovs
    assert fovs["patient_id"].tolist() == ["P1", "P1", "P2"]
    assert fovs["group_stage"].tolist() == ["III", "III", "IV"]


def test_codex_names_bring_patients_and_join_short_or_long(sources: Sources) -> None:
    for old, new in (("a1", "reg001_A"), ("a2", "reg003_B_P2_D1"), ("a10", "reg004_A")):
        for folder, ending in (("images", "png"), ("masks", "tif")):
            (sources.root / folder / f"{old}.{ending}").rename(sources.root / folder / f"{new}.{ending}")
    (sources.root / "codex").mkdir()
    for stem in ("reg001_A_P1_D0", "reg003_B_P2_D1", "reg004_A_P2_D1", "reg070_B_P35_D0"):
        sources.write(f"codex/{stem}_CellTypeLabel.txt", "".join(f"{kind}\n" for kind in KINDS))
        sources.write(f"codex/{stem}_Coordinates.txt", "".join(f"{x:.6f}\t{y:.6f}\n" for y, x in CENTRES))
    sources.write("patients.csv", "Patient,stage\n1,III\n2,IV\n")
    dataset = sources.build("codex", patients="patients.csv").dataset
    assert dataset.fovs["patient_id"].to_dict() == {"reg001_A": "P01", "reg003_B_P2_D1": "P02", "reg004_A": "P02"}
    assert dataset.fovs["group_infiltrate"].tolist() == ["CLR", "DII", "DII"]
    assert dataset.fovs["group_stage"].tolist() == ["III", "IV", "IV"]
    assert any("1 fields of codex have no image (first: reg070_B)" in note for note in dataset.facts["notes"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("merge.csv", "phenotype,class\nCD4,T\n", "what becomes of 'B', 'CD8', 'dirt'"),
        ("cells/a2.csv", "x,y,phenotype\n", "no rows"),
        ("cells/a2.csv", "x,y,phenotype\n" + "80,1,B\n" * 20, "none of the 20 rows meets a nucleus"),
        ("images/a2.png", "<html>", "a2.png"),
        ("masks/a2.tif", "II*\0", "a2.tif"),
    ],
)
def test_malformed_sources_are_refused(sources: Sources, name: str, content: str, message: str) -> None:
    sources.write(name, content)
    with pytest.raises(InputError, match=message):
        sources.build()
    assert not sources.home.datasets.exists() or list(sources.home.datasets.iterdir()) == []


@pytest.mark.parametrize("array", [mask().astype(np.float32), mask()[:50], mask()[None]])
def test_masks_that_do_not_fit_are_refused(sources: Sources, array: NDArray[np.float32]) -> None:
    (sources.root / "masks/a2.tif").unlink()
    np.save(sources.root / "masks/a2.npy", array)
    with pytest.raises(InputError, match=r"a2.npy"):
        sources.build()
    assert list(sources.home.datasets.iterdir()) == []


def test_fields_must_pair(sources: Sources) -> None:
    (sources.root / "masks/a2.tif").unlink()
    with pytest.raises(InputError, match="no instance map for 1 of 3 images"):
        sources.build()
    sources.write("exclude.csv", "fov_id\na2\n")
    assert len(sources.build(exclude="exclude.csv").dataset.fovs) == 2
    sources.write("exclude.csv", "fov_id,reason\na3,x\n")
    with pytest.raises(InputError, match="excludes 'a3', which is no image here"):
        sources.build(exclude="exclude.csv")
    (sources.root / "cells/a10.csv").unlink()
    sources.write("exclude.csv", "fov_id\na2\n")
    with pytest.raises(InputError, match="no phenotypes for the image 'a10'"):
        sources.build(exclude="exclude.csv")


def test_a_dataset_is_not_replaced_unasked(sources: Sources) -> None:
    before = sources.build().dataset.identity
    folders = (sources.root / name for name in ("images", "masks", "cells"))
    with pytest.raises(SettingError, match="--overwrite"):
        build_dataset(*folders, sources.home, name="built", mpp=0.5)
    assert sources.build().dataset.identity == before


@pytest.fixture(scope="module")
def trial() -> ModuleType:
    path = Path(__file__).resolve().parents[3] / "benchmarks" / "build_codex.py"
    spec = importlib.util.spec_from_file_location("build_codex", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_real_spots_count_as_their_text_files(shared: Path, trial: ModuleType, tmp_path: Path) -> None:
    source = shared / "data/nuclei/codex_crc_cells"
    stems = ["reg001_A_P1_D0", "reg035_B_P18_D1"]
    report, _, _ = trial.build(source, tmp_path, stems)
    assert Counter(report.counts) - Counter() == +trial.plain_counts(source, stems)
    assert report.unmatched == report.without_phenotype == 0
    assert report.dataset.fovs["patient_id"].tolist() == ["P01", "P18"]
