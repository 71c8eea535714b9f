from __future__ import annotations

import shutil

import pytest
from click.testing import CliRunner

from cryostat.cli import cryostat
from cryostat.core.errors import SettingError
from cryostat.encoders.catalogue import shipped
from cryostat.report.figures import alt_text, drawings, write_drawing
from cryostat.report.figures.of_cells import size_of, slides_of
from cryostat.results.records import find_runs


def drawn(home):
    found, broken = drawings(find_runs(home).records)
    assert broken == ()
    return {drawing.name: drawing for drawing in found}


def test_nothing_is_drawn_of_nothing():
    assert drawings([]) == ([], ())


def test_one_run_has_classes_and_a_confusion_matrix(home, put_cells, legible):
    put_cells()
    found = drawn(home)
    assert list(found) == ["colon-base-standard-classes", "colon-base-standard-confusion"]
    for drawing in found.values():
        legible(drawing.draw())


def test_a_study_of_cells_has_all_its_figures(home, put_cells, legible):
    for encoder, right in (("uni", 0.7), ("virchow2", 0.8), ("phikon-v2", 0.6)):
        for head, more in (("linear", 0.0), ("unetr", 0.1)):
            for split in ("base", "glas"):
                put_cells(right + more, encoder=encoder, head=head, split=split)
        put_cells(right - 0.2, encoder=encoder, head="unetr", fraction=0.1)
    put_cells(0.75, encoder="none", head="hovernext", mode="supervised")
    found = drawn(home)
    of_split = [
        f"colon-{s}-standard-{w}" for s in ("base", "glas") for w in ("ranking", "differences", "classes", "confusion")
    ]
    across = [
        "standard-heads",
        "standard-scaling",
        "colon-base-to-glas-standard-shift",
        "colon-base-standard-efficiency",
    ]
    assert list(found) == of_split + across
    told = {}
    for name, drawing in found.items():
        figure = drawing.draw()
        legible(figure)
        told[name] = alt_text(figure)
    assert "Best: virchow2 · unetr" in told["colon-base-standard-ranking"]
    assert "7 models" in told["colon-base-standard-ranking"]
    assert "rank correlation" not in told["standard-scaling"]  # of three encoders
    assert "6 models on base and on glas" in told["colon-base-to-glas-standard-shift"]
    assert "with 10 %" in told["colon-base-standard-efficiency"]


def test_seeds_are_averaged_and_older_variants_are_passed_over(home, put_cells):
    for seed in range(3):
        put_cells(0.8, seed=seed)
    put_cells(0.9, mode="live", seed=0)
    found = drawn(home)["colon-base-standard-ranking"].draw()
    words = " ".join(t.get_text() for t in found.findobj(match=lambda a: hasattr(a, "get_text"))).replace("\n", " ")
    assert "uni · linear (live)" in words
    assert "means over 1 to 3 seeds" in words
    assert "12 patients resampled" in words
    assert "360 nuclei" in words


def test_a_study_of_cases_has_all_its_figures(home, put_case, legible):
    put_case()
    put_case("all-subsets", noise=1.5)
    found = drawn(home)
    start = "glioma-grade-mri+wsi-standard-kfold"
    kinds = ["lattice", "methods", "missing-rate", "abstention", "contributions", "calibration", "waiting-for-wsi"]
    assert list(found) == [f"{start}-{kind}" for kind in kinds]
    for drawing in found.values():
        legible(drawing.draw())


def test_what_a_lattice_lacks_is_told(home, put_case):
    put_case(subsets=((0, 1),))
    found = drawn(home)
    with pytest.raises(SettingError, match="no arm"):
        found["glioma-grade-mri+wsi-standard-kfold-contributions"].draw()


def test_a_figure_goes_into_a_folder_with_its_words(home, put_cells, tmp_path):
    put_cells()
    path = write_drawing(drawn(home)["colon-base-standard-classes"], tmp_path / "out", "svg")
    assert path.read_text().startswith("<?xml")
    assert path.with_suffix(".txt").read_text().startswith("F1 of 3 cell types for uni · linear.")


def test_the_command_draws_and_tells_what_it_could_not(home, put_cells, put_case, tmp_path):
    put_cells()
    put_case(subsets=((0, 1),))
    shutil.copytree(home.runs / "core-bt", home.runs / "broken")
    (home.runs / "broken" / "run.json").write_text("{")
    out = tmp_path / "figures"
    result = CliRunner().invoke(cryostat, ["--home", str(home.root), "figures", "-o", str(out), "--form", "png"])
    assert result.exit_code == 0, result.output
    assert "not drawn glioma-grade-mri+wsi-standard-kfold-contributions" in result.output
    assert "could not be read" in result.output
    assert (out / "colon-base-standard-confusion.png").read_bytes()[:4] == b"\x89PNG"
    assert f"{len(list(out.glob('*.png')))} of " in result.output


def test_the_command_takes_runs_homes_and_names(home, put_cells, tmp_path):
    record = put_cells()
    put_cells(encoder="musk")
    out = tmp_path / "figures"
    asked = ["figures", record.run_id, str(home.root), "-o", str(out), "--only", "ranking"]
    result = CliRunner().invoke(cryostat, ["--home", str(home.root), *asked])
    assert result.exit_code == 0, result.output
    assert [path.name for path in sorted(out.iterdir())] == [
        "colon-base-standard-ranking.pdf",
        "colon-base-standard-ranking.txt",
    ]


def test_an_empty_home_is_told(tmp_path):
    result = CliRunner().invoke(cryostat, ["--home", str(tmp_path / "none"), "figures", "-o", str(tmp_path / "out")])
    assert result.exit_code == 0
    assert "No figure can be drawn from 0 finished runs" in result.output


@pytest.mark.parametrize(
    ("words", "slides"),
    [
        ("3.1 million H&E and IHC slides of 225,000 patients", 3.1e6),
        ("456 million tiles of 58,000 slides of 132 public datasets", 58_000),
        ("1.38 billion tiles of 171,189 H&E and IHC slides", 171_189),
        ("proprietary: over 1 million slides, 936,441 of H&E", 1e6),
        ("LVD-142M: 142 million natural images", None),
        ("190 million tiles of public slides of 34 tissues", None),
        ("nothing", None),
    ],
)
def test_slides_are_read_from_the_words_of_a_card(words, slides):
    assert slides_of(words) == slides


def test_sizes_of_all_shipped_encoders_are_sane():
    found = {name: size_of(name) for name in shipped()}
    assert found["uni"] == {"parameters": 303_350_784, "slides": 100_426}
    assert found["stain-filters"] == size_of("no-such-encoder") == {}
    assert all(1e7 < sizes["parameters"] < 2e9 for sizes in found.values() if sizes)
    assert all(1e3 < sizes["slides"] < 1e7 for sizes in found.values() if "slides" in sizes)
