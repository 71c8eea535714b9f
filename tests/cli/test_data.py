from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

from cryostat.cells.dataset import CellDataset, Split
from cryostat.cells.datasets.importing import FORMATS
from cryostat.cells.field import CellClass, DatasetFacts, field_from_table
from cryostat.cells.writer import DatasetWriter
from cryostat.cli import cryostat
from cryostat.cli.data_tables import families
from cryostat.core.errors import InputError, SettingError

PARTS = ("train", "valid", "test")


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Runs `cryostat data ...` in a home of its own; errors of ours are raised, as `main` would catch them."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)

    def run(*arguments, code=0):
        result = CliRunner().invoke(cryostat, ["--home", str(tmp_path / "home"), "data", *map(str, arguments)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.output

    return run


def field(name, **about):
    """64 px of mottled pink with three purple boxes of classes 1, 1 and 2."""
    rng = np.random.default_rng(sum(ord(letter) * 10**i for i, letter in enumerate(name)))
    image = np.clip(rng.normal((225, 175, 205), 12, (64, 64, 3)), 0, 255).astype(np.uint8)
    instances = np.zeros((64, 64), np.int32)
    for i, row in enumerate((2, 22, 42), 1):
        (y, x), (height, width) = rng.integers((row, 0), (row + 8, 40)), rng.integers(6, 14, 2)
        instances[y : y + height, x : x + width] = i
    image[instances > 0] = (95, 65, 145)
    return field_from_table(name, image, instances, {1: 1, 2: 1, 3: 2}, mpp=0.5, source=name, **about)


@pytest.fixture
def tissue(tmp_path):
    """A dataset of twelve fields: six patients, three sites, stages 3 and 4."""
    folder = tmp_path / "home" / "datasets" / "tissue"
    facts = DatasetFacts("tissue", "Drawn tissue", (CellClass(1, "round"), CellClass(2, "long")), 0.5, "CC0", "none")
    with DatasetWriter(folder, facts) as writer:
        for i in range(12):
            about = {"patient_id": f"p{i // 2}", "site": "abc"[i // 4], "groups": {"stage": str(3 + i // 2 % 2)}}
            writer.add(field(f"f{i:02d}", **about))
        writer.add_splits([Split("base", {f"f{i:02d}": PARTS[i // 4] for i in range(12)})])
    return CellDataset(folder)


def test_help_answers_without_heavy_imports():
    code = (
        "import sys; from click.testing import CliRunner; from cryostat.cli import cryostat;"
        "r = CliRunner().invoke(cryostat, ['data', '--help']); assert 'audit' in r.output, r.output;"
        "r = CliRunner().invoke(cryostat, ['data', 'import', '--help']); assert 'SOURCE' in r.output;"
        "heavy = {'pandas', 'numpy', 'rich', 'scipy', 'skimage', 'torch'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_help_of_import_names_every_format(call):
    text = call("import", "--help")
    assert all(name in text for name in FORMATS)
    listed = call("formats")
    assert all(name in listed for name in FORMATS)


def test_an_empty_home_tells_how_to_begin(call):
    assert "cryostat data synthetic" in call("list")


def test_list_shows_all_and_each(call, tissue):
    row = next(line for line in call("list").splitlines() if "Drawn tissue" in line)
    assert row.split()[:5] == ["tissue", "12", "36", "2", "6"]
    told = call("list", "tissue")
    assert "12, 64×64 px" in told
    assert "a, b, c" in told
    assert [line.split() for line in told.splitlines() if "round" in line] == [["1", "round", "24", "66.7%"]]
    with pytest.raises(SettingError, match="there are: tissue"):
        call("list", "other")


def test_import_generic_prints_what_came_in(call, tmp_path):
    source = tmp_path / "source"
    for kind in ("images", "instances"):
        (source / kind).mkdir(parents=True)
    rows = []
    for name in "ab":
        drawn = field(name)
        Image.fromarray(drawn.image).save(source / "images" / f"{name}.png")
        np.save(source / "instances" / f"{name}.npy", drawn.instances)
        rows += [f"{name},{cell},{label}" for cell, label in zip(drawn.cell_ids, drawn.class_ids, strict=True)]
    (source / "cells.csv").write_text("fov_id,cell_id,class\n" + "\n".join(rows) + "\n")
    (source / "classes.csv").write_text("id,name\n1,round\n2,long\n")
    text = call("import", "generic", source, "--name", "mine", "--mpp", 0.5, "--classes", source / "classes.csv")
    assert [line.split() for line in text.splitlines() if "round" in line] == [["1", "round", "4", "66.7%"]]
    with pytest.raises(SettingError, match="--overwrite"):
        call("import", "generic", source, "--name", "mine", "--mpp", 0.5, "--classes", source / "classes.csv")


def test_import_refuses_unknown_formats_and_crooked_settings(call, tmp_path):
    with pytest.raises(SettingError, match="there is no format 'dicom'"):
        call("import", "dicom", tmp_path)
    with pytest.raises(SettingError, match="KEY=VALUE"):
        call("import", "lizard", tmp_path, "--set", "types")
    with pytest.raises(InputError, match="does not exist"):
        call("import", "lizard", tmp_path / "none")


def test_show_draws_a_page(call, tissue, tmp_path):
    assert "tissue.png" in call("show", "tissue", "--size", 64)
    assert Image.open(tmp_path / "tissue.png").format == "PNG"
    call(
        "show",
        "tissue",
        "--out",
        "zoom.png",
        "--split",
        "base",
        "--part",
        "test",
        "--crop",
        16,
        "--columns",
        2,
        "--size",
        300,
    )
    assert Image.open(tmp_path / "zoom.png").width == 2 * 36 + 2 * 300 + 22
    with pytest.raises(SettingError):
        call("show", "tissue", "--fov", "nope", "--out", "no.png")
    assert not (tmp_path / "no.png").exists()


def test_audit_ends_with_status_1_on_errors_only(call, tissue):
    assert "0 errors" in call("audit", "tissue")
    np.save(tissue.folder / "instances" / "f03.npy", np.zeros((64, 64), np.uint16))
    text = call("audit", "tissue", code=1)
    assert "table and mask differ" in text
    assert "f03" in text


def test_audit_as_json_is_the_whole_report(call, tissue):
    report = json.loads(call("audit", "tissue", "--json"))
    assert report["passed"] is True
    assert report["counts"][0]["per_class"] == {"round": 24, "long": 12}
    assert {row["part"] for row in report["counts"]} == {"", *PARTS}


def test_audit_of_many_classes_shows_the_rarest(call, tmp_path):
    classes = tuple(CellClass(i, f"type {i}") for i in range(1, 12))
    facts = DatasetFacts("many", "Many", classes, 0.5, "CC0", "none")
    with DatasetWriter(tmp_path / "home" / "datasets" / "many", facts) as writer:
        writer.add(field("a"))
    assert "type 3 0, type 4 0, type 5 0" in call("audit", "many")


def test_audit_against_an_unknown_format_is_refused(call, tissue):
    with pytest.raises(SettingError, match="Choose one of"):
        call("audit", "tissue", "--as", "dicom")


def test_split_kfold_stores_folds_that_a_study_can_name(call, tissue):
    text = call("split", "tissue", "--kfold", 3, "--seed", 1)
    assert text.count("apart") == 3
    assert tissue.split_names() == ["3fold-0", "3fold-1", "3fold-2", "base"]
    tested = sorted(fov for i in range(3) for fov in tissue.split(f"3fold-{i}").fovs("test"))
    assert tested == list(tissue.fovs.index)
    call("split", "tissue", "--kfold", 2, "--by", "fov", "--split-name", "single")
    assert {"single-0", "single-1"} <= set(tissue.split_names())


def test_split_holdout_leave_out_and_shift(call, tissue):
    call("split", "tissue", "--holdout", "50/25/25", "--split-name", "half")
    sizes = [len(tissue.split("half").fovs(part)) for part in PARTS]
    assert sum(sizes) == 12
    assert sizes[0] in (4, 6, 8)
    call("split", "tissue", "--leave-out", "site=b")
    assert tissue.split("site-b-out").fovs("test") == ["f04", "f05", "f06", "f07"]
    call("split", "tissue", "--leave-out", "site")
    assert {"site-a-out", "site-b-out", "site-c-out"} <= set(tissue.split_names())
    call("split", "tissue", "--shift", "site=a,b:c")
    assert set(tissue.split("site-a-b-to-c").fovs("test")) == {"f08", "f09", "f10", "f11"}
    call("split", "tissue", "--shift", "stage=3:4", "--split-name", "worse")
    assert len(tissue.split("worse").parts) == 12


def test_split_from_a_published_table(call, tissue, tmp_path):
    rows = [f"f{i:02d}.hdf,{('train', 'val', 'test')[i % 3]}" for i in range(12)]
    (tmp_path / "published table.csv").write_text("sample_name,train_test_val_split\n" + "\n".join(rows))
    text = call("split", "tissue", "--csv", tmp_path / "published table.csv")
    assert "straddle" in text
    assert tissue.split("published-table").fovs("test") == ["f02", "f05", "f08", "f11"]
    call("audit", "tissue", code=1)


def test_a_split_is_not_replaced_unasked(call, tissue):
    call("split", "tissue", "--holdout", "2/1/1")
    call("split", "tissue", "--holdout", "2/1/1")
    with pytest.raises(SettingError, match="another split 'holdout'"):
        call("split", "tissue", "--holdout", "2/1/1", "--seed", 5)
    call("split", "tissue", "--holdout", "2/1/1", "--seed", 5, "--overwrite")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--kfold", 3, "--holdout", "1/1/1"],
        ["--holdout", "most/some/few"],
        ["--holdout", "80/20"],
        ["--kfold", 1],
        ["--kfold", 0],
        ["--leave-out", "site=z"],
        ["--leave-out", "grade"],
        ["--leave-out", "site", "--split-name", "x"],
        ["--leave-out", "site=a", "--by", "fov"],
        ["--shift", "site=a"],
        ["--shift", "a:b"],
        ["--holdout", "2/1/1", "--split-name", "../up"],
        ["--holdout", "2/1/1", "--split-name", ""],
    ],
)
def test_impossible_splits_are_refused_and_nothing_stored(call, tissue, arguments):
    with pytest.raises(SettingError):
        call("split", "tissue", *arguments)
    assert tissue.split_names() == ["base"]


def test_build_makes_a_dataset_and_a_quality_report(call, tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    rows = []
    for name in "abc":
        drawn = field(name)
        Image.fromarray(drawn.image).save(tmp_path / "images" / f"{name}.png")
        np.save(tmp_path / "masks" / f"{name}.npy", drawn.instances)
        rows += [
            (name, int(cell), "T cell" if label == 1 else "tumour")
            for cell, label in zip(drawn.cell_ids, drawn.class_ids, strict=True)
        ]
    pd.DataFrame(rows, columns=["fov_id", "cell_id", "phenotype"]).to_csv(tmp_path / "cells.csv", index=False)
    text = call(
        "build", "--images", "images", "--masks", "masks", "--phenotypes", "cells.csv", "--name", "built", "--mpp", 0.5
    )  # fmt: skip
    assert "0 rows that name no nucleus" in text
    counts = {tuple(line.split()[1:-2]): line.split()[-2] for line in text.splitlines() if "%" in line}
    assert counts == {("T", "cell"): "6", ("tumour",): "3"}
    assert (tmp_path / "home" / "datasets" / "built" / "dataset.toml").exists()


def test_synthetic_makes_a_dataset_with_splits(call):
    text = call("synthetic", "--size", 96, "--patients", 2, "--fields", 1, "--hospitals", 2, "--name", "grown")
    assert "hospital-1, hospital-2" in text
    assert "grown" in call("list")


def test_folds_of_one_family_are_named_together():
    assert families(["5fold-0", "5fold-1", "5fold-2", "base"]) == ["5fold-0 … 5fold-2", "base"]
    assert families(["5fold-0"]) == ["5fold-0"]
