"""Runs that share: encoder passes, features, failures that stay their own, and studies of many modes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from tile_runs import count_images, same_result, set_aside, tile_spec

from cryostat.cells.dataset import CellDataset, Split
from cryostat.cells.runs.bench import Bench, _sharing
from cryostat.cells.runs.prepared import prepare_run
from cryostat.cells.runs.spec import RunSpec, Study
from cryostat.cells.runs.study import run_specs
from cryostat.cells.synthetic import make_dataset
from cryostat.cells.training.common import one_thread
from cryostat.cells.training.tiles.streams import Stream
from cryostat.cells.writer import write_split
from cryostat.core.errors import CryostatError
from cryostat.core.home import Home
from cryostat.results.records import RunRecord


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module", autouse=True)
def tissue(home: Home) -> Iterator[CellDataset]:
    with one_thread():
        yield make_dataset(home, name="tissue", hospitals=2, patients=4, fields=1, size=256, seed=1)


def records(found: list[RunRecord | CryostatError]) -> list[RunRecord]:
    assert [str(one) for one in found if isinstance(one, CryostatError)] == []
    return [one for one in found if isinstance(one, RunRecord)]


def groups(home: Home, specs: list[RunSpec]) -> list[list[int]]:
    bench = Bench(home)
    return _sharing({i: prepare_run(bench.features(spec), spec, home) for i, spec in enumerate(specs)})


def test_what_is_trained_beside_each_other(home: Home, tissue: CellDataset) -> None:
    write_split(tissue.folder, Split("other", dict(tissue.split("base").parts)), tissue.fovs.index)
    live = tile_spec("linear", "live")
    assert groups(home, [live, replace(live, seed=1), replace(live, fraction=0.5)]) == [[0, 1, 2]]
    assert groups(home, [live, tile_spec("cell-probe", "live"), tile_spec("dpt-lean", "live")]) == [[0, 1, 2]]
    assert groups(home, [live, tile_spec("linear", "live", batch=3, steps=9, lr=1.0)]) == [[0, 1]]
    assert groups(home, [live, tile_spec("linear", "live", window=3)]) == [[0], [1]]
    assert groups(home, [live, tile_spec("linear", "live", augment=False)]) == [[0], [1]]
    assert groups(home, [live, replace(live, split="other")]) == [[0], [1]]
    assert groups(home, [tile_spec("dpt-lean", "cached", seed=s) for s in (0, 1)]) == [[0], [1]]
    assert groups(home, [tile_spec("dpt-lean", "finetune", seed=s) for s in (0, 1)]) == [[0], [1]]


def test_probes_of_different_rings_are_not_trained_beside_each_other(home: Home) -> None:
    rings = [tile_spec("cell-probe", "live", ring_um=width) for width in (2.0, 4.0, 0.0, 2.0)]
    assert groups(home, [*rings, tile_spec("linear", "live")]) == [[0, 2, 3, 4], [1]]
    assert groups(home, [tile_spec("linear", "live"), *rings]) == [[0, 1, 3, 4], [2]]


def test_an_encoder_that_feels_train_mode_trains_its_heads_one_by_one(home: Home) -> None:
    published = [tile_spec("linear", "live", protocol="paper", seed=s) for s in (0, 1)]
    assert groups(home, published) == [[0, 1]]
    normed = [tile_spec("linear", "live", protocol="paper", seed=s, encoder="test_resnet") for s in (0, 1)]
    assert groups(home, normed) == [[0], [1]]
    assert groups(home, [replace(spec, protocol="standard") for spec in normed]) == [[0, 1]]


def test_a_frozen_encoder_with_batch_norms_survives_train_mode(home: Home) -> None:
    record = Bench(home).run(tile_spec("linear", "live", protocol="paper", encoder="test_resnet", steps=2))
    assert record.training["encoder_weights_before"] == record.training["encoder_weights_after"]
    again = set_aside(home, record)
    same_result(again, Bench(home).run(tile_spec("linear", "live", protocol="paper", encoder="test_resnet", steps=2)))


def test_a_run_ends_with_the_same_bits_alone_and_among_others(home: Home) -> None:
    specs = [
        tile_spec("linear", "live", seed=1),
        tile_spec("dpt-lean", "live", seed=2),
        tile_spec("cell-probe", "live", seed=3),
        tile_spec("cell-probe", "live", seed=3, fraction=0.5, batch=3),
        tile_spec("linear", "live", seed=1, steps=7),
    ]
    alone = [set_aside(home, Bench(home).run(spec)) for spec in specs]
    together = records(Bench(home).run_together(specs))
    assert [one.phases["fit"]["shared_by"] for one in alone] == [1] * 5
    assert [one.phases["fit"]["shared_by"] for one in together] == [5] * 5
    for one, other in zip(alone, together, strict=True):
        assert one.run_id == other.run_id
        same_result(one, other)


def passes(home: Home, specs: list[RunSpec]) -> int:
    with pytest.MonkeyPatch.context() as patch:
        bench = Bench(home)
        counted = count_images(bench, specs[0], patch)
        records(bench.run_together(specs))
        return counted()


def test_eight_runs_cost_the_passes_of_one(home: Home) -> None:
    heads = [tile_spec(head, "live", seed=s) for head in ("linear", "cell-probe") for s in range(40, 44)]
    probe, both, eight = (
        passes(home, specs)
        for specs in (
            [tile_spec("cell-probe", "live", seed=50)],
            [tile_spec("cell-probe", "live", seed=51), tile_spec("linear", "live", seed=51)],
            heads,
        )
    )
    # A probe and a linear head are centred over other tiles of the training part; all the rest is one pass.
    assert eight == both
    assert probe <= both <= probe + 3 * 9


def test_layers_of_all_planned_runs_are_stored_in_one_pass(home: Home) -> None:
    specs = [tile_spec(head, "cached", seed=60, precision="bf16") for head in ("dpt-lean", "unetr")]
    vectors = RunSpec(
        "tissue", "test_vit", "linear", "base", weights="random", precision="bf16", head_settings={"steps": 2}
    )
    planned = [vectors, *specs]
    with pytest.MonkeyPatch.context() as patch:
        bench = Bench(home, planned=planned)
        counted = count_images(bench, vectors, patch)
        features = bench.features(vectors)
        bench.run(vectors)
        tiles = len(features.tiles.index())
        assert counted() <= tiles + 3  # a probe of the shapes, and every tile once
        features.stores(features.layers_of("unetr"))
        assert counted() <= tiles + 3


def test_one_of_a_live_group_that_cannot_be_trained_becomes_a_row(home: Home, tissue: CellDataset) -> None:
    good, bad = tile_spec("linear", "live", seed=70), tile_spec("linear", "live", seed=71)
    missing = tile_spec("linear", "live", split="nowhere", seed=72)
    chosen = Bench(home)
    labels = chosen.features(bad).tiles.labels
    train = prepare_run(chosen.features(good), good, home).split.fovs("train")
    without = [fov for fov in train if fov != train[0]]
    # The training part of the second run is a single field, whose pixels lose their classes.
    spec = replace(bad, fraction=1 / len(train))
    kept = prepare_run(chosen.features(spec), spec, home).split.fovs("train")
    lost = set(chosen.features(spec).tiles_in(kept))
    assert without
    assert len(kept) == 1

    def unlabelled(tiles: list[int]) -> np.ndarray:
        found = labels(tiles)
        found[[tile in lost for tile in tiles]] = 0
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chosen.features(spec).tiles, "labels", unlabelled)
        found = chosen.run_together([good, spec, missing])
    assert isinstance(found[0], RunRecord)
    assert "no training pixel has a class" in str(found[1])
    assert "nowhere" in str(found[2])


def test_one_of_a_live_group_that_goes_astray_becomes_a_row(home: Home) -> None:
    good, wild = tile_spec("linear", "live", seed=73, steps=6), tile_spec("linear", "live", seed=74, lr=1e30)
    alone = set_aside(home, Bench(home).run(good))
    found = Bench(home).run_together([good, wild])
    assert isinstance(found[0], RunRecord)
    same_result(alone, found[0])
    assert "went astray" in str(found[1])


def test_an_encoder_that_adapts_to_pixels_sees_those_of_its_dataset_in_live_training(home: Home) -> None:
    spec = tile_spec("cell-probe", "live", encoder="rcf", steps=1, batch=1)
    record = Bench(home).run(spec)
    assert record.training["encoder_weights_before"] == record.training["encoder_weights_after"]
    again = set_aside(home, record)
    bench = Bench(home)
    features = bench.features(spec)
    # Pixels of something else that it was shown meanwhile.
    features.encoder.prepare(1 - image for image in features.tiles.sample_images())
    same_result(again, bench.run(spec))


def test_a_study_keeps_its_order_and_groups_live_runs(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = [
        tile_spec("linear", "live", seed=80),
        tile_spec("cell-probe", "cached:2", seed=80),
        tile_spec("linear", "live", seed=81),
        tile_spec("linear", "live", split="nowhere", seed=80),
    ]
    specs[1] = replace(specs[1], head_settings={"steps": 10})
    outcomes = run_specs(specs, home)
    assert [outcome.spec for outcome in outcomes] == specs
    assert [outcome.record is not None for outcome in outcomes] == [True, True, True, False]
    first, third = outcomes[0].record, outcomes[2].record
    assert first is not None
    assert third is not None
    assert first.phases["fit"]["shared_by"] == third.phases["fit"]["shared_by"] == 2


def test_the_same_spec_twice_is_one_run(home: Home) -> None:
    spec = tile_spec("linear", "live", seed=90, steps=2)
    first, second = records(Bench(home).run_together([spec, spec]))
    assert first.run_id == second.run_id


def test_a_smaller_fraction_draws_from_fewer_fields_and_the_seed_chooses_them(home: Home) -> None:
    bench, found = Bench(home), set()
    base = tile_spec("linear", "live")
    whole = set(prepare_run(bench.features(base), base, home).split.fovs("train"))
    for seed in range(6):
        spec = replace(base, fraction=0.5, seed=seed)
        run = prepare_run(bench.features(spec), spec, home)
        part = set(run.split.fovs("train"))
        assert part < whole
        assert len(part) == round(len(whole) / 2)
        assert run.split.fovs("test") == prepare_run(bench.features(base), base, home).split.fovs("test")
        found.add(frozenset(part))
    assert len(found) > 1


def study(**changes: object) -> Study:
    lists = {"datasets": ["a", "b"], "splits": ["base"], "encoders": ["e", "none"], "fractions": [1.0], "seeds": [0, 1]}
    return Study(name="s", **(lists | changes))


def test_modes_are_crossed_with_heads_on_encoders_and_hovernext_runs_once_a_dataset() -> None:
    made = study(heads=["linear", "hovernext", "unetr"], modes=["cached", "live"], encoders=["e", "f"]).specs_with(
        lambda data, split: [split]
    )
    alone = [spec for spec in made if spec.head == "hovernext"]
    assert [(s.dataset, s.encoder, s.mode, s.seed) for s in alone] == [
        (data, "none", None, seed) for data in "ab" for seed in (0, 1)
    ]
    others = {(s.dataset, s.encoder, s.head, s.mode, s.seed) for s in made if s.head != "hovernext"}
    assert len(others) == len(made) - 4 == 2 * 2 * 2 * 2 * 2


def test_the_protocols_way_is_the_default_of_a_study() -> None:
    made = study(heads=["linear", "unetr"], base={"protocol": "paper"}).specs_with(lambda data, split: [split])
    assert {(s.head, s.mode, str(s.resolved_mode())) for s in made} == {
        ("linear", None, "live"),
        ("unetr", None, "finetune"),
    }


def test_streams_of_live_runs_share_their_draws(home: Home) -> None:
    from cryostat.cells.runs.pupils import _stream

    bench = Bench(home)

    def of(mode: str, seed: int) -> Stream:
        spec = tile_spec("dpt-lean", mode, seed=seed)
        return _stream(prepare_run(bench.features(spec), spec, home))

    assert of("live", 0).pool(0).tolist() == of("live", 1).pool(0).tolist()
    assert of("live", 0).window == 2
    assert of("finetune", 0).pool(0).tolist() != of("finetune", 1).pool(0).tolist()
    assert of("finetune", 0).window == 1
