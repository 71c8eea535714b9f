from __future__ import annotations

import shutil

import pandas as pd
import pytest
from view_samples import HOSTILE, write_run

from cryostat.core.errors import CryostatError, IdentityError, InputError, SettingError
from cryostat.core.home import Home
from cryostat.report.view import Overlays, shelve
from cryostat.report.view.choosing import choose_runs
from cryostat.report.view.listing import Wish, neighbours, rows_of
from cryostat.report.view.models import Model, models_of, voted
from cryostat.report.view.predicted import field_facts, found_facts, prediction_facts

FOLD = "squares-2fold-0-vit-linear-aa"


def model(judged, squares, *names: str) -> Model:
    (found,) = models_of(squares, choose_runs(names, judged), ranked=False)
    return found


@pytest.fixture
def own(judged, tmp_path) -> Home:
    """A copy that a test may spoil."""
    shutil.copytree(judged.root, tmp_path / "own")
    return Home(tmp_path / "own")


def test_folds_of_one_cross_validation_are_one_model(judged, squares):
    models = models_of(squares, choose_runs(["squares*"], judged), ranked=False)
    assert [(m.key, m.title, len(m.records)) for m in models] == [
        ("m1", "vit · linear · 2fold · seed 0", 2),
        ("m2", "hovernext · base · seed 0", 1),
    ]
    assert models[0].errors == {"a": (2, 4), "b": (0, 4)}
    assert models[0].run_of("b").run_id == "squares-2fold-1-vit-linear-bb"
    ranked = models_of(squares, choose_runs(["squares*"], judged), ranked=True)
    assert [m.macro_f1 for m in ranked] == sorted((m.macro_f1 for m in ranked), reverse=True)


@pytest.mark.parametrize(
    ("name", "found"),
    [(FOLD, 1), ("fold-0", 1), ("*fold*", 2), ("squares-*", 3)],
)
def test_runs_are_named_by_id_part_or_pattern(judged, name, found):
    assert len(choose_runs([name], judged)) == found


def test_a_run_may_be_a_folder_and_is_taken_once(judged):
    folder = str(judged.runs / FOLD)
    assert [record.run_id for record in choose_runs([folder, FOLD], judged)] == [FOLD]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("squares-2fold-0-vit-linaer", "The nearest are squares-2fold-0-vit-linear-aa"),
        ("vit-linear", "2 runs .*--run '\\*vit-linear\\*'"),
        ("zzz*", "no run 'zzz\\*' among the 3"),
    ],
)
def test_a_name_that_names_no_run_is_told_with_the_nearest(judged, name, told):
    with pytest.raises(SettingError, match=told):
        choose_runs([name], judged)


def test_missing_predictions_are_told(own):
    (own.runs / FOLD / "predictions.parquet").unlink()
    with pytest.raises(InputError, match=r"has no predictions\.parquet"):
        choose_runs([FOLD], own)
    with pytest.raises(InputError, match=r"has no predictions\.parquet"):
        choose_runs([str(own.runs / FOLD)], own)


def test_damaged_predictions_are_told_at_once_where_the_run_is_named(own, squares):
    (own.runs / FOLD / "predictions.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(InputError, match="predictions"):
        shelve(["squares"], own, Overlays(runs=[FOLD]))
    shelf = shelve(["squares"], own, Overlays(every_run=True))
    broken = next(m for m in shelf.models["squares"] if len(m.records) == 2)
    wish = Wish(broken, "errors", "")
    assert "cannot be read" in wish.errors[1]
    assert [row.rate for row in rows_of(squares, wish)] == [None, None, None]


def test_a_changed_dataset_is_told(own, squares):
    toml = own.datasets / "squares" / "dataset.toml"
    toml.write_text(toml.read_text().replace(squares.identity, "0" * 16))
    with pytest.raises(IdentityError, match=f"of identity {squares.identity}; the one imported is {'0' * 16}"):
        shelve(["squares"], own, Overlays(runs=[FOLD]))
    shelf = shelve(["squares"], own, Overlays(every_run=True))
    assert not shelf.models
    assert len(shelf.left_out) == 3


def test_all_runs_name_those_that_cannot_be_read(own):
    (own.runs / FOLD / "run.json").write_text("{")
    shelf = shelve(["squares"], own, Overlays(every_run=True))
    assert len(shelf.models["squares"]) == 2
    assert [sentence[: len(FOLD) + 7] for sentence in shelf.left_out] == [f"run '{FOLD}':"]


def test_runs_of_another_dataset_are_told(judged, dataset_home):
    with pytest.raises(SettingError, match="of dataset 'squares', and shown are 'tiny'"):
        shelve([str(dataset_home.datasets / "tiny")], judged, Overlays(runs=[FOLD]))
    shelf = shelve([str(dataset_home.datasets / "tiny")], judged, Overlays(every_run=True))
    assert not shelf.models
    assert not shelf.left_out


def test_a_run_alone_brings_its_dataset(judged):
    shelf = shelve([], judged, Overlays(runs=[FOLD]))
    assert list(shelf.datasets) == list(shelf.models) == ["squares"]


def test_fields_and_nuclei_that_the_dataset_has_not_are_told(own, squares):
    write_run(own, squares, "strange-field", {"zz": [1]})
    with pytest.raises(IdentityError, match="'zz'"):
        shelve(["squares"], own, Overlays(runs=["strange-field"]))
    write_run(own, squares, "strange-nucleus", {"a": [1, 1, 1, 1, 1]})
    with pytest.raises(IdentityError, match="nucleus 5"):
        prediction_facts(squares, model(own, squares, "strange-nucleus"), "a")


def test_all_runs_need_a_dataset(judged, tiff):
    with pytest.raises(SettingError, match="no dataset is shown"):
        shelve([str(tiff)], judged, Overlays(every_run=True))


def test_worst_fields_come_first_and_untested_last(judged, squares):
    folds = model(judged, squares, "*fold*")
    worst = rows_of(squares, Wish(folds, "errors", ""))
    assert [(row.id, row.rate) for row in worst] == [("a", 0.5), ("b", 0.0), (HOSTILE, None)]
    assert [row.id for row in rows_of(squares, Wish(folds, "right", ""))] == ["b", "a", HOSTILE]
    assert neighbours(squares, Wish(folds, "errors", ""), "b") == {"previous": "a", "next": HOSTILE}
    assert Wish.of([folds], {"run": "m9", "sort": "<x>"}) == Wish(folds, "errors", "")
    assert Wish.of([], {"sort": "errors"}) == Wish(None, "stored", "")


def test_what_is_told_of_a_field(judged, squares):
    told = prediction_facts(squares, model(judged, squares, FOLD), "a")
    assert told["truth"] == [1, 1, 2, 2]
    assert told["predicted"] == [1, 2, 0, 2]
    assert told["states"] == "rwmr"
    assert (told["wrong"], told["scored"]) == (2, 4)
    assert told["outputs"] == [0, 1, 2]
    assert told["probabilities"] == [[200, 600, 200], [50, 50, 900], [900, 50, 50], [50, 50, 900]]
    assert told["scores"]["classes"]["1"] == {"true": 2, "predicted": 1, "f1": pytest.approx(2 / 3)}
    assert told["scores"]["classes"]["2"] == {"true": 2, "predicted": 2, "f1": 0.5}
    facts = field_facts(squares, "a")
    assert facts["ids"] == [1, 2, 3, 4]
    assert [len(rings) for rings in facts["rings"]] == [1, 1, 1, 1]


def test_fields_outside_the_test_part_say_so(judged, squares):
    told = prediction_facts(squares, model(judged, squares, FOLD), "b")
    assert told == {"tested": False, "why": "This field is not in the test part of this run."}
    told = prediction_facts(squares, model(judged, squares, "*fold*"), HOSTILE)
    assert told["why"] == "This field is not in the test part of any of these runs."


def test_where_the_split_is_as_it_was_the_part_is_told(own, squares):
    from cryostat.core.files import read_json, write_json
    from cryostat.core.identity import digest

    path = own.runs / "squares-hover" / "run.json"
    record = read_json(path)
    record["identity"]["split"] = digest(dict(squares.split("base").parts))
    write_json(path, record)
    hover = model(own, squares, "squares-hover")
    assert hover.absence("b").endswith(": it was trained on it.")
    assert hover.absence(HOSTILE).endswith(": it was stopped by its score on it.")


def test_models_of_one_title_say_what_sets_them_apart(own, squares):
    said = {"a": [1, 1, 2, 2]}
    write_run(own, squares, "twin-1", said, precision="fp32", split="own")
    write_run(own, squares, "twin-2", said, precision=None, split="own")
    titles = [m.title for m in models_of(squares, choose_runs(["twin*"], own), ranked=False)]
    assert titles == ["vit · linear · own · seed 0 · precision fp32", "vit · linear · own · seed 0 · precision none"]
    write_run(own, squares, "twin-3", said, precision=None, split="own")
    (*_, third) = models_of(squares, choose_runs(["twin*"], own), ranked=False)
    assert third.title.endswith("seed 0 · 3")


def test_the_macro_f1_of_folds_is_that_of_their_predictions_together(judged, squares):
    folds = model(judged, squares, "*fold*")
    # Red: 1 and 2 of both fields, of which 2 of a is called blue; blue: 3 is called background in a.
    red, blue = 2 * 3 / (4 + 3), 2 * 3 / (4 + 4)
    assert folds.macro_f1 == pytest.approx((red + blue) / 2)


def test_nuclei_that_a_run_found_itself(judged, squares):
    hover = model(judged, squares, "squares-hover")
    assert prediction_facts(squares, hover, "a")["found"] is True
    told = found_facts(squares, hover, "a")
    assert (told["ids"], told["classes"]) == ([9], [2])
    with pytest.raises(InputError, match="kept no nuclei of its own"):
        found_facts(squares, model(judged, squares, FOLD), "a")


def test_a_nucleus_of_several_rows_has_its_commonest_class_the_lowest_of_equals():
    rows = [("a", 1, 1, 2), ("a", 1, 1, 1), ("a", 2, 2, 2), ("a", 2, 1, 2), ("a", 2, 2, 1)]
    table = pd.DataFrame(rows, columns=["fov_id", "cell_id", "y_true", "y_pred"])
    assert voted(table).to_numpy().tolist() == [["a", 1, 1, 1], ["a", 2, 2, 2]]


def test_errors_of_ours_alone(own):
    for name in ("run.json", "scores.json"):
        (own.runs / "squares-hover" / name).write_text("[")
    with pytest.raises(CryostatError):
        choose_runs(["squares-hover"], own)
