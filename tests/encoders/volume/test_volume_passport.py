from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nibabel.orientations import apply_orientation, io_orientation
from numpy.typing import NDArray

from cryostat.encoders.passport import CheckReport
from cryostat.encoders.volume.base import VolumeEmbedding, VolumeEncoder
from cryostat.encoders.volume.card import VolumeCard
from cryostat.encoders.volume.passport import check, head
from cryostat.encoders.volume.registry import load_volume_encoder
from cryostat.encoders.volume.volume import Volume

Rule = Callable[[Volume], NDArray[Any]]


def honest(volume: Volume) -> NDArray[Any]:
    """Profile along the patient, in units of its own mean."""
    turned = apply_orientation(volume.data.astype(float), io_orientation(volume.affine))
    return np.asarray(turned.mean((1, 2)) / turned.mean())


class Profile(VolumeEncoder):
    def __init__(self, rule: Rule = honest, pool: Callable[[NDArray[Any]], Any] = lambda each: each.mean(0)) -> None:
        self.card = VolumeCard("profile", "", "", 64)
        self.rule, self.pool = rule, pool

    def identity(self) -> Mapping[str, Any]:
        return {}

    def weights_hash(self) -> str:
        return ""

    def _embed(self, series: Sequence[Volume]) -> VolumeEmbedding:
        each = np.stack([self.rule(volume) for volume in series]).astype(np.float32)
        return VolumeEmbedding(self.pool(each).astype(np.float32), each, tuple(v.name for v in series))


def failures(report: CheckReport) -> dict[str, str]:
    return {f.name: f"{f.detail} → {f.remedy}" for f in report.findings if f.passed is False}


def test_an_honest_encoder_passes() -> None:
    report = check(Profile(), batch=1, seconds=0)
    assert failures(report) == {}
    assert (report.unit, report.weights_memory) == ("series", 0)


def test_the_statistics_pass() -> None:
    report = check(load_volume_encoder("volume-stats"), batch=1, seconds=0)
    assert failures(report) == {}
    assert "90 named features" in report.findings[0].detail


CARD = """
[card]
name = "tiny"
title = "Tiny"
architecture = "ViT"
width = 48
parameters = 46770
[build]
factory = "cryostat.encoders.volume.transformer:build"
[build.args]
width = 48
depth = 1
heads = 2
"""


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_transformer_passes_and_is_left_as_it_was(tmp_path: Path, precision: str) -> None:
    (tmp_path / "tiny.toml").write_text(CARD)
    encoder = load_volume_encoder(str(tmp_path / "tiny.toml"), "random", "cpu", precision=precision)
    report = check(encoder, batch=1, seconds=0)
    told = {f.name: f for f in report.findings}
    # A single random block tells heads apart but faintly.
    assert failures(report).keys() <= {"contrast"}
    assert told["storage"].detail == "tokens of int16 and float32 copies differ by 0.0e+00"
    assert told["precision"].passed is (None if precision == "fp32" else True)
    assert vars(encoder)["precision"] == precision


def stored(volume: Volume) -> NDArray[Any]:
    return np.full(64, volume.data.dtype.itemsize) + honest(volume)


BUGS: Mapping[str, Rule] = {
    "storage": stored,
    "orientation": lambda volume: volume.data.mean((1, 2)) / volume.data.mean(),
    "grey scale": lambda volume: honest(volume) * volume.data.astype(float).mean(),
    "contrast": lambda volume: np.ones(64),
    "repeats": lambda volume: honest(volume) + np.random.default_rng().random(),
}


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs_are_found(bug: str) -> None:
    report = check(Profile(BUGS[bug]), batch=1, seconds=0)
    assert bug in failures(report)
    assert report.passed == (bug in ("contrast", "grey scale"))


def test_series_that_know_of_each_other_are_found() -> None:
    class Crowd(Profile):
        def _embed(self, series: Sequence[Volume]) -> VolumeEmbedding:
            found = super()._embed(series)
            return VolumeEmbedding(found.vector, found.per_series * len(series), found.series)

    assert "Keep series apart" in failures(check(Crowd(), batch=1, seconds=0))["one series"]


def test_made_up_heads_are_alike_and_differ() -> None:
    first, again, other = head(), head(), head(seed=1)
    assert np.array_equal(first.data, again.data)
    assert not np.array_equal(first.data, other.data)
    assert set(np.unique(first.tumour)) == {0, 1, 2, 3}
    assert first.data[0, 0, 0] == 0
