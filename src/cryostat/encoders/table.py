"""The table of all encoders for the documentation, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cryostat.core.errors import InputError
from cryostat.core.files import atomic_write, read_json
from cryostat.encoders.shelf import Entry, all_encoders

BEGIN, END = "<!-- table of encoders: begin -->", "<!-- table of encoders: end -->"
"""Lines of a page between which the table stands."""

COLUMNS = ("name", "kind", "architecture", "parameters", "published", "licence", "access", "passport on random weights")


def encoder_table(passports: Mapping[str, Mapping[str, Any]], entries: Iterable[Entry] | None = None) -> str:
    """A Markdown table of encoders.

    Args:
        passports: Name to outcome: `passed`, and the number of `warnings`.
        entries: The encoders; by default all that come with Cryostat.
    """
    rows = [COLUMNS, ("---",) * len(COLUMNS)]
    rows += [_row(entry, passports.get(entry.name)) for entry in (all_encoders() if entries is None else entries)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(entry: Entry, outcome: Mapping[str, Any] | None) -> tuple[str, ...]:
    card = entry.card
    count = f"{card.parameters:,}" if card.parameters else "none"
    stated = card.published or "–"
    return f"`{entry.name}`", entry.kind, card.architecture, count, stated, card.licence, entry.access, told(outcome)


def told(outcome: Mapping[str, Any] | None) -> str:
    """The outcome of a passport in words; a dash where there is none."""
    if outcome is None:
        return "–"
    doubts = int(outcome["warnings"])
    verdict = "fit for use" if outcome["passed"] else "not fit for use"
    return verdict + (f", {doubts} doubt{'s' * (doubts > 1)}" if doubts else "")


def read_passports(path: Path) -> dict[str, dict[str, Any]]:
    """Name to outcome, from a JSON list of `name`, `passed` and `warnings`.

    Raises:
        InputError: The file is missing or no such list.
    """
    content = read_json(path)
    if not isinstance(content, list) or not all(
        isinstance(one, dict) and set(one) == {"name", "passed", "warnings"} for one in content
    ):
        raise InputError("is no list of passports", where=path, remedy="List name, passed and warnings of each encoder")
    return {str(one["name"]): one for one in content}


def with_table(page: str, table: str) -> str:
    """A page with the table between its marks renewed.

    Raises:
        InputError: It has no such marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise InputError("has no place for the table", where="the page", remedy=f"Put {BEGIN} and {END} into it")
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


def renew(page: Path, passports: Path) -> None:
    """Write the table anew into a page of the documentation.

    Args:
        page: Markdown with the marks `BEGIN` and `END`.
        passports: As for `read_passports`.
    """
    text = with_table(page.read_text(encoding="utf-8"), encoder_table(read_passports(passports)))
    with atomic_write(page) as stream:
        stream.write(text.encode())
