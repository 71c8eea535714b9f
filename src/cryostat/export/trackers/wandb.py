"""Runs mirrored in Weights & Biases, offline: `wandb sync` sends them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cryostat.export.optional import require
from cryostat.export.trackers.mirror import PROJECT, Mirror, Mirrored, mirror
from cryostat.results.records import RunRecord


def mirror_in_wandb(records: Sequence[RunRecord], to: str, project: str = PROJECT) -> list[Mirrored]:
    """Write each run as an offline run: settings as config, scores as summary, the predictions table as an artefact.

    Nothing is sent. A run has the same id each time, so that sending it twice leaves one.

    Args:
        records: Runs of any benchmark.
        to: Folder in which `wandb/offline-run-*` appear.
        project: Name of the project.

    Raises:
        MissingExtraError: wandb is not installed.
        CryostatError: As from `mirror`.
    """
    require("wandb", "Mirroring in Weights & Biases")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # offline means that nothing is sent, errors included
    import wandb

    folder = Path(to)
    folder.mkdir(parents=True, exist_ok=True)
    found = [_mirror(folder, project, mirror(record)) for record in records]
    if wandb.run is None:
        # Its service writes the files, and is done with them only when it has ended.
        wandb.teardown()
    return found


def _mirror(folder: Path, project: str, shown: Mirror) -> Mirrored:
    import wandb

    # What the machine does while a finished run is copied says nothing of the run.
    quiet = wandb.Settings(silent=True, console="off", x_disable_stats=True, x_disable_meta=True, disable_git=True)
    config = {**shown.settings, **shown.tags}
    named = {"project": project, "id": shown.key, "name": shown.run_id, "group": shown.tags["cryostat.benchmark"]}
    run = wandb.init(dir=str(folder), mode="offline", config=config, settings=quiet, **named)
    for curve in shown.curves:
        run.log(dict(curve.values), step=curve.step)
    run.summary.update(dict(shown.metrics))
    artefact = wandb.Artifact(f"predictions-{shown.key}", type="predictions")
    # The run's own file is named, not copied into W&B's cache: predictions are never rewritten.
    artefact.add_file(str(shown.predictions.resolve()), policy="immutable", skip_cache=True)
    run.log_artifact(artefact)
    where = Path(run.dir).parent
    run.finish()
    return Mirrored(shown.run_id, str(where))
