"""What of a patient a fitted model is shown: every subset of the modalities, and what withholding one means."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cryostat.cases.methods.base import Method, Offer
from cryostat.core.errors import SettingError


@dataclass(frozen=True, eq=False)
class Shown:
    """All that could be shown of patients to F fits.

    Attributes:
        offer: Everything that is known of n patients.
        zero: For each modality (F, d_m): what a raw embedding of zeros becomes.
        keys: For each fit what its random numbers depend on.
    """

    offer: Offer
    zero: tuple[Tensor, ...]
    keys: Sequence[tuple[int, ...]]


@dataclass(frozen=True)
class Ablation:
    """What withholding a modality means.

    Attributes:
        name: What it is called.
        about: In a clause.
        make: From all that could be shown and (M,) which modalities are kept, what is shown.
        splits_branches: Experts and residual are shown different things, so the method must have both.
    """

    name: str
    about: str
    make: Callable[[Shown, Tensor], Offer]
    splits_branches: bool = False


@dataclass(frozen=True)
class Arm:
    """One question asked of every fitted model about every patient to test.

    Attributes:
        ablation: Name of what withholding means.
        kept: For each modality, whether it is offered.
    """

    ablation: str
    kept: tuple[bool, ...]

    def made(self, shown: Shown) -> Offer:
        """What is shown under this arm."""
        return ABLATIONS[self.ablation].make(shown, torch.tensor(self.kept, dtype=torch.bool))


def _full(shown: Shown, kept: Tensor) -> Offer:
    return shown.offer.showing(shown.offer.present & kept)


def _phi_only(shown: Shown, kept: Tensor) -> Offer:
    return Offer(shown.offer.blocks, shown.offer.present, shown.offer.present & kept)


def _probe_only(shown: Shown, kept: Tensor) -> Offer:
    return Offer(shown.offer.blocks, shown.offer.present & kept, shown.offer.present)


def _zero_embedding(shown: Shown, kept: Tensor) -> Offer:
    return _replaced(shown, kept, lambda m, block: shown.zero[m][:, None].expand_as(block))


def _mean_embedding(shown: Shown, kept: Tensor) -> Offer:
    return _replaced(shown, kept, lambda _, block: torch.zeros_like(block))


def _permute(shown: Shown, kept: Tensor) -> Offer:
    return _replaced(shown, kept, lambda m, block: _exchanged(block, shown.offer.present[..., m], shown.keys, m))


def _prior(shown: Shown, kept: Tensor) -> Offer:
    denied = (shown.offer.present & ~kept).any(-1, keepdim=True)
    return shown.offer.showing(shown.offer.present & ~denied)


def _replaced(shown: Shown, kept: Tensor, instead: Callable[[int, Tensor], Tensor]) -> Offer:
    """The same modalities count as there, with other values in those that are not kept."""
    blocks = tuple(
        block if bool(kept[m]) else instead(m, block) * shown.offer.present[..., m, None]
        for m, block in enumerate(shown.offer.blocks)
    )
    return Offer(blocks, shown.offer.present)


def _exchanged(block: Tensor, present: Tensor, keys: Sequence[tuple[int, ...]], modality: int) -> Tensor:
    """Everybody gets somebody else's values; the only one who has any gets the mean of the training patients."""
    result = torch.zeros_like(block)
    for f, key in enumerate(keys):
        rows = torch.nonzero(present[f])[:, 0]
        if len(rows) > 1:
            order = rows[torch.from_numpy(np.random.default_rng((*key, modality)).permutation(len(rows)))]
            result[f, order] = block[f, order.roll(1)]
    return result


ABLATIONS: Mapping[str, Ablation] = {
    ablation.name: ablation
    for ablation in (
        Ablation("full", "gone for every part of the model, as for a patient who never had it", _full),
        Ablation("phi_only", "gone for the residual alone; experts and their weights stay", _phi_only, True),
        Ablation("probe_only", "gone for the experts and their weights; the residual stays", _probe_only, True),
        Ablation("zero_embedding", "there, but its raw embedding is all zeros", _zero_embedding),
        Ablation("mean_embedding", "there, but it is the mean of the training patients", _mean_embedding),
        Ablation("permute", "there, but it is another tested patient's", _permute),
        Ablation("prior", "whoever is denied something gets the training prior: a floor", _prior),
    )
}
"""All meanings, by name."""


def plan_arms(
    modalities: Sequence[str],
    method: Method,
    subsets: Iterable[Sequence[str]] | None = None,
    ablations: Iterable[str] = ("full",),
) -> tuple[Arm, ...]:
    """Every subset under every meaning of withholding, subsets by size and then in the order of the cohort.

    Args:
        modalities: Names, in the order of the cohort.
        method: What will be asked.
        subsets: Names of the modalities offered; None: all subsets, the empty one included.
        ablations: Names of meanings.

    Raises:
        SettingError: A modality or a meaning is unknown, or the method cannot tell a meaning from `full`.
    """
    kept = _lattice(len(modalities)) if subsets is None else [_kept(subset, modalities) for subset in subsets]
    meanings = [_checked(name, method) for name in dict.fromkeys(ablations)]
    return tuple(Arm(meaning, some) for meaning in meanings for some in dict.fromkeys(kept))


def _lattice(count: int) -> list[tuple[bool, ...]]:
    subsets = [some for size in range(count + 1) for some in itertools.combinations(range(count), size)]
    return [tuple(m in some for m in range(count)) for some in subsets]


def _kept(subset: Sequence[str], modalities: Sequence[str]) -> tuple[bool, ...]:
    if strangers := [name for name in subset if name not in modalities]:
        raise SettingError(
            f"there is no modality {strangers[0]!r} to offer", remedy=f"Choose among: {', '.join(modalities)}"
        )
    return tuple(name in subset for name in modalities)


def _checked(name: str, method: Method) -> str:
    if name not in ABLATIONS:
        near = difflib.get_close_matches(name, ABLATIONS, 3) or ABLATIONS
        raise SettingError(f"there is no ablation {name!r}", remedy=f"Choose one of: {', '.join(near)}")
    if ABLATIONS[name].splits_branches and not method.has_residual:
        raise SettingError(
            f"the method {method.name} has no residual beside its experts, so ablation {name!r} would be "
            "the same as another",
            remedy="Leave this ablation out, or use a method with a residual, such as core-bt",
        )
    return name
