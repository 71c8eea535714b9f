from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from cryostat.cli import cryostat
from cryostat.core.errors import InputError, SettingError
from cryostat.core.files import write_json
from cryostat.core.home import Home
from cryostat.results.cases.predictions import write_case_predictions
from cryostat.results.cases.scores import score_cases
from cryostat.results.predictions import write_predictions
from cryostat.results.records import RunRecord
from cryostat.results.scores import score


@pytest.fixture
def home(tmp_path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def put(home) -> Callable[..., str]:
    """Writes a run of eight fields of four cells: of how many tumour cells of two, in each field, it is right."""

    def put(encoder: str, right: int, split: str = "base", seed: int = 0, fields: int = 8) -> str:
        name = f"{split}-{encoder}-{seed}"
        predicted = [1 if i < right else 2 for i in range(2)] + [2, 2]
        columns = {"fov_id": np.repeat([f"{split}{i}" for i in range(fields)], 4), "cell_id": np.tile(range(4), fields)}
        columns |= {"y_true": np.tile([1, 1, 2, 2], fields), "y_pred": np.tile(predicted, fields)}
        table = pd.DataFrame(columns).assign(run_id=name, tile=-1)
        table["site"] = table["fov_id"].str[-1].astype(int).mod(2).map({0: "north", 1: "south"})
        settings = {"dataset": "colon", "split": split, "encoder": encoder, "head": "linear", "protocol": "standard"}
        settings |= {"fraction": 1.0, "seed": seed, "mpp": 0.5}
        write_predictions(home.runs / name / "predictions.parquet", table)
        write_json(home.runs / name / "scores.json", score(table, {1: "tumour", 2: "stroma"}).to_dict())
        RunRecord(name, "cells", "2026-01-01", {"encoder": encoder}, settings).save(home.runs / name)
        return name

    return put


def compare(home: Home, *options: object):
    arguments = [str(a) for a in ("--home", home.root, "compare", *options)]
    return CliRunner(env={"COLUMNS": "160"}).invoke(cryostat, arguments)


def line_with(output: str, *words: str) -> str:
    (line,) = (line for line in output.splitlines() if all(word in line for word in words))
    return line


def test_two_runs_class_by_class(home, put, tmp_path):
    put("strong", 2)
    put("weak", 1)
    result = compare(home, "strong", "weak", "--json", tmp_path / "c.json")
    assert result.exit_code == 0, result.output
    # Weak: tumour 2/3, stroma 2 · 2 / (2 + 3).
    assert "+0.267 [+0.267, +0.267]" in line_with(result.output, "macro F1", "+0.267")
    assert line_with(result.output, "tumour").split()[:3] == ["tumour", "1.000", "0.667"]
    # 2 of 2⁸ exchanges, and twice that for two classes.
    assert line_with(result.output, "tumour").split()[-6:-4] == ["0.008", "0.016"]
    assert "rare: 16 cells" in line_with(result.output, "tumour")
    assert "unknown with one seed" in result.output
    facts = json.loads((tmp_path / "c.json").read_text())
    assert (facts["first"], facts["second"], facts["clusters"]) == ("base-strong-0", "base-weak-0", 8)


def test_rows_against_the_best(home, put, tmp_path):
    for seed in (0, 1):
        put("strong", 2, seed=seed)
    put("equal", 2)
    put("weak", 1)
    result = compare(home, "--dataset", "colon", "--split", "base", "--json", tmp_path / "c.json")
    assert result.exit_code == 0, result.output
    assert "not told apart" in line_with(result.output, "equal", "strong")
    weak = line_with(result.output, "weak")
    assert "not told apart" not in weak
    assert "0.016" in weak
    assert "32 cells of 8 fields of view" in result.output
    written = json.loads((tmp_path / "c.json").read_text())
    assert [pair["second"]["encoder"] for pair in written][-1] == "weak"
    assert written[-1]["adjusted"] == pytest.approx(2 * 2 / 2**8)


def test_every_pair(home, put):
    for name, right in (("a", 2), ("b", 1), ("c", 0)):
        put(name, right)
    output = compare(home, "--every-pair").output
    assert line_with(output, "b · linear", "c · linear")
    assert "c · linear" not in compare(home, "--encoder", "a", "--encoder", "b").output


def test_too_few_fields_are_said_to_be_too_few(home, put):
    put("a", 2, fields=3)
    put("b", 1, fields=3)
    assert "3 fields of view: too few for a test (no p-value below 0.25 is possible)" in compare(home).output


def test_shift(home, put, tmp_path):
    put("vit", 2)
    put("vit", 1, split="glas")
    result = compare(home, "--shift", "base", "glas", "--per-class", "--json", tmp_path / "s.json")
    assert result.exit_code == 0, result.output
    assert "-0.267 [-0.267, -0.267]" in line_with(result.output, "vit · linear", "site")
    assert "16 → 16" in line_with(result.output, "tumour")
    assert "8 and 8 fields of view" in result.output
    (facts,) = json.loads((tmp_path / "s.json").read_text())
    assert facts["base"]["split"] == "base"
    assert facts["means"][0]["change"]["value"] == pytest.approx(-4 / 15)


def test_what_cannot_be_compared_is_said(home, put):
    put("a", 2)
    put("b", 2, split="glas")
    assert "No two finished rows" in compare(home).output
    assert isinstance(compare(home, "base-a-0").exception, SettingError)
    assert isinstance(compare(home, "base-a-0", "glas-b-0", "--dataset", "colon").exception, SettingError)
    assert isinstance(compare(home, "base-a-0", "glas-b-0").exception, InputError)
    assert isinstance(compare(home, "--shift", "base", "glas").exception, SettingError)
    assert isinstance(compare(home, "base-a-0", "nothing").exception, SettingError)


def test_unusable_folders_are_named(home, put):
    put("a", 2)
    put("b", 1)
    (home.runs / "half").mkdir()
    assert "half: run.json does not exist" in compare(home).output


def test_a_single_run_is_shown_with_its_interval(home, put):
    put("weak", 1)
    arguments = ["--home", str(home.root), "results", "show", "weak"]
    output = CliRunner(env={"COLUMNS": "160"}).invoke(cryostat, arguments).output
    assert (
        "macro F1 0.733 [0.733, 0.733] · accuracy 0.750 [0.750, 0.750]: 95 % intervals over 8 fields of view" in output
    )


@pytest.fixture
def put_case(home):
    """Writes a run of 60 patients, all with MRI and half with slides; of each ten, so many are named rightly."""

    def put(method: str, right: int) -> str:
        place, parts = np.arange(60), []
        true = np.where(place % 2, "mutant", "wildtype")
        wrong = np.where(place % 2, "wildtype", "mutant")
        for offered in ("nothing", "mri", "wsi", "mri+wsi"):
            hit = place % 10 < (right if "mri" in offered else 5)
            named = np.where(hit, true, wrong)
            facts = {"run_id": method, "repeat": 0, "fold": place % 5, "seed": 0, "ablation": "full"}
            facts |= {"patient_id": [f"p{i}" for i in place], "offered": offered, "y_true": true, "y_pred": named}
            having = np.where(place < 30, "mri+wsi", "mri")
            facts["seen"] = [_both(offered, have) for have in having]
            chance = np.where(named == "mutant", 0.8, 0.2)
            parts.append(pd.DataFrame(facts | {"p_wildtype": 1 - chance, "p_mutant": chance}))
        table, folder = pd.concat(parts, ignore_index=True), home.runs / f"case-{method}"
        classes, modalities = ("wildtype", "mutant"), ("mri", "wsi")
        write_case_predictions(folder / "predictions.parquet", table, classes, modalities)
        write_json(folder / "scores.json", score_cases(table, classes, modalities, draws=20).to_dict())
        settings = {"cohort": "glioma", "task": "idh", "protocol": "standard", "split": "kfold", "method": method}
        settings |= {"modalities": list(modalities), "method_settings": {}}
        RunRecord(folder.name, "cases", "2026-01-01", {"m": method}, settings).save(folder)
        return folder.name

    return put


def _both(offered: str, have: str) -> str:
    return "+".join(name for name in ("mri", "wsi") if name in offered and name in have) or "nothing"


def test_fusion_against_the_experts_of_single_modalities(home, put, put_case, tmp_path):
    put_case("best-expert", 5)
    put_case("core-bt", 9)
    result = compare(home, "--metric", "accuracy", "--json", tmp_path / "c.json")
    assert result.exit_code == 0, result.output
    assert "core-bt on mri + wsi" in result.output
    assert line_with(result.output, "wsi", "30").split()[:4] == ["wsi", "30", "0.900", "0.500"]
    assert line_with(result.output, "best expert", "60").split()[2:6] == ["60", "0.900", "0.500", "+0.400"]
    (written,) = json.loads((tmp_path / "c.json").read_text())
    assert [each["against"] for each in written["comparisons"]] == ["mri", "wsi", "best expert"]
    assert written["comparisons"][0]["adjusted"] < 0.01
    assert "log-loss" in compare(home, "--cohort", "glioma", "--metric", "log_loss").output
    assert "No run of fusion" in compare(home, "--task", "grade").output
    assert "core-bt on" not in compare(home, "--dataset", "colon").output


def test_cells_and_cases_stand_below_each_other_unless_filters_choose(home, put, put_case):
    put("strong", 2)
    put("weak", 1)
    put_case("best-expert", 5)
    put_case("product", 8)
    both = compare(home).output
    assert "colon" in both
    assert "product on mri + wsi" in both
    assert "colon" not in compare(home, "--method", "product").output


def test_two_runs_of_cases(home, put, put_case):
    put_case("late", 6)
    put_case("core-bt", 9)
    result = compare(home, "core-bt", "late", "--metric", "accuracy")
    assert result.exit_code == 0, result.output
    assert line_with(result.output, "everybody").split()[:3] == ["everybody", "60", "0.900"]
    put("strong", 2)
    assert isinstance(compare(home, "core-bt", "strong").exception, SettingError)
    assert isinstance(compare(home, "core-bt", "late", "--metric", "beauty").exception, SettingError)
