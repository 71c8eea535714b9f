"""Pages of ours, from their templates."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

import jinja2

from cryostat.report.view.asking import TYPES, Answer

OURS = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""What our pages may load: of this server alone."""


def page(template: str, depth: int, *, status: HTTPStatus = HTTPStatus.OK, **context: Any) -> Answer:
    """A page of ours; `depth` folders below the start."""
    text = template_of(template).render(up="../" * depth, **context)
    return Answer(status, TYPES[".html"], text.encode("utf-8", "replace"), {"Content-Security-Policy": OURS})


def template_of(name: str) -> jinja2.Template:
    """A template by its file name."""
    return _environment().get_template(name)


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
    env.filters["query"] = query
    return env


def query(values: dict[str, Any]) -> str:
    """The end of an address, from what is not empty; an empty text where nothing is left."""
    kept = {name: value for name, value in values.items() if value not in ("", None)}
    return f"?{urlencode(kept, errors='replace')}" if kept else ""
