"""Errors of ours: what was wrong, where, and what to do about it."""

from __future__ import annotations

from os import PathLike
from typing import Any


class CryostatError(Exception):
    """Base of all errors raised on purpose.

    Args:
        problem: What is wrong, as a clause without a full stop.
        where: File, field or setting in which it was found.
        remedy: What the user can do, as an imperative sentence without a full stop.
    """

    def __init__(self, problem: str, *, where: str | PathLike[str] | None = None, remedy: str) -> None:
        self.problem = problem
        self.where = None if where is None else str(where)
        self.remedy = remedy
        place = "" if self.where is None else f"{self.where}: "
        super().__init__(f"{place}{problem}. {remedy}.")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by its parts, so that it comes out of a worker process as it went in."""
        return _restore, (type(self), self.problem, self.where, self.remedy)


def _restore(kind: type[CryostatError], problem: str, where: str | None, remedy: str) -> CryostatError:
    error = kind.__new__(kind)
    CryostatError.__init__(error, problem, where=where, remedy=remedy)
    return error


class InputError(CryostatError):
    """A file or table from outside is missing, damaged or says something impossible."""


class SettingError(CryostatError):
    """A name, option or study setting is unknown or contradicts another."""


class IdentityError(CryostatError):
    """Two things that should be the same differ; the message names the fields."""


class StoreError(CryostatError):
    """A feature store or run folder is incomplete or damaged."""


class EncoderError(CryostatError):
    """An encoder cannot be built, loaded or trusted."""


class MissingExtraError(CryostatError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed",
            remedy=f"Install it with: pip install 'cryostat[{extra}]'",
        )
