"""Runs mirrored as TensorBoard event files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cryostat.core.files import safe_name
from cryostat.export.optional import require
from cryostat.export.trackers.mirror import PROJECT, Mirror, Mirrored, mirror
from cryostat.results.records import CASES, RunRecord

EVENTS = "events.out.tfevents.*"
"""Event files of a folder."""

HEADLINE = {CASES: ("balanced_accuracy", "accuracy")}
"""Benchmark to the metrics that stand beside its settings in the HParams tab."""

HEADLINE_OF_CELLS = ("macro_f1", "accuracy")


def mirror_in_tensorboard(records: Sequence[RunRecord], to: str, project: str = PROJECT) -> list[Mirrored]:
    """Write each run into `TO/PROJECT/RUN`: scores and curves as scalars, settings as hyperparameters and as text.

    Event files of a run that was mirrored before are replaced. TensorBoard keeps no artefacts; a text says where the
    predictions are.

    Args:
        records: Runs of any benchmark.
        to: A folder.
        project: Name of the folder within.

    Raises:
        MissingExtraError: tensorboard is not installed.
        CryostatError: As from `mirror`.
    """
    require("tensorboard", "Mirroring in TensorBoard")
    return [_mirror(Path(to) / safe_name(project) / safe_name(record.run_id), mirror(record)) for record in records]


def _mirror(folder: Path, shown: Mirror) -> Mirrored:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    earlier = list(folder.glob(EVENTS))
    writer = EventFileWriter(str(folder))
    for step, summary in _summaries(shown):
        writer.add_event(Event(wall_time=shown.created.timestamp(), step=step, summary=summary))
    writer.close()
    for path in earlier:
        path.unlink()
    return Mirrored(shown.run_id, str(folder))


def _summaries(shown: Mirror) -> Iterator[tuple[int, Any]]:
    from tensorboard.plugins.hparams import summary_v2 as hparams
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb
    from tensorboard.plugins.text.summary_v2 import text_pb

    headline = HEADLINE.get(shown.tags["cryostat.benchmark"], HEADLINE_OF_CELLS)
    yield (
        0,
        hparams.hparams_config_pb(
            hparams=[hparams.HParam(name) for name in shown.settings],
            metrics=[hparams.Metric(name) for name in headline],
        ),
    )
    yield 0, hparams.hparams_pb(dict(shown.settings), trial_id=shown.key)
    for title, facts in (("settings", shown.settings), ("record", {**shown.tags, "predictions": shown.predictions})):
        yield 0, text_pb(title, _table(facts))
    for name, value in shown.metrics.items():
        yield 0, scalar_pb(name, value)
    for curve in shown.curves:
        for name, value in curve.values.items():
            yield curve.step, scalar_pb(name, value)


def _table(facts: Any) -> str:
    """A Markdown table of names and values."""
    rows = [f"| {name} | {str(value).replace('|', chr(92) + '|')} |" for name, value in facts.items()]
    return "\n".join(["| | |", "|---|---|", *rows])
