"""The fields of a dataset as a list: found by words, in the order that one wants."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryostat.cells.dataset import CellDataset
from cryostat.core.errors import CryostatError
from cryostat.report.view.asking import Answer
from cryostat.report.view.models import Model
from cryostat.report.view.pages import page
from cryostat.report.view.tiles import level_of

PAGE = 60
"""Fields on one page of a dataset."""

THUMBNAIL = 8
"""Level of a pyramid whose one tile is at most 256 px wide; small fields have none so high."""

WORST, BEST, MOST, STORED = "errors", "right", "nuclei", "stored"

ORDERS: Mapping[str, str] = {
    WORST: "Most errors first",
    BEST: "Fewest errors first",
    MOST: "Most nuclei first",
    STORED: "As in the dataset",
}
"""Order of the list to its words; the first two need a model."""


@dataclass(frozen=True)
class FieldRow:
    """What the list tells of a field.

    Attributes:
        id: Its id.
        patient: Its patient, or empty.
        site: Where it comes from, or empty.
        size: Its size in words.
        nuclei: How many it has.
        level: Level of the pyramid from which its small picture is taken.
        wrong: How many nuclei the model got wrong; None where it scored none.
        scored: How many were scored.
    """

    id: str
    patient: str
    site: str
    size: str
    nuclei: int
    level: int
    wrong: int | None = None
    scored: int = 0

    @property
    def rate(self) -> float | None:
        """Share of the scored nuclei that is wrong."""
        return None if self.wrong is None else self.wrong / self.scored


KEYS: Mapping[str, Callable[[FieldRow], Any]] = {
    WORST: lambda row: (row.rate is None, -(row.rate or 0)),
    BEST: lambda row: (row.rate is None, row.rate or 0),
    MOST: lambda row: -row.nuclei,
    STORED: lambda row: 0,
}


@dataclass(frozen=True)
class Wish:
    """Which fields, of which model, in which order.

    Attributes:
        model: The model, if there is any.
        sort: Of `ORDERS`.
        words: Words that id, patient or site hold.
    """

    model: Model | None
    sort: str
    words: str

    @classmethod
    def of(cls, models: Sequence[Model], query: Mapping[str, str]) -> Wish:
        """From a query; by default the first model, its worst fields first."""
        by_key = {model.key: model for model in models}
        model = by_key.get(query.get("run", "")) or next(iter(models), None)
        sort = query.get("sort", "")
        known = sort in ORDERS and (model is not None or sort not in (WORST, BEST))
        default = WORST if model is not None else STORED
        return cls(model, sort if known else default, query.get("find", ""))

    @property
    def errors(self) -> tuple[Mapping[str, tuple[int, int]], str]:
        """Field to its wrong and its scored nuclei, and what is wrong with the predictions, or empty."""
        try:
            return (self.model.errors if self.model else {}), ""
        except CryostatError as error:
            return {}, f"{error.problem}. {error.remedy}"

    @property
    def query(self) -> dict[str, str]:
        """What stands in an address."""
        if self.model is None:
            return {"sort": self.sort if self.sort != STORED else "", "find": self.words}
        return {"run": self.model.key, "sort": self.sort, "find": self.words}


def rows_of(dataset: CellDataset, wish: Wish) -> list[FieldRow]:
    """The fields that are wished for, in order; without errors where the predictions cannot be read."""
    words = wish.words.casefold()
    rows = [row for row in _rows(dataset, wish.errors[0]) if words in f"{row.id} {row.patient} {row.site}".casefold()]
    return sorted(rows, key=KEYS[wish.sort])


def _rows(dataset: CellDataset, errors: Mapping[str, tuple[int, int]]) -> list[FieldRow]:
    counts = dataset.cells["fov_id"].value_counts()
    names = ("fov_id", "patient_id", "site", "width", "height")
    return [
        FieldRow(
            str(fov),
            patient if isinstance(patient, str) else "",
            site if isinstance(site, str) else "",
            f"{width:,} × {height:,} px",
            int(counts.get(fov, 0)),
            min(THUMBNAIL, level_of(max(width, height))),
            *errors.get(str(fov), (None, 0)),
        )
        for fov, patient, site, width, height in zip(*(dataset.fovs[name] for name in names), strict=True)
    ]


def neighbours(dataset: CellDataset, wish: Wish, fov: str) -> dict[str, str | None]:
    """The fields before and after one in a list; None at its ends, and for fields that the list has not."""
    ids = [row.id for row in rows_of(dataset, wish)]
    at = ids.index(fov) if fov in ids else None
    if at is None:
        return {"previous": None, "next": None}
    return {"previous": ids[at - 1] if at else None, "next": ids[at + 1] if at + 1 < len(ids) else None}


def fields_page(name: str, dataset: CellDataset, models: Sequence[Model], query: Mapping[str, str]) -> Answer:
    """One page of the list."""
    wish = Wish.of(models, query)
    rows = rows_of(dataset, wish)
    pages = max(1, -(-len(rows) // PAGE))
    at = min(int(query["page"]), pages) if re.fullmatch(r"[1-9]\d{0,5}", query.get("page", "")) else 1
    orders = {key: words for key, words in ORDERS.items() if models or key not in (WORST, BEST)}
    return page(
        "fields.html",
        2,
        title=name,
        rows=rows[(at - 1) * PAGE : at * PAGE],
        count=len(rows),
        total=len(dataset.fovs),
        at=at,
        pages=pages,
        wish=wish,
        models=models,
        orders=orders,
        tested=sum(row.rate is not None for row in rows),
        problem=wish.errors[1],
    )
