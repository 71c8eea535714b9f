from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from cryostat.cells.audit import audit
from cryostat.cells.dataset import CellDataset, Split
from cryostat.core.files import write_parquet

SPLIT = Split("base", {"a": "train", "b": "valid", "c": "test"})


def kinds(report, severity=None):
    return {f.check for f in report.findings if severity in (None, f.severity)}


def one(report, check):
    (finding,) = [f for f in report.findings if f.check == check]
    return finding


@pytest.fixture
def clean(write, tissue):
    about = {name: {"patient_id": f"p{name}", "site": "north" if name == "a" else "south"} for name in "abc"}
    return write({name: tissue(seed) for seed, name in enumerate("abc")}, splits=[SPLIT], about=about)


def test_a_clean_dataset_has_no_findings_and_true_counts(clean):
    report = audit(clean)
    assert report.findings == ()
    assert report.passed
    assert (report.patients, report.sites) == (3, 2)
    assert [(row.scope, row.name, row.part, row.fields) for row in report.counts] == [
        ("all", "", "", 3),
        ("site", "north", "", 1),
        ("site", "south", "", 2),
        ("split", "base", "train", 1),
        ("split", "base", "valid", 1),
        ("split", "base", "test", 1),
    ]
    whole = report.counts[0]
    assert whole.cells == len(clean.cells) == sum(whole.per_class.values())
    assert whole.per_class == {
        "round": (clean.cells["class_id"] == 1).sum(),
        "long": (clean.cells["class_id"] == 2).sum(),
    }
    assert sum(row.cells for row in report.counts if row.scope == "split") == whole.cells


def test_the_report_is_plain_json(clean):
    text = json.dumps(audit(clean).to_dict())
    assert json.loads(text)["passed"] is True


def test_errors_come_first(write, tissue):
    about = {name: {"patient_id": "same"} for name in "abc"}
    report = audit(
        write({n: tissue(i) for i, n in enumerate("abc")}, splits=[SPLIT], about=about, excluded={"d": "torn"})
    )
    assert [f.severity for f in report.findings] == ["error", "warning"]
    straddle = one(report, "patient straddles parts")
    assert straddle.where == "same (train, valid, test)"
    assert one(report, "excluded fields").where == "d (torn)"


def test_leakage_of_the_published_rule_is_a_warning(write, tissue):
    split = Split("published-rule", dict(SPLIT.parts))
    about = {name: {"patient_id": "same"} for name in "abc"}
    report = audit(write({n: tissue(i) for i, n in enumerate("abc")}, splits=[split], about=about))
    assert one(report, "patient straddles parts").severity == "warning"
    assert report.passed


def test_a_copy_in_another_part_is_an_error_and_in_the_same_a_note(write, tissue):
    fields = {"a": tissue(0), "b": tissue(1), "c": tissue(2), "d": tissue(2)}
    across = Split("base", dict(SPLIT.parts) | {"d": "train"})
    report = audit(write(fields, splits=[across]))
    assert one(report, "same tissue in two parts").where == "c = d (100% of the area), test/train"
    within = Split("base", dict(SPLIT.parts) | {"d": "test"})
    report = audit(write(fields, splits=[within]))
    assert one(report, "same tissue twice").severity == "note"


def test_unknown_patients_are_noted(write, tissue):
    report = audit(write({"a": tissue(0)}))
    assert kinds(report) == {"patient unknown"}


def test_classes_that_lack_nuclei_and_nuclei_that_lack_classes(write, tissue):
    image, instances, classes = tissue(0)
    fields = {"a": (image, instances, {i: 2 for i in classes if i > 5}), "b": tissue(1), "c": tissue(2)}
    report = audit(write(fields, classes=("round", "long", "rare"), splits=[SPLIT]))
    assert one(report, "class without nuclei").where == "rare"
    assert one(report, "nucleus without a class").what.startswith(
        "nuclei without a class, neither trained on nor scored: 5 of "
    )
    assert one(report, "class missing from part").where == "base/train (round)"
    assert report.passed


def test_a_class_id_without_a_name_is_an_error(clean):
    cells = clean.cells.copy()
    cells.loc[0, "class_id"] = 9
    write_parquet(clean.folder / "cells.parquet", cells)
    assert one(audit(CellDataset(clean.folder)), "class id without a name").where == "class 9"


def test_pixel_labels_without_a_name_are_an_error(clean):
    (clean.folder / "semantic").mkdir(exist_ok=True)
    np.save(clean.folder / "semantic" / "b.npy", np.full((400, 400), 7, np.uint8))
    assert one(audit(clean), "class id without a name").where == "b (7)"


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda folder: (folder / "images" / "a.npy").unlink(), "unreadable"),
        (lambda folder: (folder / "instances" / "a.npy").write_bytes(b"\x93NUMPY"), "unreadable"),
        (lambda folder: np.save(folder / "instances" / "a.npy", np.zeros((400, 399), np.uint16)), "shapes differ"),
        (lambda folder: np.save(folder / "images" / "a.npy", np.zeros((400, 400), np.uint8)), "shapes differ"),
        (
            lambda folder: np.save(folder / "instances" / "a.npy", np.zeros((400, 400), np.uint16)),
            "table and mask differ",
        ),
        (
            lambda folder: shutil.copy(folder / "instances" / "b.npy", folder / "instances" / "a.npy"),
            "table and mask differ",
        ),
    ],
)
def test_damage_is_a_finding_and_never_a_traceback(clean, change, check):
    change(clean.folder)
    report = audit(clean, known_as="lizard")
    assert check in kinds(report, "error")
    assert one(report, check).where.startswith("a")


MOVED = "+0 rows, -12 columns"


def overpaint(drawn, rows, value):
    image = drawn.image.copy()
    image[:rows] = value
    return drawn._replace(image=image)


@pytest.mark.parametrize(
    ("change", "check", "severity", "detail"),
    [
        (lambda t: t._replace(instances=np.ascontiguousarray(t.instances.T)), "mask turned", "error", "transposed"),
        (lambda t: t._replace(instances=t.instances[::-1]), "mask turned", "error", "flipped top to bottom"),
        (lambda t: t._replace(instances=np.roll(t.instances, 12, 1)), "mask shifted", "warning", MOVED),
        (lambda t: overpaint(t, 400, 60), "blank image", "error", "all 60"),
        (lambda t: t._replace(image=t.image.astype(np.uint16)), "8 bits in 16", "warning", ""),
        (lambda t: overpaint(t, 250, 255), "saturated", "warning", "62%"),
        (lambda t: overpaint(t, 120, 0), "black", "warning", "30%"),
        (lambda t: t._replace(instances=t.instances * 0, classes={}), "no nuclei", "note", ""),
    ],
)
def test_implausible_fields_are_named(write, tissue, change, check, severity, detail):
    report = audit(write({"a": tissue(0), "b": change(tissue(1))}))
    finding = one(report, check)
    assert finding.severity == severity
    assert finding.where == (f"b ({detail})" if detail else "b")


def test_masks_of_small_tiles_are_judged_together(write, tissue):
    wide = tissue(3, size=640, nuclei=500)
    tiles = {}
    for y in range(0, 640, 64):
        for x in range(0, 640, 64):
            part = np.ascontiguousarray(wide.instances[y : y + 64, x : x + 64].T)
            ids = np.unique(part)
            tiles[f"{y}_{x}"] = (wide.image[y : y + 64, x : x + 64], part, {int(i): 1 for i in ids if i})
    finding = next(f for f in audit(write(tiles)).findings if f.check == "mask turned")
    assert finding.severity == "error"


def test_a_nucleus_in_pieces_is_noted(write, tissue):
    image, instances, classes = tissue(0)
    instances = instances.copy()
    instances[0:4, 0:4], instances[0:4, 396:400] = 1, 1
    assert (
        one(audit(write({"a": (image, instances, classes)})), "nucleus in pieces").where == f"a (1 of {len(classes)})"
    )


def test_sizes_and_scale_are_judged_in_square_micrometres(write, tissue):
    report = audit(write({"a": tissue(0)}, mpp=5.0))
    assert one(report, "scale").where == "5 µm per pixel"
    assert "larger than 500 µm²" in one(report, "nucleus size").what
    image, instances, classes = tissue(0)
    instances = instances.copy()
    instances[0, 0] = new = len(classes) + 1
    report = audit(write({"a": (image, instances, {**classes, new: 1})}))
    assert one(report, "nucleus size").what == f"nuclei smaller than 4 µm²: 1 of {new}"


def test_a_stale_split_is_an_error(clean):
    table = pd.DataFrame({"fov_id": ["a", "b", "z"], "part": ["train", "test", "test"]})
    write_parquet(clean.folder / "splits" / "stale.parquet", table)
    report = audit(clean)
    assert one(report, "split names unknown fields").where == "z"
    assert one(report, "empty part").what.endswith("in valid")


def test_consep_is_clean_and_complete(shared, tmp_path):
    pytest.importorskip("cryostat.cells.datasets.consep")
    from cryostat.cells.datasets import ImportOptions, import_dataset
    from cryostat.core.home import Home

    dataset = import_dataset("consep", shared / "data/consep/Train", Home(tmp_path), options=ImportOptions(limit=4))
    report = audit(dataset)
    assert report.passed
    assert not kinds(report) & {"mask turned", "mask shifted", "mask unrelated", "same tissue twice"}
