"""The lines in which a run is shown: long lists by groups, looks a line each, quirks in full."""

from __future__ import annotations

import io

from rich.console import Console

from cryostat.cli.run_facts import facts_table
from cryostat.results.records import RunRecord


def shown(training: dict[str, object], settings: dict[str, object]) -> str:
    record = RunRecord("run", "cells", "2026", {}, settings, training)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(facts_table(record))
    return console.export_text()


def test_hundreds_of_parameters_are_counted_by_group() -> None:
    names = [f"encoder.blocks.{i}.weight" for i in range(20)] + ["head.classify.weight", "head.classify.bias"]
    text = shown({"optimised_parameters": names}, {})
    assert "optimised_parameters: 22 (encoder.blocks 20, head.classify 2)" in text


def test_looks_and_quirks_stand_on_lines_of_their_own() -> None:
    looks = [{"step": 50, "loss": 0.123456, "valid_macro_f1": 0.5}, {"step": 100, "loss": 0.1, "valid_macro_f1": 0.625}]
    quirks = ["tiling.kind: even-cut / overlapping", "training.flat_elastic: True / False"]
    text = shown({"looks": looks}, {"quirks": quirks, "weights": None, "layers": ["block-1", "block-2"]})
    assert "step 50, loss 0.1235, valid_macro_f1 0.5" in text
    assert all(quirk in text for quirk in quirks)
    assert "weights: none" in text
    assert "layers: block-1, block-2" in text
