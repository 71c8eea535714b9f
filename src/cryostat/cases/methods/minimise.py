"""Minima of smooth functions in batches: L-BFGS, each fit with steps, curvature and an end of its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Objective = Callable[[Tensor], Tensor]


def minimise(
    objective: Objective, start: Tensor, *, steps: int = 200, memory: int = 10, tolerance: float = 1e-6
) -> Tensor:
    """Minimise F independent functions by limited-memory BFGS (Nocedal 1980) with backtracking.

    A fit whose gradient is small or whose value no longer falls stands still from then on, so that its result does not
    depend on how long its companions need.

    Double precision throughout, so that where it ends does not depend on what else is in the batch.

    Args:
        objective: (F, P) parameters to (F,) values, differentiable, float64.
        start: (F, P).
        steps: At most this many.
        memory: Pairs of steps and gradient changes kept.
        tolerance: A gradient whose largest entry is below this ends a fit.

    Returns:
        (F, P), detached, float64.
    """
    point = start.detach().double()
    value, slope = _valued(objective, point)
    moved: list[tuple[Tensor, Tensor]] = []
    active = slope.abs().amax(-1) > tolerance
    for _ in range(steps):
        if not bool(active.any()):
            break
        direction = -_two_loop(slope, moved)
        uphill = (direction * slope).sum(-1) >= 0
        direction = torch.where(uphill[:, None], -slope, direction)
        reached, reached_value, reached_slope = _backtracked(objective, point, value, slope, direction, active)
        moved = [*moved, (reached - point, reached_slope - slope)][-memory:]
        fallen = value - reached_value > 1e-10 * value.abs().clamp(min=1e-3)
        point, value, slope = reached, reached_value, reached_slope
        active = active & fallen & (slope.abs().amax(-1) > tolerance)
    return point


def _valued(objective: Objective, point: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        free = point.detach().requires_grad_(True)
        value = objective(free)
        (slope,) = torch.autograd.grad(value.sum(), free)
    return value.detach(), slope


def _two_loop(slope: Tensor, moved: list[tuple[Tensor, Tensor]]) -> Tensor:
    """(F, P): the inverse curvature of the last steps applied to the slope."""
    q: Tensor = slope.clone()
    kept = []
    scale = (1 / slope.norm(dim=-1).clamp(min=1.0))[:, None]
    for step, change in reversed(moved):
        curvature = (step * change).sum(-1)
        usable = curvature > 1e-10 * (change * change).sum(-1).clamp(min=1e-30)
        rho = torch.where(usable, 1 / curvature.where(usable, torch.ones(())), 0.0)
        alpha = rho * (step * q).sum(-1)
        q = q - alpha[:, None] * change
        kept.append((step, change, rho, alpha, usable, curvature))
    for *_, change, _, _, usable, curvature in reversed(kept):
        newest = curvature / (change * change).sum(-1).clamp(min=1e-30)
        scale = torch.where(usable[:, None], newest[:, None], scale)
    q = q * scale
    for step, change, rho, alpha, _, _ in reversed(kept):
        q += step * (alpha - rho * (change * q).sum(-1))[:, None]
    return q


def _backtracked(
    objective: Objective, point: Tensor, value: Tensor, slope: Tensor, direction: Tensor, active: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Point, value and slope after a step that falls enough; the same as before for fits that find none."""
    along = (direction * slope).sum(-1)
    length = active.double()
    for _ in range(25):
        reached = point + length[:, None] * direction
        reached_value, reached_slope = _valued(objective, reached)
        enough = reached_value <= value + 1e-4 * length * along
        if bool((enough | (length == 0)).all()):
            break
        length = torch.where(enough, length, length / 3)
    failed = ~(enough | (length == 0))
    stay = (failed | (length == 0))[:, None]
    return (
        torch.where(stay, point, reached),
        torch.where(stay[:, 0], value, reached_value),
        torch.where(stay, slope, reached_slope),
    )
