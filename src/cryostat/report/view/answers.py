"""What is answered to an address: pages, tiles, files of reports; nothing else of the machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import jinja2

from cryostat.cells.dataset import CellDataset
from cryostat.core.errors import CryostatError, SettingError
from cryostat.report.site.pages import json_text, page_file
from cryostat.report.view.shelf import Scene, Shelf
from cryostat.report.view.tiles import Pyramid, level_of

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".csv": "text/csv; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".tex": "text/plain; charset=utf-8",
    ".bib": "text/plain; charset=utf-8",
    ".dzi": "application/xml",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".pdf": "application/pdf",
}
"""Ending of a file to its type; others are downloads of bytes."""

OURS = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
THEIRS = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What our pages, and what the pages of a report may load: of this server alone."""

PAGE = 60
"""Fields on one page of a dataset."""

THUMBNAIL = 8
"""Level of a pyramid whose one tile is at most 256 px wide; small fields have none so high."""

TILE_NAME = re.compile(r"(\d{1,6})_(\d{1,6})\.(jpg|png)")
FILES = "_files"


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: HTTPStatus
    type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class MissingError(Exception):
    """There is nothing at this address."""


@dataclass(frozen=True)
class Asked:
    """An address within the server: its parts, unquoted, and its query."""

    parts: tuple[str, ...]
    query: Mapping[str, str]

    @classmethod
    def of(cls, target: str) -> Asked:
        """From what stands in a request, without the key.

        Raises:
            MissingError: A part could lead elsewhere: `..`, a hidden file, a separator or NUL within a name.
        """
        address = urlsplit(target)
        parts = tuple(unquote(part) for part in address.path.split("/")[1:])
        if any(unsafe(part) for part in parts[:-1]) or (parts and parts[-1] and unsafe(parts[-1])):
            raise MissingError
        return cls(parts, {name: values[-1] for name, values in parse_qs(address.query).items()})


def unsafe(part: str) -> bool:
    """Whether a part of an address cannot be the name of something; the last may be empty."""
    return part in ("", ".", "..") or "\0" in part


def answer(shelf: Shelf, asked: Asked) -> Answer:
    """What is at an address.

    Raises:
        MissingError: Nothing is there.
        CryostatError: Something is there and cannot be shown.
    """
    kinds: Mapping[str, Callable[[Shelf, Asked], Answer]] = {
        "static": _static,
        "report": _report,
        "slide": _slide,
        "dataset": _dataset,
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
    if any(part.endswith(FILES) for part in asked.parts[:-1]):
        return Answer(status, TYPES[".txt"], f"{where}: {error.problem}. {error.remedy}.".encode())
    return _page(
        "error.html", len(asked.parts) - 1, status=status, title="This cannot be shown", error=error, where=where
    )


def _static(shelf: Shelf, asked: Asked) -> Answer:
    name = asked.parts[-1]
    known = {one.name: one for one in files(__package__).joinpath("static").iterdir()}
    if len(asked.parts) != 2 or name not in known:
        raise MissingError
    return Answer(HTTPStatus.OK, _type(name), known[name].read_bytes())


def _type(name: str) -> str:
    return TYPES.get(Path(name).suffix.lower(), "application/octet-stream")


def _start(shelf: Shelf) -> Answer:
    only = _only(shelf)
    if only:
        return Answer(HTTPStatus.FOUND, TYPES[".txt"], b"", {"Location": only})
    return _page("start.html", 0, title="Cryostat view", shelf=shelf)


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
    body = path.read_bytes()
    if path.suffix == ".html":
        body = _with_links(body, path.name, shelf)
    return Answer(HTTPStatus.OK, _type(path.name), body, {"Content-Security-Policy": THEIRS})


def inside(root: Path, parts: Sequence[str]) -> Path:
    """A file of a folder by the parts of its address.

    Raises:
        MissingError: There is none, it is hidden, or it lies outside, by whatever way.
    """
    if any(part.startswith(".") or re.search(r"[/\\:\0]", part) for part in parts):
        raise MissingError
    path = root.joinpath(*parts).resolve()
    if not path.is_relative_to(root.resolve()) or not path.is_file():
        raise MissingError
    return path


def _with_links(body: bytes, page: str, shelf: Shelf) -> bytes:
    """A page of a report with a link to the fields of the dataset that it is about."""
    about = [n for n in shelf.datasets if page in (page_file("dataset", n), page_file("gallery", n))]
    start = body.find(b"<main")
    end = body.find(b">", start) + 1
    if not about or start < 0 or not end:
        return body
    link = _template("link.html").render(name=about[0]).encode()
    return body[:end] + link + body[end:]


def _slide(shelf: Shelf, asked: Asked) -> Answer:
    return _scene(shelf.slide(asked.parts[1]), asked.parts[2:], 2)


def _dataset(shelf: Shelf, asked: Asked) -> Answer:
    name = asked.parts[1]
    dataset = shelf.datasets.get(name)
    if dataset is None or len(asked.parts) < 3:
        raise MissingError
    if asked.parts[2:] == ("",):
        return _fields(shelf, name, asked.query)
    ids = [str(fov) for fov in dataset.fovs.index]
    fov = asked.parts[2]
    scene = shelf.field(name, fov)
    at = ids.index(fov)
    near = {"previous": ids[at - 1] if at else None, "next": ids[at + 1] if at + 1 < len(ids) else None}
    return _scene(scene, asked.parts[3:], 3, near=near, dataset=name)


def _fields(shelf: Shelf, name: str, query: Mapping[str, str]) -> Answer:
    """One page of the fields whose id, patient or site holds the words that are looked for."""
    dataset = shelf.datasets[name]
    words = query.get("find", "").casefold()
    rows = _rows(dataset)
    found = [row for row in rows if words in f"{row['id']} {row['patient']} {row['site']}".casefold()]
    pages = max(1, -(-len(found) // PAGE))
    at = min(int(query["page"]), pages) if re.fullmatch(r"[1-9]\d{0,5}", query.get("page", "")) else 1
    return _page(
        "fields.html",
        2,
        title=name,
        rows=found[(at - 1) * PAGE : at * PAGE],
        count=len(found),
        total=len(rows),
        at=at,
        pages=pages,
        words=query.get("find", ""),
    )


def _rows(dataset: CellDataset) -> list[dict[str, Any]]:
    """What the list tells of each field."""
    counts = dataset.cells["fov_id"].value_counts()
    names = ("fov_id", "patient_id", "site", "width", "height")
    return [
        {
            "id": str(fov),
            "patient": patient if isinstance(patient, str) else "",
            "site": site if isinstance(site, str) else "",
            "size": f"{width:,} × {height:,} px",
            "nuclei": int(counts.get(fov, 0)),
            "level": min(THUMBNAIL, level_of(max(width, height))),
        }
        for fov, patient, site, width, height in zip(*(dataset.fovs[name] for name in names), strict=True)
    ]


def _scene(scene: Scene, rest: Sequence[str], depth: int, **context: Any) -> Answer:
    """The page of a picture, its description for DeepZoom viewers, or one of its tiles."""
    pyramids = {"image": scene.pyramid, **{layer.name: layer.pyramid for layer in scene.layers}}
    if rest == ("",):
        return _page("scene.html", depth, title=scene.title, scene=scene, told=_told(scene), **context)
    if len(rest) == 1 and rest[0].endswith(".dzi") and rest[0][:-4] in pyramids:
        return Answer(HTTPStatus.OK, TYPES[".dzi"], pyramids[rest[0][:-4]].dzi.encode())
    if len(rest) == 3 and rest[0].removesuffix(FILES) in pyramids and rest[0].endswith(FILES):
        return _tile(pyramids[rest[0].removesuffix(FILES)], rest[1], rest[2])
    raise MissingError


def _tile(pyramid: Pyramid, level: str, name: str) -> Answer:
    found = TILE_NAME.fullmatch(name)
    if found is None or found[3] != pyramid.form or not re.fullmatch(r"\d{1,2}", level):
        raise MissingError
    at = (int(level), int(found[1]), int(found[2]))
    if not pyramid.has(*at):
        raise MissingError
    return Answer(HTTPStatus.OK, TYPES[f".{pyramid.form}"], pyramid.tile(*at))


def _told(scene: Scene) -> Any:
    """What the script of the page needs to know."""
    layers = [{"name": one.name, "shown": one.shown, **_about(one.name, one.pyramid)} for one in scene.layers]
    return json_text({"title": scene.title, "mpp": scene.mpp, **_about("image", scene.pyramid), "layers": layers})


def _about(name: str, pyramid: Pyramid) -> dict[str, Any]:
    return {"tiles": {"Image": {**pyramid.facts, "Url": f"{name}{FILES}/"}}}


def _page(template: str, depth: int, *, status: HTTPStatus = HTTPStatus.OK, **context: Any) -> Answer:
    """A page of ours; `depth` folders below the start."""
    text = _template(template).render(up="../" * depth, **context)
    return Answer(status, TYPES[".html"], text.encode("utf-8", "replace"), {"Content-Security-Policy": OURS})


@cache
def _environment() -> jinja2.Environment:
    env = jinja2.Environment(
        loader=jinja2.PackageLoader("cryostat.report.view"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["part"] = lambda text: quote(text, safe="")
    env.filters["count"] = lambda value: f"{value:,}"
    return env


def _template(name: str) -> jinja2.Template:
    return _environment().get_template(name)
