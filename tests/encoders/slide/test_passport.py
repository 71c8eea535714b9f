from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from slide_examples import small_card
from torch import Tensor, nn

from cryostat.encoders.passport import CheckReport
from cryostat.encoders.slide.base import SlideEncoder
from cryostat.encoders.slide.card import SlideCard
from cryostat.encoders.slide.coordinates import TileCoordinates
from cryostat.encoders.slide.passport import check
from cryostat.encoders.slide.registry import load_slide_encoder

Rule = Callable[[Tensor, TileCoordinates | None], Tensor]


class Pool(SlideEncoder):
    """An honest mean, until a bug is planted."""

    def __init__(self, rule: Rule = lambda tiles, where: tiles.mean(0), order: str = "row-major", **facts: Any) -> None:
        self.card = SlideCard("pool", "", "", **facts)
        self.module, self.layer, self.order, self.rule = nn.BatchNorm1d(1), "pooled", order, rule

    def identity(self) -> Mapping[str, Any]:
        return {}

    def _embed(self, tiles: Tensor, where: TileCoordinates | None) -> dict[str, Tensor]:
        return {"pooled": self.rule(tiles, where)}


def failures(report: CheckReport) -> dict[str, str]:
    return {f.name: f"{f.detail} → {f.remedy}" for f in report.findings if f.passed is False}


@pytest.mark.parametrize("name", ["mean", "max", "mean-std", "geometric-median"])
def test_rules_of_pooling_pass(name: str) -> None:
    report = check(load_slide_encoder(name, device="cpu"), tiles=16, seconds=0)
    assert failures(report) == {}
    assert (report.unit, report.per_second > 0, report.peak_memory) == ("tiles", True, None)


def test_a_longnet_passes_and_counts_itself(tmp_path: Path) -> None:
    report = check(load_slide_encoder(small_card(tmp_path), "random", "cpu"), tiles=16, seconds=0)
    assert failures(report) == {}
    told = {f.name: f.detail for f in report.findings}
    assert told["grid"] == "takes tiles from 0 to 25,600 px"
    assert "level-0 px of a 40× slide" in told["places refused"]
    assert "6 layers of (64,)" in told["shapes"]
    assert told["parameters"] == "60,096"
    assert report.weights_memory == 4 * 60_096


def test_the_order_as_given_is_told_not_judged(tmp_path: Path) -> None:
    encoder = Pool(lambda tiles, where: tiles[0], order="as-given")
    found = {f.name: f for f in check(encoder, tiles=16, seconds=0).findings}
    assert found["order"].passed is None
    assert "read as-given" in found["order"].detail


def spoils(encoder: Pool) -> None:
    def rule(tiles: Tensor, where: TileCoordinates | None) -> Tensor:
        encoder.module.running_mean += 1
        return tiles.mean(0)

    encoder.rule = rule


BUGS: Mapping[str, Rule] = {
    "shapes": lambda tiles, where: tiles.mean(0)[:-1],
    "repeats": lambda tiles, where: tiles.mean(0) + torch.rand(1),
    "one tile": lambda tiles, where: tiles.mean(0) if len(tiles) > 1 else tiles[:1],
    "places": lambda tiles, where: tiles[0],
    "precision": lambda tiles, where: tiles.double().frac().mul(1e7).sin().mean(0),
    "contrast": lambda tiles, where: torch.ones(tiles.shape[1]),
}


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs_are_found(bug: str) -> None:
    report = check(Pool(BUGS[bug]), tiles=16, seconds=0)
    assert bug in failures(report)
    assert report.passed == (bug == "contrast")


def test_places_that_are_passed_over_are_found() -> None:
    report = check(Pool(mpp=0.5, tile_px=256), tiles=16, seconds=0)
    told = failures(report)
    assert "See that positions are added" in told["places"]
    assert "lets through tiles beyond the grid, negative places, level-0 px" in told["places refused"]


def test_tensors_that_change_are_found() -> None:
    encoder = Pool()
    spoils(encoder)
    assert "encoding changed its tensors" in failures(check(encoder, tiles=16, seconds=0))["frozen"]


def test_a_wrong_count_is_found() -> None:
    assert "2, the card states 3" in failures(check(Pool(parameters=3), tiles=16, seconds=0))["parameters"]


def test_vectors_that_are_not_finite_end_the_test() -> None:
    report = check(Pool(lambda tiles, where: tiles.mean(0) / 0 * 0), tiles=16, seconds=0)
    assert "not finite" in failures(report)["encodes"]
    assert not report.passed
