from __future__ import annotations

import re
from pathlib import Path

import pytest

from cryostat.core.errors import InputError
from cryostat.encoders.shelf import all_encoders
from cryostat.encoders.table import COLUMNS, encoder_table, read_passports, renew, told, with_table

DOCS = Path(__file__).parents[2] / "docs"

CALL = "from cryostat.encoders.table import *; renew(Path('docs/encoders.md'), Path('docs/passports.json'))"


def test_the_table_of_the_documentation_is_true() -> None:
    page, table = (DOCS / "encoders.md").read_text(), encoder_table(read_passports(DOCS / "passports.json"))
    assert with_table(page, table) == page, f'Run: python -c "{CALL}"'


def test_passports_are_of_encoders_that_exist() -> None:
    assert set(read_passports(DOCS / "passports.json")) <= {entry.name for entry in all_encoders()}


def test_every_encoder_has_a_row_of_all_columns() -> None:
    rows = encoder_table({"none": {"passed": True, "warnings": 0}}).splitlines()
    assert len(rows) == len(all_encoders()) + 2
    assert {row.count("|") for row in rows} == {len(COLUMNS) + 1}
    none = next(row for row in rows if "`none`" in row)
    assert none == "| `none` | tile | average of pixels | none | – | Apache-2.0 | needs none | fit for use |"


def test_outcomes_in_words() -> None:
    assert [told(None), told({"passed": True, "warnings": 0}), told({"passed": True, "warnings": 1})] == [
        "–",
        "fit for use",
        "fit for use, 1 doubt",
    ]
    assert told({"passed": False, "warnings": 2}) == "not fit for use, 2 doubts"


PLAIN = {entry.name: entry.card for entry in all_encoders() if entry.card.published}


@pytest.mark.parametrize("name", PLAIN)
def test_published_counts_agree(name: str) -> None:
    """To the digits that are stated; what a count holds besides can only make it larger."""
    found = re.match(r"([\d.,]+)( [MB])?(?: (with.*))?$", PLAIN[name].published)
    assert found
    number, unit, besides = found.groups()
    scale = {None: 1.0, " M": 1e6, " B": 1e9}[unit]
    step = scale * 10 ** -len(number.partition(".")[2])
    stated, ours = float(number.replace(",", "")) * scale, PLAIN[name].parameters or 0
    if besides and besides.startswith("with "):
        assert stated + step / 2 - ours > 0
    else:
        assert abs(stated - ours) <= (step if unit else 0)


def test_pages_without_marks_and_files_without_passports(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no place"):
        with_table("# Encoders", "")
    (tmp_path / "passports.json").write_text('[{"name": "none"}]')
    with pytest.raises(InputError, match="no list of passports"):
        read_passports(tmp_path / "passports.json")


def test_a_page_is_renewed_in_place(tmp_path: Path) -> None:
    page, passports = tmp_path / "page.md", tmp_path / "passports.json"
    page.write_text("a\n<!-- table of encoders: begin -->\nold\n<!-- table of encoders: end -->\nb\n")
    passports.write_text("[]")
    renew(page, passports)
    first = page.read_text()
    assert "old" not in first
    assert "`uni2-h`" in first
    assert first.endswith("end -->\nb\n")
    renew(page, passports)
    assert page.read_text() == first
