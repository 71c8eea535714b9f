"""A cohort of Gaussian classes with missing blocks whose true posterior, and so the best possible, is known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cryostat.cases.methods.base import Lesson, Offer


@dataclass(frozen=True)
class Gaussians:
    """Classes with means (C, D) and one covariance (D, D); D falls into blocks of `widths`."""

    means: Tensor
    covariance: Tensor
    prior: Tensor
    widths: tuple[int, ...]

    def draw(self, n: int, generator: torch.Generator) -> tuple[tuple[Tensor, ...], Tensor]:
        """Blocks (n, d_m) and classes (n,)."""
        y = torch.multinomial(self.prior, n, replacement=True, generator=generator)
        noise = torch.randn(n, self.means.shape[1], generator=generator) @ torch.linalg.cholesky(self.covariance).T
        return (self.means[y] + noise).split(self.widths, -1), y

    def log_posterior(self, blocks: tuple[Tensor, ...], subset: tuple[int, ...]) -> Tensor:
        """(n, C): exact, given the blocks of a subset."""
        places = torch.arange(len(self.covariance)).split(self.widths)
        if not subset:
            return self.prior.log().expand(len(blocks[0]), -1)
        place = torch.cat([places[m] for m in subset])
        x = torch.cat([blocks[m] for m in subset], -1).double()
        inverse = torch.linalg.inv(self.covariance[place][:, place].double())
        apart = x[:, None] - self.means[:, place].double()
        score = -0.5 * torch.einsum("ncd,de,nce->nc", apart, inverse, apart) + self.prior.double().log()
        return score.log_softmax(-1).float()


def gaussians(widths: tuple[int, ...] = (32, 32, 32), seed: int = 0, classes: int = 4) -> Gaussians:
    """Modalities of growing strength after a principal component analysis: unit variance on average, much in few
    directions, the classes apart in the first of them, and noise that modalities share."""
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.cat([torch.arange(d).div(-8).exp() * d / torch.arange(d).div(-8).exp().sum() for d in widths])
    place = torch.cat([torch.arange(d).float() for d in widths])
    strength = torch.cat([torch.full((d,), s) for d, s in zip(widths, (0.6, 0.85, 1.1, 0.6, 0.6), strict=False)])
    means = torch.randn(classes, sum(widths), generator=generator) * strength * place.div(-5).exp()
    shared = torch.randn(sum(widths), 3, generator=generator) * 0.5 * place.div(-5).exp()[:, None]
    correlated = torch.eye(sum(widths)) + shared @ shared.T
    scale = spectrum.sqrt()
    prior = torch.tensor([0.5, 0.25, 0.15, 0.1]) if classes == 4 else torch.full((classes,), 1 / classes)
    return Gaussians((means - prior @ means) * scale, correlated * scale[:, None] * scale, prior, widths)


def availability(n: int, modalities: int, generator: torch.Generator) -> Tensor:
    """(n, M) bool: all modalities for a third, a single one for a third, two for the rest."""
    kind = torch.rand(n, generator=generator)
    order = torch.rand(n, modalities, generator=generator).argsort(-1)
    kept = torch.where(kind < 1 / 3, modalities, torch.where(kind < 2 / 3, 1, max(modalities - 1, 1)))
    return order < kept[:, None]


def lesson_of(
    world: Gaussians, sizes: tuple[int, ...], seed: int = 0, *, complete: bool = False, rows: int | None = None
) -> Lesson:
    """One fit for each size of training cohort, filled up to the largest (or to `rows`)."""
    generator = torch.Generator().manual_seed(1000 + seed)
    n, classes = max(rows or 0, *sizes), len(world.prior)
    blocks = [torch.zeros(len(sizes), n, d) for d in world.widths]
    present = torch.zeros(len(sizes), n, len(world.widths), dtype=torch.bool)
    allowed = torch.ones(len(sizes), n, classes, dtype=torch.bool)
    weight, inner = torch.zeros(len(sizes), n), torch.full((len(sizes), n), -1)
    for fit, size in enumerate(sizes):
        drawn, y = world.draw(size, generator)
        there = availability(size, len(world.widths), generator)
        there = torch.ones_like(there) if complete else there
        for m, block in enumerate(drawn):
            blocks[m][fit, :size] = block * there[:, m, None]
        present[fit, :size] = there
        allowed[fit, :size] = torch.eye(classes, dtype=torch.bool)[y]
        weight[fit, :size], inner[fit, :size] = 1, torch.arange(size) % 5
    fits = torch.arange(len(sizes))
    return Lesson(Offer(tuple(blocks), present), allowed, weight, inner, fits, fits + 7)


def offered(world: Gaussians, blocks: tuple[Tensor, ...], subset: tuple[int, ...], fits: int) -> Offer:
    """The same test patients for every fit, a subset of the modalities shown."""
    n = len(blocks[0])
    present = torch.zeros(fits, n, len(world.widths), dtype=torch.bool)
    present[..., list(subset)] = True
    whole = Offer(tuple(b.expand(fits, -1, -1) for b in blocks), torch.ones_like(present))
    return whole.showing(present)
