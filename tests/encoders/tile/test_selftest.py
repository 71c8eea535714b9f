from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cryostat.encoders.card import IMAGENET_MEAN, IMAGENET_STD, EncoderCard
from cryostat.encoders.passport import CheckReport
from cryostat.encoders.registry import load_encoder
from cryostat.encoders.tile.base import TileEncoder
from cryostat.encoders.tile.firstlook import faults_of, first_look
from cryostat.encoders.tile.selftest import check, positions, tissue


class Patches(TileEncoder):
    """Honest patch means, until a bug is planted."""

    def __init__(
        self, bug: Callable[[Tensor], Tensor] = lambda tokens: tokens, prefix: int = 0, width: int = 3
    ) -> None:
        self.card = EncoderCard("patches", "", "", 96, 8, width, 0, prefix_tokens=prefix)
        self.module = nn.Identity()
        self.bug = bug

    def identity(self) -> Mapping[str, Any]:
        return {}

    def _maps(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        tokens = F.avg_pool2d(images, 8).permute(0, 2, 3, 1)
        return dict.fromkeys(layers, self.bug(tokens))


def registers_left_in(tokens: Tensor) -> Tensor:
    """Four registers come first, and the last four patches are dropped in their stead."""
    flat = tokens.flatten(1, 2)
    return torch.cat([torch.zeros_like(flat[:, :4]), flat[:, :-4]], 1).view_as(tokens)


def one_too_many_dropped(tokens: Tensor) -> Tensor:
    return tokens.flatten(1, 2).roll(-1, 1).view_as(tokens)


def cropped(tokens: Tensor) -> Tensor:
    inner = tokens[:, 2:-2, 2:-2].permute(0, 3, 1, 2)
    return F.interpolate(inner, scale_factor=1.5, mode="bilinear").permute(0, 2, 3, 1)


def failures(report: CheckReport) -> dict[str, str]:
    return {f.name: f"{f.detail} → {f.remedy}" for f in report.findings if f.passed is False}


@pytest.mark.parametrize("name", ["none", "stain-filters", "rcf", "test_vit", "test_vit4", "resnet18+stage3"])
def test_honest_encoders_pass(name: str) -> None:
    report = check(load_encoder(name, device="cpu"), batch=1, seconds=0)
    assert failures(report) == {}
    assert report.passed
    assert report.per_second > 0
    assert report.peak_memory is None


def test_the_honest_twin_of_the_planted_bugs_passes() -> None:
    assert check(Patches(), batch=1, seconds=0).passed


@pytest.mark.parametrize(
    ("bug", "diagnosis"),
    [
        (lambda tokens: tokens.transpose(1, 2), "transposed"),
        (lambda tokens: tokens.flip(1), "upside down"),
        (lambda tokens: tokens.flip(2), "mirrored"),
        (lambda tokens: tokens.flip(1, 2), "half a turn"),
        (registers_left_in, "4 places too late.*class and register tokens"),
        (one_too_many_dropped, "1 places too early"),
        (cropped, "resized nor cropped"),
    ],
)
def test_misplaced_tokens_are_found_and_named(bug: Callable[[Tensor], Tensor], diagnosis: str) -> None:
    found = failures(check(Patches(bug), batch=1, seconds=0))
    assert list(found) == ["place, final"]
    assert re.search(diagnosis, found["place, final"])


def test_wrong_shape_ends_the_check() -> None:
    report = check(Patches(width=5), batch=1, seconds=0)
    assert "its card says (12, 12, 5)" in failures(report)["shapes"]


def test_dropout_left_on() -> None:
    found = failures(check(Patches(lambda tokens: F.dropout(tokens, 0.1, training=True)), batch=1, seconds=0))
    assert {"repeats", "batch"} <= set(found)


def test_batch_statistics() -> None:
    found = failures(check(Patches(lambda tokens: tokens - tokens.mean((0, 1, 2))), batch=1, seconds=0))
    assert list(found) == ["batch"]


def test_numbers_that_are_none() -> None:
    found = failures(check(Patches(lambda tokens: tokens / 0), batch=1, seconds=0))
    assert "NaN or infinity" in found["finite"]
    found = failures(check(Patches(lambda tokens: tokens * 1e6), batch=1, seconds=0))
    assert "65504" in found["finite"]


def test_planting_covers_corners_and_off_diagonal_tokens() -> None:
    planted = positions(14)
    assert {(0, 0), (0, 13), (13, 0), (13, 13)} <= set(planted)
    assert sum(y != x for y, x in planted) >= 6
    assert positions(1) == [(0, 0)]


class Seeing(Patches):
    """Patch means by a convolution, of images that are changed before."""

    def __init__(self, change: Callable[[Tensor], Tensor], **facts: Any) -> None:
        super().__init__()
        self.card = replace(self.card, **facts)
        self.module = nn.Conv2d(3, 3, 8, 8, bias=False)
        with torch.no_grad():
            self.module.weight.copy_(torch.eye(3).view(3, 3, 1, 1).expand(3, 3, 8, 8) / 64)
        self.change = change

    def _maps(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        return dict.fromkeys(layers, self.module(self.change(images)).permute(0, 2, 3, 1))


def again(images: Tensor) -> Tensor:
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (images - mean) / std


PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        (lambda images: images, {}),
        (lambda images: images, PLAIN),
        (again, PLAIN),
        (lambda images: images * 255, PLAIN),
        (lambda images: F.interpolate(images, 192, mode="bicubic"), {"enlarged_to": 192}),
    ],
)
def test_images_normalised_once(change: Callable[[Tensor], Tensor], facts: dict[str, Any]) -> None:
    encoder = Seeing(change, **facts)
    look = first_look(encoder, tissue(96))
    assert look is not None
    assert faults_of(encoder.card, look) is None


@pytest.mark.parametrize(
    ("change", "facts", "problem"),
    [
        (again, {}, "normalises the image once more.*mean=\\(0, 0, 0\\)"),
        (lambda images: images / 255, {}, "divides by 255"),
        (lambda images: images / 255, PLAIN, "divides by 255"),
        (lambda i: i, {"mean": (123.7, 116.3, 103.5), "std": (58.4, 57.1, 57.4)}, "those of images in 0 to 255"),
    ],
)
def test_images_normalised_twice_or_for_bytes(
    change: Callable[[Tensor], Tensor], facts: dict[str, Any], problem: str
) -> None:
    found = failures(check(Seeing(change, **facts), batch=1, seconds=0))
    assert re.search(problem, found["normalisation"])


def test_gain_and_offset_of_a_second_normalisation_by_hand() -> None:
    look = first_look(Seeing(again), tissue(96))
    assert look is not None
    assert look.gain == pytest.approx([1 / s for s in IMAGENET_STD], rel=1e-4)
    assert look.offset == pytest.approx([-m / s for m, s in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)], rel=1e-3)


def test_features_that_hardly_depend_on_the_image_are_a_warning() -> None:
    report = check(Patches(lambda tokens: tokens * 1e-3 + 1), batch=1, seconds=0)
    assert [finding.name for finding in report.warnings] == ["contrast"]
    assert report.passed


def test_parameters_are_those_of_the_card() -> None:
    found = failures(check(Seeing(lambda i: i, parameters=575), batch=1, seconds=0))
    assert found == {
        "parameters": "576, the card states 575 → Correct parameters in the card, or the arguments that build the model"
    }
    assert check(Seeing(lambda i: i, parameters=576), batch=1, seconds=0).weights_memory == 4 * 576


def test_identities_must_be_plain_and_stay() -> None:
    class Restless(Patches):
        def identity(self) -> Mapping[str, Any]:
            return {"now": torch.rand(1).item()}

    class Odd(Patches):
        def identity(self) -> Mapping[str, Any]:
            return {"module": self.module}

    assert "changes from call to call" in failures(check(Restless(), batch=1, seconds=0))["identity"]
    assert "cannot hold Identity" in failures(check(Odd(), batch=1, seconds=0))["identity"]


def test_the_report_as_plain_data() -> None:
    told = json.loads(json.dumps(check(Patches(), batch=1, seconds=0).as_json()))
    assert told["passed"] is True
    assert {"name", "passed", "detail", "remedy", "essential"} == set(told["findings"][0])
