"""Runs mirrored in MLflow."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryostat.core.errors import SettingError
from cryostat.export.optional import require
from cryostat.export.trackers.mirror import PROJECT, Mirror, Mirrored, mirror
from cryostat.results.records import RunRecord

if TYPE_CHECKING:
    from mlflow import MlflowClient

KEY = "cryostat.key"
"""Tag by which a run is found again."""

LONGEST = 6000
"""Letters of a parameter that MLflow keeps."""

AT_ONCE = 100
"""Parameters or tags that MLflow takes in one call."""


def mirror_in_mlflow(records: Sequence[RunRecord], to: str, project: str = PROJECT) -> list[Mirrored]:
    """Mirror runs: settings as parameters, scores as metrics, the predictions table as an artefact.

    A run that the experiment has already is passed over.

    Args:
        records: Runs of any benchmark.
        to: A folder, or a tracking address as MLflow knows it (`sqlite:///…`, `http://…`).
        project: Name of the experiment.

    Raises:
        MissingExtraError: mlflow is not installed.
        SettingError: MLflow refuses the address.
        CryostatError: As from `mirror`.
    """
    require("mlflow", "Mirroring in MLflow")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # a mirror tells nobody that it is made
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    address, shown = tracking_address(to), [mirror(record) for record in records]
    if address.startswith("file:"):
        # From 3.7 on MLflow wants to be told that a plain folder, which needs no database, is meant.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    try:
        client = MlflowClient(tracking_uri=address)
        experiment = _experiment(client, project)
        return [_mirror(client, experiment, one) for one in shown]
    except MlflowException as error:
        raise SettingError(
            f"MLflow refuses ({str(error).splitlines()[0]})",
            where=address,
            remedy="Give a folder, or the address of a tracking server that runs",
        ) from error


def tracking_address(to: str) -> str:
    """A folder as a file address; any other address as it is."""
    return to if re.match(r"[a-z][a-z0-9+.-]+:", to) else Path(to).resolve().as_uri()


def _experiment(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name))


def _mirror(client: MlflowClient, experiment: str, shown: Mirror) -> Mirrored:
    there = client.search_runs([experiment], f"tags.`{KEY}` = '{shown.key}' and attributes.status = 'FINISHED'")
    if there:
        return Mirrored(shown.run_id, str(there[0].info.run_id), fresh=False)
    millis = int(shown.created.timestamp() * 1000)
    run = client.create_run(experiment, start_time=millis, run_name=shown.run_id).info.run_id
    for batch in _batches(shown, millis):
        client.log_batch(run, **batch)
    client.log_artifact(run, str(shown.predictions))
    client.set_terminated(run, end_time=millis)
    return Mirrored(shown.run_id, str(run))


def _batches(shown: Mirror, millis: int) -> Iterator[dict[str, Any]]:
    from mlflow.entities import Metric, Param, RunTag

    params = [Param(name, str(value)[:LONGEST]) for name, value in shown.settings.items()]
    tags = [RunTag(name, text) for name, text in {**shown.tags, KEY: shown.key}.items()]
    metrics = [Metric(name, value, millis, 0) for name, value in shown.metrics.items()]
    metrics += [Metric(n, value, millis, curve.step) for curve in shown.curves for n, value in curve.values.items()]
    for name, entries in (("params", params), ("tags", tags), ("metrics", metrics)):
        for start in range(0, len(entries), AT_ONCE):
            yield {name: entries[start : start + AT_ONCE]}
