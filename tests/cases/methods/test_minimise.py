"""L-BFGS in batches."""

from __future__ import annotations

import torch

from cryostat.cases.methods.minimise import minimise


def test_quadratics_of_different_curvature_end_at_their_centres() -> None:
    centre = torch.tensor([[1.0, -2.0], [30.0, 0.5]])
    curvature = torch.tensor([[1.0, 50.0], [0.1, 3.0]])
    found = minimise(lambda x: (curvature * (x - centre).square()).sum(-1), torch.zeros(2, 2))
    torch.testing.assert_close(found, centre.double(), atol=1e-4, rtol=1e-4)


def test_rosenbrock_valley() -> None:
    found = minimise(
        lambda x: (1 - x[:, 0]).square() + 100 * (x[:, 1] - x[:, 0].square()).square(),
        torch.tensor([[-1.2, 1.0]], dtype=torch.float64),
        steps=400,
        tolerance=1e-8,
    )
    torch.testing.assert_close(found, torch.ones(1, 2, dtype=torch.float64), atol=1e-3, rtol=0)


def test_a_fit_does_not_depend_on_how_long_its_companions_need() -> None:
    def hard(x: torch.Tensor) -> torch.Tensor:
        return (x[:, 0] - 3).abs().pow(1.5) + (x[:, 1] + x[:, 0]).square()

    starts = torch.tensor([[2.9, -2.9], [-40.0, 7.0]])
    together = minimise(hard, starts)
    alone = torch.cat([minimise(hard, starts[:1]), minimise(hard, starts[1:])])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)
