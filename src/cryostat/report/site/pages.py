"""Pages of a report: what each is called and which template makes it."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from cryostat.core.files import safe_name
from cryostat.core.identity import digest
from cryostat.report.site import charts, ladder_charts
from cryostat.report.site.case_data import METRIC, matrix_shares
from cryostat.report.site.data import CaseBoard, CellBoard, Study, best, encoder_of
from cryostat.report.site.facts import ModelFacts
from cryostat.report.site.gallery import Gallery
from cryostat.report.site.methods import Methods
from cryostat.report.site.plates import Plate
from cryostat.results.cases.metrics import METRICS
from cryostat.results.intervals import FEW_CLUSTERS, doubt
from cryostat.results.uncertainty import Estimate

LONGEST = 80
"""Characters of a name from which its file is named by a hash."""

UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
"""What must not stand in JSON within a page."""


@dataclass(frozen=True)
class Page:
    """A page to be written: file name, template, heading, and what the template is given."""

    file: str
    template: str
    heading: str
    context: Mapping[str, Any]


def page_file(kind: str, name: str) -> str:
    """File name of a page about something: safe on every system, however it is named."""
    safe = safe_name(name)
    # Names that differ in case alone would be one file on some systems.
    mark = f"-{digest(name)[:6]}" if safe != safe.lower() or len(safe) > LONGEST else ""
    return f"{kind}-{safe.lower()[:LONGEST]}{mark}.html"


def link(kind: str, name: str) -> str:
    """Relative address of `page_file`."""
    return quote(page_file(kind, name))


def anchor(*parts: str) -> str:
    """Id of a part of a page."""
    return f"a-{digest(parts)[:10]}"


def cohort_page(board: CaseBoard) -> str:
    """Name under which a leaderboard of cases has its page."""
    return "-".join((board.cohort, board.task, board.protocol, board.split, *board.modalities))


def json_text(value: Any) -> Markup:
    """JSON that can stand in a script element: nothing in it ends the element or a line."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return Markup("".join(UNSAFE.get(c, c) for c in text))


def number(value: float | None, digits: int = 3) -> str:
    """A figure; a dash where it is not known."""
    if value is None or math.isnan(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.replace("-", "−" if float(text) else "")


def signed(value: float, digits: int = 3) -> str:
    """A difference with its sign; zero has none."""
    if math.isnan(value):
        return "–"
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−") if float(text) else text[1:]


def interval(e: Estimate, digits: int = 3) -> str:
    """`0.61–0.72`; nothing where it is not known."""
    if math.isnan(e.low):
        return ""
    joint = " to " if e.low < 0 else "–"
    return f"{number(e.low, digits)}{joint}{number(e.high, digits)}"


def breakable(text: str) -> Markup:
    """A long name that may be broken after its joints."""
    joints = ("_", "@", "-", "/", ".", "+")
    parts = [Markup("{}<wbr>").format(c) if c in joints else Markup.escape(c) for c in text]
    return Markup("").join(parts)


def coded(text: str) -> Markup:
    """A text with what stands between backticks as code."""
    parts = text.split("`")
    whole = len(parts) % 2  # a single backtick is one
    made = [Markup("<code>{}</code>").format(p) if i % 2 else Markup.escape(p) for i, p in enumerate(parts)]
    return Markup("").join(made) if whole else Markup.escape(text)


def p_value(value: float) -> str:
    """A p-value as papers print it."""
    if math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def bar(e: Estimate, ends: tuple[float, float], mark: float | None = None) -> str:
    """CSS variables of an inline interval, per cent: its beginning and width, the places of its value and a mark."""

    def place(value: float) -> float:
        return 100 * min(1.0, max(0.0, (value - ends[0]) / (ends[1] - ends[0])))

    low, high = (e.value, e.value) if math.isnan(e.low) else (e.low, e.high)
    parts = {"l": place(low), "w": place(high) - place(low), "v": place(e.value)}
    if mark is not None and not math.isnan(mark):
        parts["m"] = place(mark)
    return ";".join(f"--{name}:{value:.2f}%" for name, value in parts.items())


def bare(value: float | None) -> Estimate:
    """A value without an interval; unknown where there is none."""
    return Estimate(math.nan if value is None else value, math.nan, math.nan)


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds >= 0.05 else "< 0.1 s"


FILTERS: Mapping[str, Callable[..., Any]] = {
    "num": number,
    "signed": signed,
    "ci": interval,
    "p": p_value,
    "told": charts.told,
    "breakable": breakable,
    "coded": coded,
    "duration": duration,
    "anchor": lambda name, *more: anchor(str(name), *map(str, more)),
    "cohort_link": lambda board: link("cohort", cohort_page(board)),
    "known": lambda value: not math.isnan(value),
}
"""What templates call."""

GLOBALS: Mapping[str, Any] = {
    "link": link,
    "bar": bar,
    "bare": bare,
    "domain": charts.domain,
    "signed_domain": charts.signed_domain,
    "ticks": charts.ticks,
    "open_domain": ladder_charts.open_domain,
    "ladder_chart": ladder_charts.ladder_chart,
    "SHOWN": ladder_charts.SHOWN,
    "series_class": charts.series_class,
    "efficiency": charts.efficiency,
    "waiting_chart": charts.waiting,
    "calibration_chart": charts.calibration,
    "rank_starts": charts.rank_starts,
    "matrix_shares": matrix_shares,
    "best": best,
    "encoder_of": encoder_of,
    "cohort_page": cohort_page,
    "few": doubt,
    "FEW": FEW_CLUSTERS,
    "METRIC": METRIC,
    "METRICS": METRICS,
}
"""What templates may use besides what they are given."""


def environment() -> jinja2.Environment:
    """Templates that escape all that they are given, and refuse what they are not."""
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: _shipped("templates", name)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS)
    made.filters["json"] = json_text
    made.globals.update(GLOBALS)
    return made


def _shipped(folder: str, name: str) -> str:
    return files(__package__).joinpath(folder, name).read_text(encoding="utf-8")


def pages(study: Study, methods: Methods, galleries: Mapping[str, Gallery], plates: Sequence[Plate]) -> Iterator[Page]:
    """All pages of a report, the index first."""
    yield Page("index.html", "index.html", study.title, {})
    for name, facts in study.datasets.items():
        given = {"facts": facts, "boards": study.boards_of(name), "shifts": study.shifts.get(name, ())}
        yield Page(page_file("dataset", name), "dataset.html", name, given | {"gallery": galleries.get(name)})
    for board in study.cases:
        yield Page(page_file("cohort", cohort_page(board)), "cohort.html", study.label(board), {"board": board})
    for name, gallery in galleries.items():
        yield Page(page_file("gallery", name), "gallery.html", f"Gallery of {name}", {"gallery": gallery})
    for model in study.models:
        yield Page(
            page_file(model.kind, model.name), "model.html", model.name, {"model": model, "found": _found(study, model)}
        )
    if plates:
        yield Page("figures.html", "figures.html", "Figures", {})
    yield Page("methods.html", "methods.html", "Methods", {"methods": methods})


def _found(study: Study, model: ModelFacts) -> list[dict[str, Any]]:
    """Rows of a model, each with the board that it stands on."""
    return [{"board": board, "row": row, "cells": isinstance(board, CellBoard)} for board, row in study.rows_of(model)]


def render(page: Page, shared: Mapping[str, Any], env: jinja2.Environment) -> str:
    """The text of a page, style and script within it."""
    script = _shipped("static", "site.js")
    fingerprint = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    given = {
        "heading": page.heading,
        "here": page.file,
        "style": Markup(_shipped("static", "site.css")),
        "script": Markup(script),
        "script_hash": fingerprint,
    }
    return env.get_template(page.template).render({**shared, **given, **page.context})
