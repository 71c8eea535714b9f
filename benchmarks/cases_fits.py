"""A thousand fits of the gated fusion: in batches, against a plain loop that makes one fit at a time.

600 patients with three modalities of 32 components, four classes; 5 repeats of 5 folds, 5 seeds, 8 settings. Both
sides do the same work (experts with inner folds and strengths, then the fusion, then the patients held out) with the
same arithmetic; the loop is run for a stated number of fits, and its time for all of them is extrapolated. Seconds of
processors, divided by their number, are what it takes where nothing else runs.

Usage: python benchmarks/cases_fits.py [--looped N]
"""

from __future__ import annotations

import argparse
import time
from itertools import product

import torch
from torch import Tensor

from cryostat.cases.methods.base import Lesson, Offer
from cryostat.cases.methods.registry import method

PATIENTS, WIDTHS, CLASSES = 600, (32, 32, 32), 4
REPEATS, FOLDS, INNER, SEEDS = 5, 5, 5, 5
RIDGES, DROPOUTS = (30.0, 60.0, 100.0, 300.0), (0.1, 0.3)


def cohort() -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
    """Blocks, presence and classes of generated patients: a third complete, the others with one or two modalities."""
    draw = torch.Generator().manual_seed(0)
    y = torch.randint(CLASSES, (PATIENTS,), generator=draw)
    present = torch.rand(PATIENTS, len(WIDTHS), generator=draw) < 0.7
    present[~present.any(1), 0] = True
    blocks = []
    for m, width in enumerate(WIDTHS):
        means = torch.randn(CLASSES, width, generator=draw) * (0.2 + 0.1 * m)
        blocks.append((means[y] + torch.randn(PATIENTS, width, generator=draw)) * present[:, m, None])
    return tuple(blocks), present, y


def lessons() -> tuple[Lesson, Offer, Tensor]:
    """All fits of the study at once: what to learn from, whom to predict, and their classes."""
    blocks, present, y = cohort()
    train, test = [], []
    for repeat in range(REPEATS):
        order = torch.randperm(PATIENTS, generator=torch.Generator().manual_seed(repeat))
        for fold in order.chunk(FOLDS):
            test.append(fold)
            train.append(order[~torch.isin(order, fold)])
    fits = torch.tensor(list(product(range(len(train)), range(SEEDS), range(len(RIDGES)), range(len(DROPOUTS)))))
    rows, held_out = torch.stack(train)[fits[:, 0]], torch.stack(test)[fits[:, 0]]
    allowed = torch.nn.functional.one_hot(y, CLASSES).bool()[rows]
    lesson = Lesson(
        Offer(tuple(block[rows] for block in blocks), present[rows]),
        allowed,
        torch.ones(rows.shape),
        torch.arange(rows.shape[1]).remainder(INNER).expand(rows.shape),
        split=fits[:, 0],
        seeds=fits[:, 1],
        settings={
            "ridge": torch.tensor(RIDGES)[fits[:, 2]],
            "modality_dropout": torch.tensor(DROPOUTS)[fits[:, 3]],
        },
    )
    return lesson, Offer(tuple(block[held_out] for block in blocks), present[held_out]), y[held_out]


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--looped", type=int, default=20, help="fits that the plain loop makes")
    looped = parser.parse_args().looped
    fusion = method("core-bt")
    choice = {name: setting.default for name, setting in fusion.settings.items()}
    lesson, offer, y = lessons()
    start, worked = time.perf_counter(), time.process_time()
    together = fusion.fit(lesson, choice).log_probabilities(offer)
    batched, batched_work = time.perf_counter() - start, time.process_time() - worked
    chosen = torch.linspace(0, lesson.fits - 1, looped).long().unique()
    start, worked = time.perf_counter(), time.process_time()
    alone = [fusion.fit(lesson.of_fits(one), choice).log_probabilities(offer.of_fits(one)) for one in chosen.split(1)]
    times = lesson.fits / len(chosen)
    plain, plain_work = (time.perf_counter() - start) * times, (time.process_time() - worked) * times
    apart = (torch.cat(alone).exp() - together[chosen].exp()).abs().max()
    right = (together.argmax(-1) == y).float().mean()
    print(f"{lesson.fits} fits, {torch.get_num_threads()} threads; accuracy on patients held out {right:.3f}")
    print(f"in batches  {batched:8.1f} s  ({batched_work:.1f} s of processors)")
    print(f"plain loop  {plain:8.1f} s  ({plain_work:.1f} s of processors), extrapolated from {len(chosen)} fits")
    print(f"ratio       {plain / batched:8.1f}    ({plain_work / batched_work:.1f} of processors)")
    print(f"largest difference of a probability {apart:.1e}")


if __name__ == "__main__":
    main()
