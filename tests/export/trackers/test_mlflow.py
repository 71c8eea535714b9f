from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from cryostat.core.errors import SettingError
from cryostat.export.trackers.mirror import mirror
from cryostat.export.trackers.mlflow import mirror_in_mlflow, tracking_address
from cryostat.results.records import RunRecord

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
mlflow = pytest.importorskip("mlflow")


def test_runs_are_written_once_and_read_back(record: RunRecord, case_run: RunRecord, tmp_path: Path) -> None:
    folder = tmp_path / "ml runs"
    found = mirror_in_mlflow([record, case_run], str(folder), "trial")
    assert [(one.run_id, one.fresh) for one in found] == [(record.run_id, True), (case_run.run_id, True)]
    again = mirror_in_mlflow([record], str(folder), "trial")
    assert [(one.where, one.fresh) for one in again] == [(found[0].where, False)]

    client = mlflow.MlflowClient(tracking_uri=folder.as_uri())
    runs = client.search_runs([client.get_experiment_by_name("trial").experiment_id])
    assert {run.info.run_name for run in runs} == {record.run_id, case_run.run_id}
    run, shown = client.get_run(found[0].where), mirror(record)
    assert run.info.status == "FINISHED"
    assert run.data.params == {name: str(value) for name, value in shown.settings.items()}
    assert {name: run.data.metrics[name] for name in shown.metrics} == shown.metrics
    history = client.get_metric_history(found[0].where, "training/loss")
    assert [(m.step, m.value) for m in history] == [(c.step, c.values["training/loss"]) for c in shown.curves]
    path = client.download_artifacts(found[0].where, "predictions.parquet", str(tmp_path))
    assert len(pd.read_parquet(path)) == len(record.predictions())


def test_addresses(tmp_path: Path) -> None:
    assert tracking_address("http://host:5000") == "http://host:5000"
    assert tracking_address("sqlite:///x.db") == "sqlite:///x.db"
    assert tracking_address(str(tmp_path / "a b")) == (tmp_path / "a b").as_uri()


def test_an_address_that_mlflow_does_not_know(record: RunRecord) -> None:
    with pytest.raises(SettingError, match="MLflow refuses"):
        mirror_in_mlflow([record], "gopher://x")
