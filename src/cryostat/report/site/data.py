"""What a report shows, as plain values: everything that a page needs and nothing that it must compute."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cryostat.report.site.facts import DatasetFacts, ModelFacts, RunFacts
from cryostat.report.site.ladder_data import LadderBoard
from cryostat.results.shift import Shift
from cryostat.results.uncertainty import Estimate

UNKNOWN = Estimate(math.nan, math.nan, math.nan)
"""What was not measured."""


@dataclass(frozen=True)
class ClassResult:
    """One class of one row.

    Attributes:
        name: Class name.
        support: True cells; of published rows 0 where it is not known.
        clusters: Patients or fields that have one.
        rare: Why the class is marked; empty where it is not.
        f1: F1 with its interval; NaN where the class does not count.
        effective: How many clusters with equally many true cells are worth as much.
        doubtful: So few of them that the interval is likely too narrow.
    """

    name: str
    support: int
    clusters: int
    rare: str
    f1: Estimate
    effective: float = math.nan
    doubtful: bool = False


@dataclass(frozen=True)
class CellRow:
    """One row of a leaderboard of cells: an encoder, head and mode, seeds averaged and folds pooled.

    Attributes:
        encoder: Name of the encoder; `none` for heads that bring their own network.
        head: Name of the head.
        mode: How the head was trained.
        variant: What sets the row apart from others of the same names.
        fraction: Share of the training fields; NaN for a model that was fitted elsewhere.
        macro_f1: Headline score.
        common_f1: The same without rare classes; unknown where no class is rare.
        accuracy: Share of right cells.
        classes: F1 of the classes.
        seeds: How many.
        sd: Standard deviation of the macro F1 over seeds; NaN for one.
        folds: `5/5` for a cross-validation, else empty.
        complete: All folds are there.
        rank: Rank group; None where the row is not ranked.
        p_best: Holm-adjusted p-value against the best row; NaN for that row.
        detectable: Smallest difference from the best that the test would find; NaN where not known.
        cells: Cells scored.
        clusters: Clusters that were resampled.
        cluster: What one is.
        effective: Effective number of clusters.
        doubt: Why the intervals of the row are likely too narrow; empty where they are not.
        confusion_names: Classes along the confusion matrix, background first.
        confusion: Cells by true (rows) and predicted class, summed over seeds.
        runs: Ids of the runs.
        published: Where it was published; empty for rows of ours.
        printed: What a published row calls its model.
        marks: What is known to be wrong with a published row, by letter.
    """

    encoder: str
    head: str
    mode: str = ""
    variant: str = ""
    fraction: float = 1.0
    macro_f1: Estimate = UNKNOWN
    common_f1: Estimate = UNKNOWN
    accuracy: Estimate = UNKNOWN
    classes: tuple[ClassResult, ...] = ()
    seeds: int = 1
    sd: float = math.nan
    folds: str = ""
    complete: bool = True
    rank: int | None = None
    p_best: float = math.nan
    detectable: float = math.nan
    cells: int = 0
    clusters: int = 0
    cluster: str = "field"
    effective: float = math.nan
    doubt: str = ""
    confusion_names: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    runs: tuple[str, ...] = ()
    published: str = ""
    printed: str = ""
    marks: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Encoder and head in one line."""
        return self.head if self.encoder == "none" else f"{self.encoder} · {self.head}"

    def of(self, name: str) -> ClassResult | None:
        """One class by name."""
        return next((c for c in self.classes if c.name == name), None)

    @property
    def doubtful(self) -> tuple[ClassResult, ...]:
        """Classes whose intervals are likely too narrow."""
        return tuple(c for c in self.classes if c.doubtful)


@dataclass(frozen=True)
class CellBoard:
    """The rows of one dataset, split and protocol; ranks are within a share of the training fields.

    Attributes:
        dataset: Name of the dataset.
        split: Split, or family of folds.
        protocol: Name of the protocol.
        rows: Rows of ours, then published ones; the largest share of training fields and the best first.
        remarks: What a reader must know of the published ones.
    """

    dataset: str
    split: str
    protocol: str
    rows: tuple[CellRow, ...]
    remarks: tuple[str, ...] = ()

    @property
    def ours(self) -> tuple[CellRow, ...]:
        """Rows that were run."""
        return tuple(row for row in self.rows if not row.published)

    @property
    def full(self) -> tuple[CellRow, ...]:
        """Rows of ours with the largest share of the training fields, complete ones only."""
        most = max(self.fractions, default=math.nan)
        alike = [row for row in self.ours if row.fraction == most or not self.fractions]
        return tuple(row for row in alike if row.complete)

    @property
    def fractions(self) -> tuple[float, ...]:
        """Shares of the training fields, ascending, where they are known."""
        return tuple(sorted({row.fraction for row in self.ours if not math.isnan(row.fraction)}))

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why intervals of whole rows are likely too narrow."""
        return tuple(dict.fromkeys(row.doubt for row in self.ours if row.doubt))

    @property
    def doubtful(self) -> tuple[ClassResult, ...]:
        """Classes whose intervals are likely too narrow in rows that are not so as a whole."""
        found = {c.name: c for row in reversed(self.ours) if not row.doubt for c in row.doubtful}
        return tuple(found[name] for name in self.class_names if name in found)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes that count in some row, in the order of the dataset."""
        counted = [c.name for row in self.ours for c in row.classes if not math.isnan(c.f1.value)]
        return tuple(dict.fromkeys(c.name for row in self.ours for c in row.classes if c.name in set(counted)))


@dataclass(frozen=True)
class ShiftResult:
    """One model on two test parts of a dataset: its name, the two splits, and what was found."""

    name: str
    base: str
    shifted: str
    found: Shift


@dataclass(frozen=True)
class Offer:
    """A subset of the modalities offered: on whom, how many they are, and the score."""

    members: tuple[str, ...]
    n: int
    score: Estimate


@dataclass(frozen=True)
class Share:
    """What a modality contributes to the score: its Shapley value, first and last of all."""

    modality: str
    value: Estimate
    first: float
    last: float


@dataclass(frozen=True)
class Curve:
    """A curve with a band: a label and (x, value) points; `chance` is the same without a model's choice."""

    label: str
    points: tuple[tuple[float, Estimate], ...]
    chance: tuple[float, ...] = ()


@dataclass(frozen=True)
class CaseRow:
    """One run of cases.

    Attributes:
        method: Name of the method.
        variant: What sets the run apart from others of the method.
        run_id: Name of the run.
        metrics: Metric to its value with everything offered, on all patients.
        complete: Headline metric on those who have every modality; unknown where nobody does.
        n_complete: How many they are.
        rank: Rank group; None where it is not ranked.
        p_best: Holm-adjusted p-value against the best; NaN for that row.
        offers: Every subset offered, on those who have all of it.
        shares: What each modality contributes.
        contributed: (patients, score with nothing, score with everything) behind `shares`.
        waiting: What is gained when the least certain wait for more.
        calibration: (confidence, share that is right, share of patients) by bin.
        confusion: Patients by true and predicted class, summed over repeats and seeds.
        repeats: Number of repeats.
        seeds: Number of seeds.
        sd: Standard deviation over repeats; NaN for one.
        flags: What a reader must know.
    """

    method: str
    variant: str
    run_id: str
    metrics: Mapping[str, Estimate]
    complete: Estimate = UNKNOWN
    n_complete: int = 0
    rank: int | None = None
    p_best: float = math.nan
    offers: tuple[Offer, ...] = ()
    shares: tuple[Share, ...] = ()
    contributed: tuple[int, float, float] = (0, math.nan, math.nan)
    waiting: tuple[Curve, ...] = ()
    calibration: tuple[tuple[float, Estimate, float], ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    repeats: int = 1
    seeds: int = 1
    sd: float = math.nan
    flags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The method, with what sets the run apart."""
        return f"{self.method} ({self.variant})" if self.variant else self.method


@dataclass(frozen=True)
class PublishedCase:
    """One published row on patients.

    Attributes:
        config: What was given and withheld, as printed.
        metrics: Metric to its value.
        published: Where it stands.
        implied: Ends of the interval of balanced accuracy that the table implies; NaN where not worked out.
    """

    config: str
    metrics: Mapping[str, float]
    published: str
    implied: tuple[float, float] = (math.nan, math.nan)


@dataclass(frozen=True)
class CaseBoard:
    """Runs of one cohort, task, protocol and split.

    Attributes:
        cohort: Name of the cohort.
        task: Name of the task.
        protocol: Name of the protocol.
        split: Kind of split.
        modalities: In the order of the cohort.
        classes: Class names in order.
        supports: Patients of each class.
        patients: Patients scored.
        having: Modality to the patients that have it.
        rows: Best first.
        published: Rows of a paper's table of this cohort and task.
        remarks: What a reader must know of the published ones.
    """

    cohort: str
    task: str
    protocol: str
    split: str
    modalities: tuple[str, ...]
    classes: tuple[str, ...]
    supports: tuple[int, ...]
    patients: int
    having: Mapping[str, int]
    rows: tuple[CaseRow, ...]
    published: tuple[PublishedCase, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """Everything that a report shows.

    Attributes:
        title: Headline.
        cells: Leaderboards of cells.
        cases: Leaderboards of cases.
        datasets: Name to its facts.
        models: Encoders and methods.
        shifts: Dataset to what shifted test parts cost.
        ladders: How scores fall as test fields get worse.
        runs: All runs.
        broken: Folder name to why it cannot be used.
    """

    title: str
    cells: tuple[CellBoard, ...] = ()
    cases: tuple[CaseBoard, ...] = ()
    datasets: Mapping[str, DatasetFacts] = field(default_factory=dict)
    models: tuple[ModelFacts, ...] = ()
    shifts: Mapping[str, tuple[ShiftResult, ...]] = field(default_factory=dict)
    ladders: tuple[LadderBoard, ...] = ()
    runs: tuple[RunFacts, ...] = ()
    broken: Mapping[str, str] = field(default_factory=dict)

    def boards_of(self, dataset: str) -> tuple[CellBoard, ...]:
        """The leaderboards of a dataset."""
        return tuple(board for board in self.cells if board.dataset == dataset)

    def siblings(self, board: CaseBoard) -> tuple[CaseBoard, ...]:
        """The leaderboards of a cohort, that of `board` among them."""
        return tuple(other for other in self.cases if other.cohort == board.cohort)

    def label(self, board: CaseBoard) -> str:
        """Cohort and task of a leaderboard of cases, and what parts it from others of that cohort and task."""
        alike = [other for other in self.siblings(board) if other.task == board.task]
        shared = set.intersection(*(set(other.modalities) for other in alike))
        own = [name for name in board.modalities if name not in shared]
        varying = [getattr(board, n) for n in ("protocol", "split") if len({getattr(o, n) for o in alike}) > 1]
        return " · ".join([board.cohort, board.task, *varying, *([f"with {' + '.join(own)}"] if own else [])])

    def rows_of(self, model: ModelFacts) -> Iterator[tuple[CellBoard | CaseBoard, CellRow | CaseRow]]:
        """Every row of ours that an encoder or method has, with its board."""
        for board in self.cells if model.kind == "encoder" else ():
            yield from ((board, row) for row in board.ours if encoder_of(row) == model.name)
        for case_board in self.cases if model.kind == "method" else ():
            yield from ((case_board, one) for one in case_board.rows if one.method == model.name)


def encoder_of(row: CellRow) -> str:
    """Name of the page that tells of a row's encoder: heads with their own network have one of their own."""
    return row.head if row.encoder == "none" else row.encoder


def best(rows: Sequence[CellRow]) -> CellRow | None:
    """The row of ours with the highest macro F1."""
    known = [row for row in rows if not math.isnan(row.macro_f1.value)]
    return max(known, key=lambda row: row.macro_f1.value, default=None)
