from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cryostat.export.trackers.mirror import mirror
from cryostat.export.trackers.wandb import mirror_in_wandb
from cryostat.results.records import RunRecord

pytest.importorskip("wandb")

HEADER, BLOCK, PREFIX = 7, 32768, 7
"""Bytes of the file's header, of a block, and of what stands before each piece of a record."""


def entries(path: Path) -> Iterator[Any]:
    """The records of a `.wandb` file: LevelDB's log of protobuf messages."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, pending = path.read_bytes(), HEADER, b""
    while at + PREFIX <= len(content):
        if BLOCK - at % BLOCK < PREFIX:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + PREFIX])
        pending += content[at + PREFIX : at + PREFIX + length]
        at += PREFIX + length
        if kind in (1, 4):
            yield Record.FromString(pending)
            pending = b""


def test_an_offline_run_holds_settings_scores_and_the_table(
    record: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    (found,) = mirror_in_wandb([record], str(tmp_path / "out"), "trial")
    (path,) = Path(found.where).glob("*.wandb")
    shown, read = mirror(record), list(entries(path))
    run = next(entry.run for entry in read if entry.HasField("run"))
    assert (run.project, run.display_name, run.run_id) == ("trial", record.run_id, shown.key)
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert {name: config[name] for name in shown.settings} == shown.settings
    summary = {
        (item.key or "/".join(item.nested_key)): json.loads(item.value_json)
        for entry in read
        if entry.HasField("summary")
        for item in entry.summary.update
    }
    assert summary["macro_f1"] == shown.metrics["macro_f1"]
    history = [
        {(item.key or "/".join(item.nested_key)): json.loads(item.value_json) for item in entry.history.item}
        for entry in read
        if entry.HasField("history")
    ]
    assert [row["training/loss"] for row in history] == [c.values["training/loss"] for c in shown.curves]
    artefacts = [e.request.log_artifact.artifact for e in read if e.request.HasField("log_artifact")] or [
        e.artifact for e in read if e.HasField("artifact")
    ]
    assert [(a.type, a.name) for a in artefacts] == [("predictions", f"predictions-{shown.key}")]
    assert [entry.path for entry in artefacts[0].manifest.contents] == ["predictions.parquet"]
