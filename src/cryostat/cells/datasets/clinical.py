"""Patients, sites and groups for formats that publish none, from a table with a row a field of view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from cryostat.cells.datasets.importing import FieldSource, Listing
from cryostat.cells.datasets.row_table import RowTable, read_row_table
from cryostat.cells.field import Field


def with_clinical(listing: Listing, path: Path | None) -> Listing:
    """The listing, each field completed by its row in a table; the listing itself when there is no table.

    Raises:
        InputError: The table is damaged, or knows none of the fields.
    """
    if path is None:
        return listing
    table = read_row_table(path)
    names = [(source.fov_id, None) for source in listing.sources]
    table.require_matches(names)
    sources = [FieldSource(source.fov_id, partial(_joined, source.load, table)) for source in listing.sources]
    facts = replace(listing.facts, notes=(*listing.facts.notes, *table.notes(names)))
    return replace(listing, facts=facts, sources=sources)


def _joined(load: Callable[[], Field], table: RowTable) -> Field:
    return table.join(load())
