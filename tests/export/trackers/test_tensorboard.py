from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryostat.export.trackers.mirror import mirror
from cryostat.export.trackers.tensorboard import mirror_in_tensorboard
from cryostat.results.records import RunRecord

pytest.importorskip("tensorboard")


def events(folder: str):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(folder)
    found.Reload()
    return found


def values(found, tag: str) -> list[tuple[int, float]]:
    from tensorboard.util.tensor_util import make_ndarray

    return [(e.step, float(make_ndarray(e.tensor_proto))) for e in found.Tensors(tag)]


def test_event_files_are_written_and_read_back(record: RunRecord, case_run: RunRecord, tmp_path: Path) -> None:
    ours, theirs = mirror_in_tensorboard([record, case_run], str(tmp_path), "trial")
    assert Path(ours.where) == tmp_path / "trial" / record.run_id
    found, shown = events(ours.where), mirror(record)
    for name, value in shown.metrics.items():
        assert values(found, name) == [(0, np.float32(value))]
    assert values(found, "training/loss") == [(c.step, np.float32(c.values["training/loss"])) for c in shown.curves]
    assert b"| encoder | stain-filters |" in found.Tensors("settings")[0].tensor_proto.string_val[0]
    assert "_hparams_/session_start_info" in found.Tags()["tensors"]
    assert values(events(theirs.where), "lattice/mri/all/balanced_accuracy") == [(0, 0.75)]


def test_a_second_mirror_replaces_the_first(record: RunRecord, tmp_path: Path) -> None:
    for _ in range(2):
        (found,) = mirror_in_tensorboard([record], str(tmp_path))
    assert len(list(Path(found.where).iterdir())) == 1
    assert len(values(events(found.where), "macro_f1")) == 1
