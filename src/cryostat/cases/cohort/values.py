"""Clinical columns of the patients' table as evidence: numbers, or words of which each becomes an indicator."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cryostat.cases.cohort.cells import CODE, COMMA, PERCENT, PLAIN, Written, is_date, says_nothing, written_number
from cryostat.cases.cohort.cohort import Cohort
from cryostat.cases.cohort.manifest import ModalitySpec
from cryostat.cases.labels.names import fold, in_order
from cryostat.core.errors import InputError

EMPTY = "not known"
WORDS = "words"
TOO_LARGE = "too large, taken as not known"
NO_UNIT = "no unit, taken as years"

LONGEST_WORD = 120
"""Characters of a cell beyond which it is a text."""
MOST_LEVELS = 64
"""Words of a column beyond which it is taken for free text."""
FEW_PATIENTS = 5
"""So few that each having a value of its own says nothing."""
MANY_PATIENTS = 10
"""So many that whole numbers without a gap are a numbering."""
EXAMPLES = 3

IDENTIFIER = re.compile(r"(\w*[_ .-])?(id|index|mrn|unnamed: \d+)", re.IGNORECASE)
"""Names of columns of numbers that identify rows."""
_THOUSANDS = re.compile(r"[+\-−]?[1-9]\d{0,2}[.,]\d{3}")


@dataclass(frozen=True, eq=False)
class ValueColumn:
    """One clinical column of n patients.

    Attributes:
        name: Of the column.
        numbers: (n,) float64, NaN where not known; None for words. Times are in years.
        codes: (n,) int place of each patient's word among the levels, -1 where not known; None for numbers.
        levels: The words, each in its most frequent spelling.
        read: How many cells were read in which way.
        spellings: Levels that are written in several ways, to these.
        unit: `years` for times, `percent`, or empty.
    """

    name: str
    numbers: NDArray[np.float64] | None
    codes: NDArray[np.intp] | None
    levels: tuple[str, ...]
    read: Mapping[str, int]
    spellings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unit: str = ""

    @property
    def known(self) -> NDArray[np.bool_]:
        """(n,) bool."""
        if self.codes is not None:
            return self.codes >= 0
        return np.isfinite(self._numbers)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the numbers that it becomes: itself, or its levels."""
        return (self.name,) if self.codes is None else tuple(f"{self.name}={level}" for level in self.levels)

    def matrix(self) -> NDArray[np.float32]:
        """(n, number of features) float32, NaN where not known; an indicator is 1 where the patient has the level.

        A level that no training patient has is a column that does not vary in training, and so is left out there. Of
        two levels both are kept: whether there is a third is not known inside a fold.
        """
        if self.codes is None:
            return self._numbers[:, None].astype(np.float32)
        indicators = np.equal(self.codes[:, None], np.arange(len(self.levels))).astype(np.float32)
        indicators[self.codes < 0] = np.nan
        return indicators

    @property
    def _numbers(self) -> NDArray[np.float64]:
        return self.numbers if self.numbers is not None else np.zeros(0)


def value_columns(cohort: Cohort, spec: ModalitySpec) -> tuple[ValueColumn, ...]:
    """The columns of a clinical modality.

    Raises:
        InputError: A column holds dates or identifiers, mixes numbers and words, or numbers that can be read in two
            ways; the message names a patient.
    """
    where = f"{cohort.path}, [modalities.{spec.name}]"
    unknown = {fold(text) for text in spec.unknown}
    return tuple(
        read_column(
            name, cohort.table[name].tolist(), cohort.patients, where, words=name in spec.words, unknown=unknown
        )
        for name in spec.columns
    )


def any_known(columns: Sequence[ValueColumn]) -> NDArray[np.bool_]:
    """(n,) bool: of whom at least one of the columns is known."""
    return np.asarray(np.stack([column.known for column in columns]).any(0))


def read_column(
    name: str,
    cells: Sequence[str | None],
    patients: Sequence[str],
    where: str,
    *,
    words: bool = False,
    unknown: Collection[str] = (),
) -> ValueColumn:
    """Read one column of cells.

    Args:
        name: Of the column.
        cells: (n,) as in the table, None where not known.
        patients: (n,) for messages.
        where: The part of the manifest, for messages.
        words: Read it as words whatever it looks like.
        unknown: Folded cells that say nothing here, beside those that never do.

    Raises:
        InputError: As `value_columns`.
    """
    signed = any(cell in ("+", "++", "+++") for cell in cells)  # beside a plus, a minus is a finding
    column = _Cells(name, tuple(patients), where)
    said = {
        row: cell
        for row, cell in enumerate(cells)
        if cell is not None and fold(cell) not in unknown and (not says_nothing(cell) or (signed and cell == "-"))
    }
    silent = Counter(f"{EMPTY} ({cell})" if cell else EMPTY for row, cell in enumerate(cells) if row not in said)
    column.refuse_texts(said)
    column.refuse_dates(said)
    numbers = {row: number for row, cell in said.items() if (number := written_number(cell)) is not None}
    if words or (said and (not numbers or column.are_codes(said, numbers))):
        return _of_words(column, said, silent)
    column.refuse_mixture(said, numbers)
    return _of_numbers(column, said, numbers, silent)


@dataclass(frozen=True)
class _Cells:
    """A column that is being read, and what it is refused for."""

    name: str
    patients: tuple[str, ...]
    where: str

    def error(self, problem: str, remedy: str) -> InputError:
        return InputError(f"column {self.name!r} {problem}", where=self.where, remedy=remedy)

    def shown(self, said: Mapping[int, str], rows: Sequence[int]) -> str:
        """The first few of some cells with their patients."""
        some = [f"{said[row][:40]!r} of patient {self.patients[row]}" for row in rows[:EXAMPLES]]
        return ", ".join(some) + (f" and {len(rows) - EXAMPLES} more" if len(rows) > EXAMPLES else "")

    def refuse_texts(self, said: Mapping[int, str]) -> None:
        """No word of a text is told."""
        longest = max(said, key=lambda row: len(said[row]), default=None)
        if longest is not None and len(said[longest]) > LONGEST_WORD:
            raise self.error(
                f"holds a text of {len(said[longest])} characters of patient {self.patients[longest]}",
                "Write each text to a file of its own, the file's path into a column, and name an encoder for them",
            )

    def refuse_dates(self, said: Mapping[int, str]) -> None:
        dates = [row for row, cell in said.items() if is_date(cell)]
        if dates:
            raise self.error(
                f"holds dates: {self.shown(said, dates)}",
                "Take it out of values, or write the age or the time that is meant, as 65 or 65 years 344 days",
            )

    def are_codes(self, said: Mapping[int, str], numbers: Mapping[int, Written]) -> bool:
        """Whether numbers are names, as the hospitals 06 and 12: some have leading zeros."""
        return len(numbers) == len(said) and any(CODE in number.ways for number in numbers.values())

    def refuse_mixture(self, said: Mapping[int, str], numbers: Mapping[int, Written]) -> None:
        if len(numbers) == len(said):
            return
        rest = [row for row in said if row not in numbers]
        raise self.error(
            f"holds numbers ({len(numbers)} cells) and what is none ({len(rest)}): {self.shown(said, rest)}",
            f'Correct them; or say which cells are not known, as unknown = ["{said[rest[0]][:40]}"], or that all are '
            f'words: words = ["{self.name}"]',
        )


def _of_words(column: _Cells, said: Mapping[int, str], silent: Mapping[str, int]) -> ValueColumn:
    written: dict[str, Counter[str]] = {}
    for cell in said.values():
        written.setdefault(fold(cell), Counter())[" ".join(cell.split())] += 1
    names = {level: min(forms, key=lambda form: (-forms[form], form)) for level, forms in written.items()}
    _refuse_names(column, said, len(names))
    levels = in_order(names.values())
    place = {level: levels.index(name) for level, name in names.items()}
    codes = np.full(len(column.patients), -1, np.intp)
    for row, cell in said.items():
        codes[row] = place[fold(cell)]
    spellings = {names[level]: tuple(sorted(forms)) for level, forms in written.items() if len(forms) > 1}
    return ValueColumn(column.name, None, codes, levels, {WORDS: len(said), **silent}, spellings)


def _refuse_names(column: _Cells, said: Mapping[int, str], levels: int) -> None:
    own = levels == len(said) >= FEW_PATIENTS
    if own or levels > MOST_LEVELS:
        each = "a value of its own for each patient" if own else f"{levels} different words"
        raise column.error(
            f"has {each}, from which nothing can be learnt: {column.shown(said, list(said))}",
            "Take it out of values; a text is a modality of its own, as files that an encoder reads",
        )


def _of_numbers(
    column: _Cells, said: Mapping[int, str], numbers: Mapping[int, Written], silent: Mapping[str, int]
) -> ValueColumn:
    _refuse_ambiguous(column, said)
    _refuse_units(column, said, numbers)
    unit = next((number.unit for number in numbers.values() if number.unit), "")
    read: Counter[str] = Counter()
    values = np.full(len(column.patients), np.nan)
    for row, number in numbers.items():
        fits = abs(number.value) <= float(np.finfo(np.float32).max)
        values[row] = number.value if fits else np.nan
        for way in number.ways if fits else (TOO_LARGE,):
            read[NO_UNIT if unit and way == PLAIN else way] += 1
    _refuse_numbering(column, said, numbers, values)
    return ValueColumn(column.name, values, None, (), {**dict(read.most_common()), **silent}, unit=unit)


def _refuse_ambiguous(column: _Cells, said: Mapping[int, str]) -> None:
    """Where `1,234` may be a thousand or one and a bit."""
    commas = [row for row, cell in said.items() if "," in cell and written_number(cell) and COMMA in _ways(cell)]
    thousands = [row for row in commas if _THOUSANDS.fullmatch(said[row])]
    points = [row for row, cell in said.items() if "." in cell and _THOUSANDS.fullmatch(cell)]
    unclear = thousands if thousands and len(thousands) == len(commas) else points if commas else []
    if unclear:
        raise column.error(
            f"holds numbers that may be thousands or decimals: {column.shown(said, unclear)}",
            "Write them without signs between thousands, and decimals with one sign throughout",
        )


def _ways(cell: str) -> tuple[str, ...]:
    number = written_number(cell)
    return number.ways if number else ()


def _refuse_units(column: _Cells, said: Mapping[int, str], numbers: Mapping[int, Written]) -> None:
    """Raise an InputError where bare numbers stand beside units that need not be theirs."""
    bare = [row for row, number in numbers.items() if not number.unit]
    percents = [row for row, number in numbers.items() if number.unit == PERCENT]
    others = [row for row, number in numbers.items() if number.unit == "years" and "years" not in number.ways[0]]
    timed = any(number.unit == "years" for number in numbers.values())
    if (percents and len(percents) < len(numbers)) or (bare and timed and others):
        row = (percents or others)[0]
        other = next(i for i in numbers if numbers[i].unit != numbers[row].unit)
        raise column.error(
            f"mixes units: {column.shown(said, [row])}, {column.shown(said, [other])}",
            "Write the unit in every cell, or one unit throughout and leave it out",
        )


def _refuse_numbering(
    column: _Cells, said: Mapping[int, str], numbers: Mapping[int, Written], values: NDArray[np.float64]
) -> None:
    """Raise an InputError for identifiers, numberings and dates as numbers."""
    known = np.sort(values[np.isfinite(values)])
    whole = len(known) > 0 and bool((known == known.round()).all()) and not any(n.unit for n in numbers.values())
    numbering = whole and len(known) >= MANY_PATIENTS and bool((np.diff(known) == 1).all())
    if whole and (numbering or IDENTIFIER.fullmatch(column.name)):
        raise column.error(
            f"identifies the patients or numbers them: {column.shown(said, list(said))}",
            "Take it out of values, or rename it where it is a measurement",
        )
    if whole and len(known) >= FEW_PATIENTS and all(_compact_date(int(number)) for number in known):
        raise column.error(
            f"holds dates: {column.shown(said, [row for row in said if np.isfinite(values[row])])}",
            "Take it out of values, or write the age or the time that is meant, as 65 or 65 years 344 days",
        )


def _compact_date(number: int) -> bool:
    """Whether a number is a date as 20210304."""
    year, month, day = number // 10_000, number // 100 % 100, number % 100
    return 1900 <= year <= 2100 and 1 <= month <= 12 and 1 <= day <= 31
