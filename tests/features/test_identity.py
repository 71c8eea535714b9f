"""Identities and the folders they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryostat.core.home import Home
from cryostat.core.identity import digest
from cryostat.features.identity import Label, feature_identity, label_of, store_folder


def test_an_identity_holds_everything() -> None:
    identity = feature_identity({"dataset": "consep", "mpp": 0.5}, {"name": "rcf", "mean": (0.5, 1.0)}, "final")
    assert identity == {
        "tiles": {"dataset": "consep", "mpp": 0.5},
        "encoder": {"name": "rcf", "mean": [0.5, 1]},
        "layer": "final",
        "format": 1,
    }
    folder = store_folder(Home(Path("/h")), identity)
    assert folder == Path("/h/features") / f"consep--rcf--final--{digest(identity)}"


@pytest.mark.parametrize(
    ("tiles", "encoder", "label"),
    [
        ({"dataset": {"name": "lizard"}}, {"name": "UNI2-h"}, ("lizard", "uni2-h", "block-1")),
        ({"name": "lizard"}, {"name": "timm/vit_tiny:x"}, ("lizard", "timm-vit_tiny-x", "block-1")),
        ({}, {"name": "../../etc"}, ("unnamed", "etc", "block-1")),
        ({"dataset": 7}, {"name": "…"}, ("7", "unnamed", "block-1")),
        (None, [1], ("unnamed", "unnamed", "block-1")),
    ],
)
def test_labels_are_fit_for_file_names(tiles: object, encoder: object, label: tuple[str, ...]) -> None:
    assert label_of({"tiles": tiles, "encoder": encoder, "layer": "block-1"}) == Label(*label)
