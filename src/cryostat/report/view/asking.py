"""What is asked of the server, and what is sent back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from cryostat.report.site.pages import json_text

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
    def of(cls, target: str) -> Self:
        """From what stands in a request, without the key.

        Raises:
            MissingError: It is no address, or a part could lead elsewhere: `..`, or NUL within a name.
        """
        try:
            address = urlsplit(target)
        except ValueError as error:
            raise MissingError from error
        parts = tuple(unquote(part) for part in address.path.split("/")[1:])
        if any(unsafe(part) for part in parts[:-1]) or (parts and parts[-1] and unsafe(parts[-1])):
            raise MissingError
        return cls(parts, {name: values[-1] for name, values in parse_qs(address.query).items()})

    def number(self, name: str) -> float:
        """A number of the query.

        Raises:
            MissingError: It is not given, or none.
        """
        if not re.fullmatch(r"-?\d{1,9}(\.\d{1,9})?", self.query.get(name, "")):
            raise MissingError
        return float(self.query[name])


def unsafe(part: str) -> bool:
    """Whether a part of an address cannot be the name of something; the last may be empty."""
    return part in ("", ".", "..") or "\0" in part


def type_of(name: str) -> str:
    """The type of a file by its ending."""
    return TYPES.get(Path(name).suffix.lower(), "application/octet-stream")


def json_answer(value: Any) -> Answer:
    """Plain data for a script of ours."""
    return Answer(HTTPStatus.OK, TYPES[".json"], json_text(value).encode("utf-8", "replace"))
