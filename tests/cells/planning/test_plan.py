"""Plans of small studies, every number of which can be worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cryostat.cells.dataset import CellDataset, load_dataset
from cryostat.cells.planning import Machine, Plan, Row, plan_study, reference_gpu
from cryostat.cells.planning.flops import linear_flops, transformer_flops
from cryostat.cells.planning.obstacles import fields_of, parts, tissue
from cryostat.cells.protocols import load_protocol
from cryostat.cells.runs.spec import Study, read_study
from cryostat.cells.studies import find_study
from cryostat.cells.synthetic import make_dataset
from cryostat.cells.tiling import tiles_for
from cryostat.core.home import Home
from cryostat.encoders.registry import card, load_encoder
from cryostat.features.extraction import extract
from cryostat.results.records import RunRecord

HERE = Machine("toy", tokens=1e9, pixels=1e9, basis="")
TILES = 12  # 3 fields of 256 px, each 2 × 2 tiles of 224 px; one field a part
MAP = 14 * 14 * 384 * 2  # bytes of one tile in one layer of a ViT-S
VIT = transformer_flops(card("random-vit"), 224)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("home"))
    make_dataset(home, name="tissue", hospitals=1, patients=3, fields=1, size=256)
    return home


def study(heads: Sequence[str], modes: Sequence[str | None] = (None,), **others: Any) -> Study:
    facts: dict[str, Any] = {"datasets": ["tissue"], "encoders": ["random-vit"], "splits": ["base"], "seeds": [0]}
    facts |= others
    return Study("toy", heads=heads, fractions=[1.0], modes=modes, **facts)


def plan(home: Home, asked: Study, limit: int | None = None) -> Plan:
    return plan_study(asked, home, here=HERE, gpu=reference_gpu("A100"), limit=limit)


def only_row(home: Home, asked: Study) -> Row:
    (row,) = plan(home, asked).rows
    return row


def test_stored_features_cost_a_pass_a_tile_and_two_bytes_a_number(home: Home) -> None:
    row = only_row(home, study(["linear"]))
    assert (row.mode, row.runs, row.done, row.obstacles) == ("cached", 1, 0, ())
    cost = row.cost
    assert (cost.tiles, cost.passes, cost.layers, cost.views) == (TILES, TILES, ("final",), 1)
    assert (cost.bytes, cost.stored, cost.to_write) == (TILES * MAP, 0, TILES * MAP)
    # 1,000 steps of 4,096 vectors with all gradients; 10 looks at 4 tiles and 4 tiles at the end, of 14 × 14 tokens.
    classes = len(load_dataset("tissue", home).classes)
    head = linear_flops(384, classes) * (3 * 1000 * 4096 + 14 * 14 * (10 * 4 + 4))
    assert cost.work is not None
    assert cost.work.tokens == pytest.approx(TILES * VIT + head)


def test_decoders_read_four_layers_and_a_bank_multiplies_views(home: Home) -> None:
    row = only_row(home, study(["linear", "unetr"], ["cached:8"]))
    assert row.cost.layers == ("final", "block-3", "block-6", "block-9", "block-12")
    assert row.cost.bytes == TILES * 8 * 5 * MAP
    assert row.cost.passes == TILES * 8


def test_what_rows_before_will_store_is_not_encoded_twice(home: Home) -> None:
    first, second = plan(home, study(["linear"], ["cached", "cached:8"])).rows
    assert (first.cost.passes, second.cost.passes) == (TILES, 7 * TILES)
    assert (second.cost.bytes, second.cost.to_write) == (8 * TILES * MAP, 7 * TILES * MAP)


def test_live_heads_and_seeds_share_their_passes(home: Home) -> None:
    one = only_row(home, study(["linear"], ["live"]))
    # 2,000 steps in windows of 8 (128 tiles drawn, of which there are 4), then 4 tiles to validate and 4 to test.
    assert one.cost.passes == 2000 // 8 * 4 + 4 + 4
    assert one.cost.layers == ()
    assert one.cost.bytes == 0
    assert only_row(home, study(["linear", "unetr"], ["live"], seeds=[0, 1, 2])).cost.passes == one.cost.passes


def test_an_encoder_that_learns_passes_every_tile_of_every_step_of_every_run(home: Home) -> None:
    row = only_row(home, study(["linear"], ["finetune"], seeds=[0, 1]))
    drawn, judged = 2000 * 16, 20 * 4 + 4
    assert row.cost.passes == 2 * (drawn + judged)
    classes = len(load_dataset("tissue", home).classes)
    head = linear_flops(384, classes) * 14**2
    assert row.cost.work is not None
    assert row.cost.work.tokens == pytest.approx(2 * VIT * (3 * drawn + judged))
    assert row.cost.work.pixels == pytest.approx(2 * head * (3 * drawn + judged))


def test_settings_of_the_study_count(home: Home) -> None:
    few = study(["linear"], ["finetune"], head_options={"linear": {"steps": 10, "batch": 2, "validate_every": 50}})
    assert only_row(home, few).cost.passes == 10 * 2 + 4 + 4  # looked at once at least


def test_only_the_first_runs_of_a_limit(home: Home) -> None:
    assert sum(row.runs for row in plan(home, study(["linear", "unetr"], seeds=[0, 1]), limit=3).rows) == 3


def store(dataset: CellDataset, home: Home, discard: Sequence[int] = ()) -> None:
    encoder = load_encoder("stain-filters", device="cpu")
    tiles = tiles_for(dataset, load_protocol("standard"), encoder.card)
    found = extract(tiles, encoder, ["final"], home, shard_tiles=4, on_progress=False)["final"]
    for shard in discard:
        found.discard(shard)


def test_what_is_in_the_store_is_not_encoded_again(tmp_path: Path) -> None:
    home = Home(tmp_path)
    dataset = make_dataset(home, name="tissue", hospitals=1, patients=3, fields=1, size=256)
    size = 56 * 56 * 70 * 2
    asked = study(["cell-probe"], encoders=["stain-filters"])
    store(dataset, home, discard=[1])
    row = only_row(home, asked)
    assert (row.cost.passes, row.cost.bytes, row.cost.stored) == (4, TILES * size, 8 * size)
    assert row.cost.to_write == 4 * size
    store(dataset, home)
    row = only_row(home, asked)
    assert (row.cost.passes, row.cost.to_write, row.cost.stored) == (0, 0, TILES * size)
    assert only_row(home, study(["cell-probe"], encoders=["stain-filters"], base={"mpp": 0.4})).cost.stored == 0


def record(home: Home, **settings: Any) -> None:
    facts = {"dataset": "tissue", "split": "base", "encoder": "random-vit", "head": "linear", "protocol": "standard"}
    facts |= {"fraction": 1.0, "seed": 0, "mpp": 0.5, "mode": "cached", **settings}
    folder = home.runs / f"run-{facts['seed']}-{facts['mode']}"
    RunRecord(folder.name, "cells", "2026-01-01", {}, facts).save(folder)
    for name in ("predictions.parquet", "scores.json"):
        (folder / name).write_text("")


def test_finished_runs_cost_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path)
    make_dataset(home, name="tissue", hospitals=1, patients=3, fields=1, size=256)
    record(home)
    record(home, seed=2, mode="live")
    two = only_row(home, study(["linear"], seeds=[0, 1]))
    assert (two.runs, two.done, two.cost.passes) == (2, 1, TILES)
    one = only_row(home, study(["linear"]))
    assert (one.runs, one.done, one.cost.passes, one.cost.to_write) == (1, 1, 0, 0)
    assert one.cost.work is not None
    assert one.cost.work.flops == 0
    assert only_row(home, study(["linear"], seeds=[2])).done == 0


def test_planning_writes_nothing(home: Home) -> None:
    before = sorted(home.root.rglob("*"))
    plan(home, study(["linear", "unetr", "hovernext"], ["cached:4", "live"]))
    assert sorted(home.root.rglob("*")) == before


def test_the_paper_is_planned_without_its_data_and_its_weights(tmp_path: Path) -> None:
    made = plan(Home(tmp_path / "new"), read_study(find_study("pathocellbench-pathocell")))
    rows = {(row.encoder, row.mode): row for row in made.rows}
    assert len(made.rows) == 15
    assert {row.cost.tiles for row in made.rows} == {6867}
    unetr = rows["uni", "finetune"]
    # 20,000 steps of 128; 100 looks at 16 fields of 63 tiles and 18 fields at the end: the published rule on all 109.
    assert unetr.cost.passes == 20_000 * 128 + 100 * 16 * 63 + 18 * 63
    assert unetr.cost.work is not None
    problems = " ".join(obstacle.problem for obstacle in unetr.obstacles)
    assert "no dataset 'pathocell'" in problems
    assert "the weights of uni are not on this machine and are gated" in problems
    assert "cryostat data import pathocell SOURCE" in unetr.obstacles[0].remedy


def test_what_is_unknown_is_a_row_with_its_reason(home: Home) -> None:
    row = only_row(home, study(["linear"], encoders=["no-such-encoder"]))
    assert (row.cost.tiles, row.cost.bytes, row.cost.work) == (TILES, None, None)
    assert "there is no encoder 'no-such-encoder'" in row.obstacles[0].problem
    row = only_row(home, study(["linear"], datasets=["nowhere"]))
    assert (row.cost.tiles, row.cost.passes) == (None, None)
    assert "no dataset 'nowhere'" in row.obstacles[0].problem


def test_obstacles_of_splits_settings_modes_and_weights(home: Home) -> None:
    def problems(asked: Study) -> str:
        return " ".join(obstacle.problem for obstacle in only_row(home, asked).obstacles)

    assert "has no split 'glas'" in problems(study(["linear"], splits=["glas"]))
    assert "has no setting 'hiden'" in problems(study(["cell-probe"], head_options={"cell-probe": {"hiden": 1}}))
    filters = study(["linear"], ["lora:4"], encoders=["stain-filters"])
    assert "stain-filters has no weights that could be trained (lora:4)" in problems(filters)
    assert "uni needs its weights" in problems(study(["linear"], encoders=["uni"]))
    missing = study(["linear"], encoders=["uni"], encoder_options={"uni": {"weights": "no.bin"}})
    assert "there is no file no.bin" in problems(missing)
    bare = study(["linear"], encoders=["uni"], encoder_options={"uni": {"weights": "random"}})
    assert problems(bare) == ""
    head = study(["hovernext"], head_options={"hovernext": {"backbone": "convnextv2_atto", "weights": "no.bin"}})
    assert "there is no file no.bin" in problems(head)
    backbone = study(["hovernext"], head_options={"hovernext": {"backbone": "resnet18"}})
    assert "'resnet18' cannot be the backbone" in problems(backbone)


def test_too_small_a_disk_stands_in_the_way(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryostat.cells.planning.plan._free", lambda folder: 1_000_000)
    made = plan(home, study(["linear"]))
    assert list(made.obstacles.values()) == [1]
    assert "the features need 0.0 GB" in next(iter(made.obstacles)).problem


def test_consep_as_features_show_has_it(shared: Path, tmp_path: Path) -> None:
    from cryostat.cells.planning.published import UnseenDataset

    # 27 training images of 1000 px at 0.25 µm/px are 500 px at 0.5: 3 × 3 tiles each.
    tiles = tiles_for(UnseenDataset("consep"), load_protocol("standard"), card("random-vit"))
    trained = [fov for fov in UnseenDataset("consep").fov_ids if fov.startswith("train")]
    assert len(trained) == len(list((shared / "data" / "consep" / "Train" / "Labels").glob("*.mat")))
    assert sum(len(tiles.tiles_of(fov)) for fov in trained) == 243


def test_a_part_of_a_dataset_says_how_much_there_is(tmp_path: Path) -> None:
    make_dataset(Home(tmp_path), name="lizard", hospitals=1, patients=3, fields=1, size=64)
    found = tissue("lizard", Home(tmp_path))
    assert fields_of(found) == (3, 238)
    assert [obstacle.problem for obstacle in parts(found, "glas", load_protocol("paper"))[1]] == [
        "lizard: of its 238 fields 3 are imported, too few for split 'glas'"
    ]
    assert "no split 'my-own'" in parts(found, "my-own", load_protocol("paper"))[1][0].problem
    assert fields_of(tissue("pannuke", Home(tmp_path))) is None
