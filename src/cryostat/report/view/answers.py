"""What is answered to an address: pages, tiles, files of reports; nothing else of the machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from cryostat.core.errors import CryostatError, InputError, SettingError
from cryostat.report.site.pages import page_file
from cryostat.report.view.asking import TYPES, Answer, Asked, MissingError, type_of
from cryostat.report.view.pages import page, template_of
from cryostat.report.view.scenes import FILES, dataset_answer, slide_answer
from cryostat.report.view.shelf import Shelf

THEIRS = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the pages of a report may load: of this server alone."""


def answer(shelf: Shelf, asked: Asked) -> Answer:
    """What is at an address.

    Raises:
        MissingError: Nothing is there.
        CryostatError: Something is there and cannot be shown.
    """
    kinds: Mapping[str, Callable[[Shelf, Asked], Answer]] = {
        "static": _static,
        "report": _report,
        "slide": slide_answer,
        "dataset": dataset_answer,
    }
    if asked.parts in ((), ("",)):
        return _start(shelf)
    if asked.parts[0] not in kinds or len(asked.parts) < 2:
        raise MissingError
    return kinds[asked.parts[0]](shelf, asked)


def trouble(error: CryostatError, asked: Asked) -> Answer:
    """An error of ours as a page, or as the text of a failed tile."""
    status = HTTPStatus.NOT_FOUND if isinstance(error, SettingError) else HTTPStatus.UNPROCESSABLE_ENTITY
    where = Path(error.where).name if error.where else ""
    if any(part.endswith(FILES) for part in asked.parts[:-1]) or asked.parts[-1].endswith(".json"):
        return Answer(status, TYPES[".txt"], _line(error, where))
    return page(
        "error.html", len(asked.parts) - 1, status=status, title="This cannot be shown", error=error, where=where
    )


def _line(error: CryostatError, where: str) -> bytes:
    told = f"{f'{where}: ' if where else ''}{error.problem}. {error.remedy}."
    return told.encode("utf-8", "replace")


def _static(shelf: Shelf, asked: Asked) -> Answer:
    name = asked.parts[-1]
    known = {one.name: one for one in files(__package__).joinpath("static").iterdir()}
    if len(asked.parts) != 2 or name not in known:
        raise MissingError
    return Answer(HTTPStatus.OK, type_of(name), known[name].read_bytes(), {"Cache-Control": "private, max-age=86400"})


def _start(shelf: Shelf) -> Answer:
    only = _only(shelf)
    if only:
        return Answer(HTTPStatus.FOUND, TYPES[".txt"], b"", {"Location": only})
    return page("start.html", 0, title="Cryostat view", shelf=shelf)


def _only(shelf: Shelf) -> str | None:
    """Address of the one thing that is shown; a report comes before the datasets that come with it."""
    if len(shelf.reports) == 1 and not shelf.slides:
        return f"report/{quote(next(iter(shelf.reports)), safe='')}/"
    if not shelf.reports and len(shelf.slides) + len(shelf.datasets) == 1:
        kind, things = ("slide", list(shelf.slides)) if shelf.slides else ("dataset", list(shelf.datasets))
        return f"{kind}/{quote(things[0], safe='')}/"
    return None


def _report(shelf: Shelf, asked: Asked) -> Answer:
    root = shelf.reports.get(asked.parts[1])
    if root is None or len(asked.parts) < 3:
        raise MissingError
    wanted = (*asked.parts[2:-1], asked.parts[-1] or "index.html")
    path = inside(root, wanted)
    try:
        body = path.read_bytes()
    except OSError as error:
        raise InputError(
            "cannot be read", where=path, remedy="Check who may read it, or write the report anew"
        ) from error
    if path.suffix == ".html":
        body = _with_links(body, path.name, shelf)
    return Answer(HTTPStatus.OK, type_of(path.name), body, {"Content-Security-Policy": THEIRS})


def inside(root: Path, parts: Sequence[str]) -> Path:
    """A file of a folder by the parts of its address.

    Raises:
        MissingError: There is none, it is hidden, or it lies outside, by whatever way.
    """
    if any(part.startswith(".") or re.search(r"[/\\:\0]", part) for part in parts):
        raise MissingError
    path = root.joinpath(*parts).resolve()
    try:
        there = path.is_relative_to(root.resolve()) and path.is_file()
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise MissingError from error
    if not there:
        raise MissingError
    return path


def _with_links(body: bytes, page: str, shelf: Shelf) -> bytes:
    """A page of a report with a link to the fields of the dataset that it is about."""
    about = [n for n in shelf.datasets if page in (page_file("dataset", n), page_file("gallery", n))]
    start = body.find(b"<main")
    end = body.find(b">", start) + 1
    if not about or start < 0 or not end:
        return body
    link = template_of("link.html").render(name=about[0]).encode()
    return body[:end] + link + body[end:]
