from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest

from cryostat.encoders.overlap import overlap
from cryostat.encoders.registry import card, names


@dataclass(frozen=True)
class Seen:
    trained_on: tuple[str, ...]
    name: str = "mine"


@pytest.mark.parametrize(
    ("encoder", "dataset", "level"),
    [
        ("midnight", "pannuke", "possible"),
        ("midnight", "MoNuSeg", "certain"),
        ("midnight", "lizard", "possible"),
        ("midnight", "pathocell", "none known"),
        ("midnight", "TCGA-GBM", "certain"),
        ("phikon", "TCGA-LGG", "possible"),
        ("phikon-v2", "consep", "possible"),
        ("phikon-v2", "core-bt", "none known"),
        ("gpfm", "arctique", "none known"),
        ("uni", "pannuke", "none known"),
        ("uni2-h", "lizard", "none known"),
        ("h-optimus-0", "PathoCell", "none known"),
        ("dinov2-giant", "pannuke", "none known"),
        ("dinov2-giant", "a dataset of mine", "none known"),
        ("random-vit", "pannuke", "none known"),
        ("rcf", "arctique", "certain"),
        ("uni", "a dataset of mine", "possible"),
        ("midnight", ("TCGA",), "certain"),
        ("midnight", ("TCGA", "GTEx"), "possible"),
        ("midnight", ("GTEx",), "none known"),
    ],
)
def test_known_cases(encoder: str, dataset: str | tuple[str, ...], level: str) -> None:
    assert overlap(card(encoder), dataset).level == level


def test_an_encoder_that_saw_the_dataset_by_name() -> None:
    both = overlap(Seen(("TCGA", "PanNuke")), "PanNuke")
    assert both.level == "certain"
    assert both.why == "all images of PanNuke come from what mine was trained on (TCGA, PanNuke)"
    assert overlap(Seen(("Lizard",)), "consep").level == "possible"
    assert overlap(Seen(("PanNuke",)), "lizard").level == "possible"
    every = ("DigestPath", "CRAG", "GlaS", "CoNSeP", "PanNuke")
    assert overlap(Seen(every), "lizard").level == "certain"
    assert overlap(Seen((*every[:-1], "PanNuke (part)")), "lizard").level == "possible"
    assert overlap(Seen(("Arctique",)), "arctique").level == "certain"


def test_reasons_are_told() -> None:
    assert overlap(card("midnight"), "lizard").why == "lizard and midnight draw on the same images in part (TCGA)"
    assert "cannot be ruled out" in overlap(card("h-optimus-1"), "lizard").why
    assert "not known" in overlap(Seen(()), "lizard").why
    assert overlap(card("gpfm"), "arctique").why == "the images of arctique are synthetic"


@pytest.mark.parametrize("name", ["Lizard", " LIZARD ", "Pan-Nuke", "patho cell", "Schürch", "Phenocell"])
def test_names_are_forgiven(name: str) -> None:
    assert overlap(card("uni"), name).level == "none known"


def test_every_card_has_a_verdict_on_every_dataset() -> None:
    for encoder in names():
        for dataset in ("lizard", "pannuke", "pathocell", "arctique", "consep", "core-bt"):
            assert overlap(card(encoder), dataset).why


def test_no_framework_is_needed() -> None:
    code = "import sys, cryostat.encoders.overlap; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
