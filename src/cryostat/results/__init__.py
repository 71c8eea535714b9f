"""Results: predictions tables, the scores that follow from them, and the records of runs. Needs no torch."""

from __future__ import annotations

from cryostat.results.predictions import read_predictions, write_predictions
from cryostat.results.records import RunRecord, find_runs
from cryostat.results.scores import Scores, score
from cryostat.results.tables import summary

__all__ = ["RunRecord", "Scores", "find_runs", "read_predictions", "score", "summary", "write_predictions"]
