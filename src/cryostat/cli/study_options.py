"""Options of the commands that take a study, and the study that they ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from cryostat.cases.runs.spec import CaseStudy
    from cryostat.cells.runs.spec import Study

Function = TypeVar("Function", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--protocol", help="Rules in place of the study's; the settings it gives to heads are then dropped."),
    click.option("--encoder", "encoders", multiple=True, help="Encoder in place of the study's; may be repeated."),
    click.option("--head", "heads", multiple=True, help="Head in place of the study's; may be repeated."),
    click.option("--seed", "seeds", multiple=True, type=int, help="Seed in place of the study's; may be repeated."),
    click.option("--weights", multiple=True, metavar="[ENCODER=]FILE", help="Local weights of an encoder."),
    click.option("--precision", multiple=True, metavar="[ENCODER=]fp32|bf16|fp16", help="Arithmetic of an encoder."),
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N runs."),
)


def study_options(function: Function) -> Function:
    """The options that replace parts of a study."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@dataclass(frozen=True)
class ChosenStudy:
    """A study as asked for on the command line, and what to say about that."""

    study: Study
    notes: list[str]


def chosen_study(
    name: str,
    *,
    protocol: str | None,
    encoders: Sequence[str],
    heads: Sequence[str],
    seeds: Sequence[int],
    weights: Sequence[str],
    precision: Sequence[str],
) -> ChosenStudy:
    """The study of a file or shipped name with the replacements of `study_options`."""
    from cryostat.cells.runs.spec import read_study
    from cryostat.cells.studies import find_study
    from cryostat.cells.studies.overrides import Overrides
    from cryostat.cli.options import of_encoders

    written = read_study(find_study(name))
    options = of_encoders(list(encoders) or written.encoders, weights=weights, precision=precision)
    overrides = Overrides(protocol, encoders, heads, seeds, options)
    return ChosenStudy(overrides.of(written), overrides.notes(written))


def is_of_cases(name: str) -> bool:
    """Whether a study is a file about cases, not about cells."""
    from cryostat.core.files import read_toml

    path = Path(name)
    return path.is_file() and "cases" in read_toml(path)


def case_study(name: str, replacements: Mapping[str, Any]) -> CaseStudy:
    """The study of cases of a file, of which `study_options` replace nothing.

    Raises:
        SettingError: One of them was given.
    """
    from cryostat.cases.runs.spec import read_case_study
    from cryostat.core.errors import SettingError

    if given := [option for option, value in replacements.items() if value]:
        raise SettingError(
            f"a study of cases takes no --{given[0].removesuffix('s')}", remedy="Change it in the study's file"
        )
    return read_case_study(Path(name))
