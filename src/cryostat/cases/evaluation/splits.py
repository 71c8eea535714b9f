"""Who is trained on and who is tested: no patient ever stands on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import InputError, SettingError

if TYPE_CHECKING:
    from cryostat.cases.labels import Targets

TRAINING = frozenset({"train", "training", "val", "validation", "dev"})
"""Words of a split column for patients to learn from; selection has inner folds, so validation patients train too."""

TESTING = frozenset({"test", "testing"})
"""Words for patients to test."""

NEITHER = frozenset({"none", "out"})
"""Words for patients to leave aside."""


@dataclass(frozen=True, eq=False)
class Split:
    """One division of the patients.

    Attributes:
        name: What it is called in tables and messages.
        repeat: Which repeat it belongs to; within one, every patient is tested at most once.
        fold: Its number within the repeat.
        train: Rows of the patients to learn from, ascending; those with a partial label or none among them.
        test: Rows of the patients to test, ascending, each with one certain class.
    """

    name: str
    repeat: int
    fold: int
    train: NDArray[np.intp]
    test: NDArray[np.intp]


def plan_splits(
    kind: str,
    targets: Targets,
    present: NDArray[np.bool_],
    *,
    sites: Sequence[str | None] | None = None,
    table_split: Sequence[str | None] | None = None,
    repeats: int = 1,
    folds: int = 5,
    seed: int = 0,
    least_site: int = 10,
    test_share: float = 0.3,
) -> tuple[Split, ...]:
    """Divide the patients of a task.

    Patients without one certain class are never tested; they train, unless their class is dropped from the task.

    Args:
        kind: `kfold`: stratified cross-validation; `column`: as a column of the cohort says; `site`: each site held
            out once; `complete-test`: a share of the patients with every modality is tested, all others train.
        targets: Labels of the n patients.
        present: (n, M): who has what.
        sites: Site of each patient, for `site`; a patient without one counts to a site of the unknown.
        table_split: For `column`, of each patient: train, validation (trains), test or none; or a fold's name, every
            fold being tested once.
        repeats: How often `kfold` and `complete-test` are drawn anew.
        folds: Folds of `kfold`.
        seed: Of what is drawn.
        least_site: Sites with fewer patients to test are held out together, in groups of at least this size.
        test_share: Share of the complete patients that `complete-test` tests, between 0 and 1.

    Raises:
        SettingError: There is no such kind, or a number is out of its range.
        InputError: The patients do not allow it: what it needs is missing, nobody to test, one class alone to learn.
    """
    _check_numbers(repeats, folds if kind == "kfold" else 2, least_site, test_share)
    if kind == "kfold":
        planned = _k_fold(targets, present, repeats, folds, seed)
    elif kind == "column":
        planned = _column(targets, _given(table_split, "split column", "split"))
    elif kind == "site":
        planned = _sites(targets, _given(sites, "sites", "site"), least_site)
    elif kind == "complete-test":
        planned = _complete_test(targets, present, repeats, test_share, seed)
    else:
        raise SettingError(f"there is no split {kind!r}", remedy="Choose one of: kfold, column, site, complete-test")
    _check_learnable(planned, targets)
    return tuple(planned)


def deal(
    labels: NDArray[np.integer], present: NDArray[np.bool_], folds: int, random: np.random.Generator
) -> NDArray[np.intp]:
    """(n,) fold of each row, as even as counts allow: over all, over classes, and over who has what within a class.

    Rows are put in order of class, then of what they have, then by chance, and dealt out like cards. So a class of
    fewer rows than folds is still spread, and a stratum of one row costs nothing.

    Args:
        labels: (n,) class, −1 where it is not certain.
        present: (n, M) who has what.
        folds: Their number.
        random: Decides between equals.
    """
    fold = np.empty(len(labels), np.intp)
    fold[_by_strata(labels, present, random)] = np.arange(len(labels)) % folds
    return random.permutation(folds)[fold]


def remarks(splits: Sequence[Split], targets: Targets) -> tuple[str, ...]:
    """What a reader of the scores should know of the splits: tiny classes, patients set aside, classes not learnt."""
    classes = targets.task.classes
    said = _tiny_classes(splits, targets) + _set_aside(splits, targets)
    for split in splits:
        missing = set(range(len(classes))) - set(targets.y[split.train].tolist())
        if missing:
            names = ", ".join(classes[c] for c in sorted(missing))
            said.append(f"{split.name}: nobody to learn from has the class {names}")
    return tuple(said)


def _tiny_classes(splits: Sequence[Split], targets: Targets) -> list[str]:
    said = []
    for c, name in enumerate(targets.task.classes):
        tested = [int((targets.y[split.test] == c).sum()) for split in splits]
        if 0 in tested:
            of = int((targets.y == c).sum())
            said.append(f"class {name}, {of} in all: {tested.count(0)} of {len(splits)} splits test nobody of it")
    return said


def _set_aside(splits: Sequence[Split], targets: Targets) -> list[str]:
    n = len(targets.y)
    trained, tested = np.zeros(n, bool), np.zeros(n, bool)
    for split in splits:
        trained[split.train], tested[split.test] = True, True
    counts = {
        "not of this task's classes, standing aside": ~targets.allowed.any(1),
        "learnt from but never tested, their class not being certain": trained & ~tested & (targets.y < 0),
        "learnt from but never tested, as the split has it": trained & ~tested & (targets.y >= 0),
        "of this task but neither learnt from nor tested": targets.allowed.any(1) & ~trained & ~tested,
    }
    return [f"patients {what}: {int(who.sum())}" for what, who in counts.items() if who.any()]


def _k_fold(targets: Targets, present: NDArray[np.bool_], repeats: int, folds: int, seed: int) -> list[Split]:
    rows = _testable(targets)
    if len(rows) < folds:
        raise InputError(
            f"has {len(rows)} patients with a certain class for {folds} folds",
            where=f"task {targets.task.name}",
            remedy="Ask for fewer folds",
        )
    planned = []
    for repeat in range(repeats):
        fold = deal(targets.y[rows], present[rows], folds, np.random.default_rng((seed, repeat)))
        for k in range(folds):
            test = rows[fold == k]
            planned.append(Split(f"repeat {repeat} fold {k}", repeat, k, _others(targets, test), test))
    return planned


def _complete_test(targets: Targets, present: NDArray[np.bool_], repeats: int, share: float, seed: int) -> list[Split]:
    rows = _testable(targets)
    rows = rows[present[rows].all(1)]
    count = int(np.ceil(share * len(rows)))
    if not 0 < count < len(rows):
        raise InputError(
            f"has {len(rows)} patients with every modality and a certain class, too few to test a share of them",
            where=f"task {targets.task.name}",
            remedy="Name fewer modalities, or split by kfold",
        )
    planned = []
    for repeat in range(repeats):
        random = np.random.default_rng((seed, repeat))
        ordered = rows[_by_strata(targets.y[rows], present[rows], random)]
        # Evenly spaced along the classes, from a random start: each class has its share to within one patient.
        places = np.floor((np.arange(count) + random.random()) * len(rows) / count).astype(np.intp)
        test = np.sort(ordered[places])
        planned.append(Split(f"draw {repeat}", repeat, 0, _others(targets, test), test))
    return planned


def _column(targets: Targets, values: Sequence[str | None]) -> list[Split]:
    words = np.array([(value or "").strip() for value in values], object)
    if unknown := int((words == "").sum()):
        raise InputError(
            f"has {unknown} patients without a value",
            where="split column",
            remedy="Write train, test or a fold's name for each, and none for patients to leave aside",
        )
    plain = np.array([word.lower() for word in words], object)
    parts = {word for word in plain if word in TRAINING | TESTING}
    held = np.array([word not in NEITHER for word in plain])
    if not parts:
        return _each_in_turn(targets, words, held, "fold")
    if strangers := sorted({str(w) for w in words[held] if w.lower() not in TRAINING | TESTING}):
        raise InputError(
            f"says {strangers[0]!r} beside {sorted(parts)[0]!r}",
            where="split column",
            remedy="Use either train, validation, test and none, or names of folds and none",
        )
    train = np.flatnonzero(np.isin(plain, list(TRAINING)) & targets.allowed.any(1))
    test = np.flatnonzero(np.isin(plain, list(TESTING)) & (targets.y >= 0))
    return [Split("split of the cohort", 0, 0, train, test)]


def _sites(targets: Targets, sites: Sequence[str | None], least: int) -> list[Split]:
    names = np.array([site or "unknown" for site in sites], object)
    group = names.copy()
    for members in _pools(names[_testable(targets)], least):
        group[np.isin(names, members)] = "+".join(members)
    return _each_in_turn(targets, group, np.ones(len(names), bool), "site")


def _pools(sites: NDArray[np.object_], least: int) -> list[list[str]]:
    """Sites, largest first, those under the least size filled up with the next; a rest too small joins the last."""
    names, counts = np.unique(sites.astype(str), return_counts=True)
    pools: list[list[str]] = []
    size = least
    for place in np.lexsort((names, -counts)):
        if size >= least:
            pools.append([])
            size = 0
        pools[-1].append(str(names[place]))
        size += int(counts[place])
    if size < least and len(pools) > 1:
        rest = pools.pop()
        pools[-1] += rest
    return pools


def _each_in_turn(targets: Targets, groups: NDArray[np.object_], held: NDArray[np.bool_], what: str) -> list[Split]:
    """Each group with somebody to test is tested once, all others that take part train."""
    takes_part = held & targets.allowed.any(1)
    names = sorted({str(name) for name in groups[takes_part & (targets.y >= 0)]}, key=_natural)
    if len(names) < 2:
        raise InputError(
            f"has {len(names)} {what} with patients to test; two or more are needed",
            where=f"task {targets.task.name}",
            remedy=f"Name the column that tells the {what} of a patient, or split by kfold",
        )
    return [
        Split(
            f"{what} {name}",
            0,
            k,
            np.flatnonzero(takes_part & (groups != name)),
            np.flatnonzero(takes_part & (groups == name) & (targets.y >= 0)),
        )
        for k, name in enumerate(names)
    ]


def _natural(name: str) -> tuple[int, int, str]:
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)


def _by_strata(
    labels: NDArray[np.integer], present: NDArray[np.bool_], random: np.random.Generator
) -> NDArray[np.intp]:
    pattern = present.astype(np.int64) @ (1 << np.arange(present.shape[1], dtype=np.int64))
    return np.lexsort((random.permutation(len(labels)), pattern, labels))


def _testable(targets: Targets) -> NDArray[np.intp]:
    return np.flatnonzero(targets.y >= 0)


def _others(targets: Targets, test: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.setdiff1d(np.flatnonzero(targets.allowed.any(1)), test)


def _given(values: Sequence[str | None] | None, what: str, key: str) -> Sequence[str | None]:
    if values is None:
        raise InputError(
            f"has no {what}", where="cohort", remedy=f'Name its column in the manifest: [cohort] {key} = "…"'
        )
    return values


def _check_numbers(repeats: int, folds: int, least_site: int, test_share: float) -> None:
    for name, value, least in (("repeats", repeats, 1), ("folds", folds, 2), ("least_site", least_site, 1)):
        if value < least:
            raise SettingError(f"{name} {value} is too few", remedy=f"Give {least} or more")
    if not 0 < test_share < 1:
        raise SettingError(f"test_share {test_share} is no share", remedy="Give a number between 0 and 1")


def _check_learnable(splits: Sequence[Split], targets: Targets) -> None:
    for split in splits:
        if not len(split.test):
            raise InputError("tests nobody with a certain class", where=split.name, remedy="Split in another way")
        learnt = np.unique(targets.y[split.train])
        if (learnt >= 0).sum() < 2:
            raise InputError(
                "leaves patients of fewer than two classes to learn from",
                where=split.name,
                remedy="Split in another way, or merge classes of the task",
            )
