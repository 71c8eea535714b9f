"""The published numbers: do they hold together, and do they agree with the sheet that they come from?"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from cryostat.core.errors import SettingError
from cryostat.encoders.registry import card
from cryostat.results.cases.metrics import confusion_metrics
from cryostat.results.published import BENCHMARKS, published, published_benchmark, published_on

CELLS = published_benchmark("pathocellbench")
CASES = published_benchmark("core-bt")
SHEETS = {
    "arctique": "arctique",
    "pannuke": "pannuke",
    "lizard": "lizard",
    "lizard-glas": "lizard_domain_gen",
    "pathocell": "pathocell",
    "pathocell-type": "pathocell_adeno_v_muc_adeno",
    "pathocell-stage": "pathocell_stage_3_v_4",
}


def rows_of(benchmark):
    return [(table, row) for table in published(benchmark) for row in table.rows]


def test_tables_have_the_published_numbers_of_rows():
    assert {table.name: len(table.rows) for table in CELLS.tables} == {
        "arctique": 15,
        "pannuke": 15,
        "lizard": 16,
        "lizard-glas": 15,
        "pathocell": 15,
        "pathocell-type": 8,
        "pathocell-stage": 8,
        "pathocell-clr": 8,
        "pathocell-msi": 8,
        "lizard-efficiency": 41,
        "pathocell-efficiency": 40,
    }
    assert [len(CASES.table(name).rows) for name in ("lgg-hgg", "level1", "who-grade")] == [6, 6, 6]


def test_a_row_as_printed():
    row = next(r for r in CELLS.table("lizard").rows if (r.model, r.head) == ("virchow2", "unetr"))
    assert row.metrics == {"macro_f1": 0.7346, "macro_precision": 0.7364, "macro_recall": 0.7412, "accuracy": 0.8894}
    assert row.per_class["Connective tissue"] == 0.870
    assert (row.encoder, row.fraction, row.marks) == ("virchow2", 1.0, ())


def test_encoders_have_cards():
    for _, row in rows_of("pathocellbench"):
        assert card(row.encoder).name == row.encoder


def test_marks_are_explained():
    used = {mark for _, row in rows_of("pathocellbench") for mark in row.marks}
    assert used == set(CELLS.marks)


def test_macro_f1_is_the_mean_of_the_classes():
    """To print precision: class values to three decimals, macro values to four; all rows but those marked."""
    checked = 0
    for table, row in rows_of("pathocellbench"):
        if row.per_class and "b" not in row.marks:
            assert np.mean(list(row.per_class.values())) == pytest.approx(row.metrics["macro_f1"], abs=5.6e-4), (
                table.name,
                row.model,
                row.head,
            )
            checked += 1
    assert checked == 15 + 15 + 16 + 15 + 15 + 8 + 8 - 4


def test_the_marked_rows_of_lizard_contradict_themselves_or_the_sheet():
    marked = [row for row in CELLS.table("lizard").rows if "b" in row.marks]
    assert [(row.model, row.head) for row in marked] == [
        ("HoverNext", "hovernext"),
        ("phikonv2", "linear"),
        ("musk", "unetr"),
        ("uni", "unetr"),
    ]


def test_rows_whose_columns_were_put_in_order():
    moved = [table.name for table, row in rows_of("pathocellbench") if "c" in row.marks]
    assert (moved.count("arctique"), moved.count("pannuke"), len(moved)) == (8, 5, 13)


def test_classes_are_those_of_the_test_part():
    for table, row in rows_of("pathocellbench"):
        if row.per_class:
            assert list(row.per_class) == list(table.supports)


def test_supports_sum_to_the_published_totals():
    totals = {table.name: sum(table.supports.values()) for table in CELLS.tables}
    assert totals["lizard"] == totals["lizard-efficiency"] == 162_374
    assert totals["lizard-glas"] == 59_503
    assert totals["pannuke"] == 70_896
    assert totals["arctique"] == 73_053
    assert totals["pathocell"] == 42_876
    assert totals["pathocell-type"] == 56_953
    assert totals["pathocell-stage"] == 55_163
    assert totals["pathocell-clr"] == 0


def test_known_errors_of_the_efficiency_sheet_are_marked():
    lizard, pathocell = CELLS.table("lizard-efficiency"), CELLS.table("pathocell-efficiency")
    wrong = next(row for row in lizard.rows if "d" in row.marks)
    assert (wrong.model, wrong.fraction, wrong.metrics["macro_f1"]) == ("HoverNext", 0.05, 0.7247)
    twice = [row.metrics["macro_f1"] for row in lizard.rows if (row.model, row.fraction) == ("uni2", 0.05)]
    assert twice == [0.6176, 0.5664]
    empty = [row.model for row in pathocell.rows if "macro_f1" not in row.metrics]
    assert empty == ["uni2", "uni", "provgigapath", "titan"]


def sheet_rows(workbook, name):
    sheet = iter(workbook[name].iter_rows(values_only=True))
    header = [str(cell).removeprefix("test/") for cell in next(sheet)]
    heads = {"SimpleSeg": "linear", "UNetR": "unetr", "HoverNext": "hovernext"}
    found = {}
    for cells in sheet:
        values = dict(zip(header, cells, strict=True))
        if values.get("Model"):
            found.setdefault((values["Model"], heads[values["Wrapper"]]), []).append(values)
    return found


@pytest.mark.parametrize("name", SHEETS)
def test_rows_agree_with_the_sheet(shared, name):
    openpyxl = pytest.importorskip("openpyxl")
    workbook = openpyxl.load_workbook(shared / "data/results/results_tables.xlsx", data_only=True)
    sheet, table = sheet_rows(workbook, SHEETS[name]), CELLS.table(name)
    assert sum(map(len, sheet.values())) == len(table.rows)
    for row in table.rows:
        values = sheet[row.model, row.head].pop(0)
        for metric, column in (("macro_f1", "f1_score_macro"), ("accuracy", "accuracy_micro")):
            assert row.metrics[metric] == pytest.approx(float(values[column]), abs=6e-5)
        if not set(row.marks) & set("abc"):
            for cls, f1 in row.per_class.items():
                assert f1 == pytest.approx(float(values[f"{cls}/f1_score"]), abs=6e-4)
            hits = sum(float(values[f"{cls}/recall"]) * count for cls, count in table.supports.items())
            assert hits / sum(table.supports.values()) == pytest.approx(row.metrics["accuracy"], abs=2e-4)


def test_the_cohort_of_core_bt_adds_up():
    table = CASES.table("cohort")
    by_class = {}
    for row in table.rows:
        by_class[row.model] = by_class.get(row.model, 0) + int(row.metrics["patients"])
    assert list(by_class.values()) == [176, 71, 31, 13, 9, 6, 1, 3]
    patients = {row.config: row.metrics["patients"] for row in CASES.table("availability").rows}
    assert sum(by_class.values()) == patients["All"] == patients["Complete MRI"] + patients["Incomplete MRI"]


def fitting(patients, right, predicted):
    """All confusion matrices with these diagonals and margins, errors filled in exhaustively."""
    k = len(patients)
    wrong = [(i, j) for i in range(k) for j in range(k) if i != j]
    missed = [n - r for n, r in zip(patients, right, strict=True)]
    for errors in product(*(range(missed[i] + 1) for i, _ in wrong)):
        matrix = np.diag(right).astype(float)
        for (i, j), count in zip(wrong, errors, strict=True):
            matrix[i, j] = count
        if (matrix.sum(1) == patients).all() and (matrix.sum(0) == predicted).all():
            yield matrix


@pytest.mark.parametrize("name", ["lgg-hgg", "who-grade"])
def test_tables_follow_from_the_implied_test_sets(name):
    table = CASES.table(name)
    by_config = {config: implied for implied in table.test.rows for config in implied.configs}
    assert set(by_config) == {row.config for row in table.rows}
    for row in table.rows:
        implied = by_config[row.config]
        matrix = next(fitting(table.test.patients, implied.right, implied.predicted))
        found = confusion_metrics(matrix)
        for metric, value in row.metrics.items():
            assert float(found[metric]) == pytest.approx(value, abs=5.1e-4), (row.config, metric)
        assert table.test.accuracy(implied) == pytest.approx(float(found["accuracy"]))


def test_level1_follows_from_its_margins_too():
    table = CASES.table("level1")
    assert not table.test.certain
    for implied in table.test.rows:
        recalls = np.array(implied.right) / table.test.patients
        precisions = np.array(implied.right) / implied.predicted
        for row in (row for row in table.rows if row.config in implied.configs):
            assert recalls.mean() == pytest.approx(row.metrics["balanced_accuracy"], abs=5.1e-4)
            assert precisions.mean() == pytest.approx(row.metrics["macro_precision"], abs=5.1e-4)


def test_contradictions_say_what_and_what_follows():
    for name in BENCHMARKS:
        for found in published_benchmark(name).contradictions:
            assert all((found.claim, found.source, found.against, found.consequence))


def test_rows_for_a_leaderboard():
    assert published_on("lizard", "base") == CELLS.table("lizard").rows
    assert [row.model for row in published_on("lizard", "base", 0.5)].count("uni2") == 1
    assert published_on("lizard", "5fold") == ()


def test_unknown_names_are_refused():
    with pytest.raises(SettingError, match="no numbers of 'imagenet' ship"):
        published("imagenet")
    with pytest.raises(SettingError, match="no table 'tcga'"):
        CELLS.table("tcga")
