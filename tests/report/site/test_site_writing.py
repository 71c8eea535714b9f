from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from click.testing import CliRunner
from site_studies import HOSTILE, SCRIPT

from cryostat.cli import cryostat
from cryostat.core.errors import SettingError
from cryostat.report.site import build_report
from cryostat.results.records import find_runs


class Seen(HTMLParser):
    """Elements, addresses and ids of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.links, self.ids, self.handlers = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.links += [value for name, value in attrs if name in ("href", "src") and value]
        self.ids += [value for name, value in attrs if name == "id"]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="session")
def pages(site) -> dict[str, Seen]:
    return {path.name: Seen(path.read_text("utf-8")) for path in site.glob("*.html")}


def test_every_kind_of_page_is_there(pages):
    kinds = {name.partition("-")[0] for name in pages}
    assert kinds >= {"index.html", "methods.html", "figures.html", "dataset", "cohort", "encoder", "method", "gallery"}


def test_links_lead_to_files_of_the_report(site, pages):
    for name, page in pages.items():
        for link in page.links:
            if link == "data:,":
                continue
            assert "://" not in link, (name, link)
            file, _, part = link.partition("#")
            target = (site / unquote(file)).resolve() if file else site / name
            assert target.is_file(), (name, link)
            assert site in target.parents
            if part:
                assert part in Seen(target.read_text("utf-8")).ids, (name, link)


def test_hostile_names_are_text(site, pages):
    for name, page in pages.items():
        scripts, text = page.all("script"), (site / name).read_text("utf-8")
        assert len(scripts) == 1, name  # ours
        assert not page.handlers, name
        assert SCRIPT not in text, name
        assert not any(link.startswith(("http", "//", "javascript")) for link in page.links), name
    assert "&lt;script&gt;window.hacked=1" in (site / "index.html").read_text("utf-8")


def test_pages_are_accessible(pages):
    for name, page in pages.items():
        assert page.all("html")[0]["lang"] == "en"
        assert all(image.get("alt") for image in page.all("img")), name
        assert all(svg.get("aria-label") or svg.get("aria-hidden") for svg in page.all("svg")), name
        assert all(head.get("scope") for head in page.all("th")), name
        assert len(page.all("caption")) == len(page.all("table")), name
        assert len(page.all("h1")) == 1, name
        assert any(link.get("class") == "skip" for link in page.all("a")), name
        assert len(page.ids) == len(set(page.ids)), name


def test_no_patient_is_named(site):
    for path in site.rglob("*"):
        if path.is_file():
            assert b"Jane" not in path.read_bytes(), path
            assert "Jane" not in path.name


def test_fields_are_named_where_asked(study_home, tmp_path):
    found = find_runs(study_home, dataset="squares")
    build_report(found.records, tmp_path, home=study_home, patients=True, figures=False)
    assert "Jane-Doe-0-slide" in (tmp_path / "gallery-squares.html").read_text("utf-8")


def test_figures_are_those_of_the_runs(site):
    rows = {(r["dataset"], r["encoder"], r["split"], r["fraction"]): r for r in read_csv(site / "data/cells.csv")}
    # 4 of 5 fields have one red nucleus called blue: red 6 of 10 found, F1 12/16; blue 20/24; the mean 0.7917.
    assert float(rows["squares", "uni", "base", "1.0"]["macro_f1"]) == pytest.approx((12 / 16 + 20 / 24) / 2)
    assert float(rows["squares", "uni", "base", "1.0"]["accuracy"]) == pytest.approx(0.8)
    whole = json.loads((site / "data/report.json").read_text("utf-8"))
    assert {"cells", "classes", "shift", "cases", "lattice", "runs"} <= set(whole)
    shift = next(r for r in whole["shift"] if r["score"] == "accuracy")
    assert (shift["base"], shift["shifted"]) == (0.8, 0.6)


def test_intervals_over_few_patients_carry_a_mark_that_is_explained(site):
    said = "† Fewer than 10 patients: the interval is likely too narrow."  # squares have 5 patients, lizard has 12
    assert said in plain(site / "index.html")
    assert said in plain(site / "encoder-uni.html")
    assert said in plain(site / "dataset-squares.html")
    assert "†" not in plain(site / "dataset-lizard.html")
    rows = {(r["dataset"], r["encoder"]): r["doubtful"] for r in read_csv(site / "data/cells.csv") if r["runs"]}
    assert rows["squares", "uni"] == "red (5), <b>blue (5)"
    assert rows["lizard", "uni2-h"] == ""
    classes = [r for r in read_csv(site / "data/classes.csv") if r["dataset"] == "squares"]
    assert {(r["clusters"], r["effective_clusters"], r["doubtful"]) for r in classes} == {("5", "5.0", "True")}
    tex = (site / "paper.tex").read_text("utf-8")
    assert "]\\textdagger{}" in tex
    assert "\\textdagger{} Fewer than 10 patients" in tex


def test_published_rows_stand_beside_ours_without_rank(site):
    rows = [r for r in read_csv(site / "data/cells.csv") if r["dataset"] == "lizard"]
    published = [r for r in rows if r["published"]]
    assert len(rows) - len(published) == 1
    assert {float(r["fraction"]) for r in published} == {1.0}  # as ours: none of a twentieth of the fields
    assert not any(r["rank"] or r["macro_f1_low"] for r in published)
    best = next(r for r in published if r["printed"] == "uni2" and r["head"] == "unetr")
    assert best["encoder"] == "uni2-h"
    assert "0.7247" in {f"{float(r['macro_f1']):.4f}" for r in published}
    assert {r["published"] for r in published} == {"Lizard, base split (sheet lizard; Fig. 2a)"}


def test_published_rows_say_whose_they_are_and_what_is_wrong_with_them(site):
    text = plain(site / "dataset-lizard.html")
    assert "printed by PathoCellBench: Lizard, base split (sheet lizard; Fig. 2a)." in text
    assert "Mark b: contradicts itself: macro values and classes are of several runs." in text
    assert "interval unknown" in plain(site / "index.html")
    assert "Their intervals are unknown" in text
    assert "printed by" not in plain(site / "dataset-squares.html")


def test_published_rows_of_patients_name_their_table(site):
    text = plain(site / "cohort-corebt-who_grade-standard-kfold-mri-wsi.html")
    assert "printed by CoRe-BT: WHO grade (Table 3)." in text
    assert "implied: 0.37–0.80" in text
    assert "printed by" not in plain(site / "cohort-glioma-grade-standard-kfold-mri-wsi.html")
    rows = [r for r in read_csv(site / "data/cases.csv") if r["published"]]
    assert {r["cohort"] for r in rows} == {"corebt"}
    (value,) = [r["value"] for r in rows if (r["method"], r["metric"]) == ("MRI only", "balanced_accuracy")]
    assert float(value) == 0.567
    assert "MRI only (published)" in (site / "paper.tex").read_text("utf-8")


def test_ladders_show_what_is_lost(site):
    rows = [r for r in read_csv(site / "data/ladders.csv") if r["encoder"] == "uni"]
    assert [float(r["amount"]) for r in rows] == [0.0, 0.5, 1.0]
    # 1 of 4 nuclei of 4 of 5 fields is wrong: F1 of red 12/16, of blue 20/24; step 1 turns the field without errors.
    untouched, worse = (12 / 16 + 20 / 24) / 2, (8 / 16 + 16 / 24) / 2
    assert float(rows[0]["macro_f1"]) == pytest.approx(untouched)
    assert float(rows[1]["drop"]) == pytest.approx(worse - untouched)
    assert json.loads((site / "data/ladders.json").read_text("utf-8"))["ladders"][0]["perturbation"] == "blur<b>"
    text = plain(site / "dataset-squares.html")
    assert "Robustness" in text
    assert "What is lost at each strength" in text
    assert f"{worse - untouched:+.2f}".replace("-", "−") in text
    assert "Robustness" not in plain(site / "dataset-lizard.html")
    assert "data/ladders.csv" in (site / "dataset-squares.html").read_text("utf-8")
    assert "squares-base-standard-robustness" in plain(site / "figures.html").replace("​", "")


def test_formulas_are_not_run_by_spreadsheets(site):
    methods = {row["method"] for row in read_csv(site / "data/cases.csv")}
    assert "'" + HOSTILE["method"] in methods


def test_tables_for_latex_hold_no_commands_of_users(site):
    text = (site / "paper.tex").read_text("utf-8")
    assert r"\textless{}script\textgreater{}" in text
    assert "Euclid 300 BC" in (site / "citations.bib").read_text("utf-8")


def test_methods_tell_time_energy_and_proof(site):
    text = re.sub(r"<[^>]+>", "", (site / "methods.html").read_text("utf-8"))
    assert "unchanged in 7 runs" in text
    # 7 runs of 90 s at 65 W.
    assert f"{7 * 90 * 65 / 3.6e6:.3g} kWh" in text
    assert "report: is empty: 1" in text
    assert "broken&lt;b&gt;" in (site / "index.html").read_text("utf-8")


def test_a_report_is_small(site):
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 2e6


def test_other_files_are_never_written_over(study_home, tmp_path):
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(SettingError, match="no report of ours"):
        build_report(find_runs(study_home).records, tmp_path, home=study_home, figures=False)


def test_an_older_report_is_replaced_whole(study_home, tmp_path):
    records = find_runs(study_home, dataset="lizard").records
    build_report(find_runs(study_home, dataset="squares").records, tmp_path, home=study_home, figures=False)
    assert (tmp_path / "dataset-squares.html").exists()
    build_report(records, tmp_path, home=study_home, figures=False)
    assert (tmp_path / "dataset-lizard.html").exists()
    assert not (tmp_path / "dataset-squares.html").exists()
    assert not list((tmp_path / "images").glob("*"))


def test_nothing_to_report_is_said(study_home, tmp_path):
    with pytest.raises(SettingError, match="no finished run"):
        build_report((), tmp_path, home=study_home, figures=False)


def test_filters_of_one_benchmark_leave_the_other_out(study_home, tmp_path):
    def report(*options: str) -> list[str]:
        out = tmp_path / "-".join(options).replace("/", "")
        arguments = ["--home", str(study_home.root), "report", "-o", str(out), "--no-figures", *options]
        result = CliRunner().invoke(cryostat, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return sorted(path.name.partition("-")[0] for path in Path(out).glob("*-*.html"))

    assert report("--dataset", "lizard") == ["dataset", "encoder"]
    assert report("--method", "lda") == ["cohort", "method"]
    assert report("--dataset", "lizard", "--method", "lda") == ["cohort", "dataset", "encoder", "method"]


def plain(path: Path) -> str:
    """What a page says."""
    return re.sub(r"<[^>]+>", "", path.read_text("utf-8"))


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
