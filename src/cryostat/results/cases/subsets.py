"""Subsets of modalities and how they are written: names joined by `+` in the order of the cohort."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from cryostat.core.errors import InputError

NOTHING = "nothing"
"""How the empty subset is written."""

JOIN = "+"
"""What stands between the names of modalities."""

ALL_PATIENTS = "all"
"""The population of everybody."""


def subset_name(names: Iterable[str]) -> str:
    """`mri+report`; `nothing` for none."""
    return JOIN.join(names) or NOTHING


def subset_members(name: str) -> tuple[str, ...]:
    """The inverse of `subset_name`."""
    return () if name == NOTHING else tuple(name.split(JOIN))


def all_subsets(modalities: Sequence[str]) -> tuple[str, ...]:
    """All 2^M subsets, from none to all, smaller ones first."""
    sizes = range(len(modalities) + 1)
    return tuple(subset_name(chosen) for size in sizes for chosen in combinations(modalities, size))


def subset_bits(name: str, modalities: Sequence[str], where: str = "predictions table") -> int:
    """A subset as a number: bit m is set when modality m is in it.

    Raises:
        InputError: It names an unknown modality, or not in the order of the cohort.
    """
    members = subset_members(name)
    unknown = [member for member in members if member not in modalities]
    if unknown:
        raise InputError(
            f"names the modality {unknown[0]!r} in {name!r}, which the cohort does not have",
            where=where,
            remedy=f"Use the cohort's modalities ({', '.join(modalities)}), or {NOTHING!r}",
        )
    places = [modalities.index(member) for member in members]
    if places != sorted(set(places)):
        raise InputError(
            f"writes a subset of modalities as {name!r}",
            where=where,
            remedy=f"Write it as {subset_name(modalities[i] for i in sorted(set(places)))!r}: each once, in order",
        )
    return sum(1 << place for place in places)
