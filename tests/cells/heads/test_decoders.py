"""The published decoders: parameter counts at five widths, shapes, and what each output pixel depends on."""

from __future__ import annotations

import pytest
import torch

from cryostat.cells.heads.dpt import DPT
from cryostat.cells.heads.unetr import UNetR

# Counts of the published heads with 15 classes, by token width.
UNETR = {384: 11_486_431, 768: 28_361_359, 1024: 30_458_511, 1280: 32_555_663, 1536: 34_652_815}
PUBLISHED_DPT = {384: 28_479_375, 768: 113_876_751, 1024: 202_429_455, 1280: 316_279_055, 1536: 455_425_551}


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("width", UNETR)
def test_parameter_counts_are_the_published(width: int) -> None:
    with torch.device("meta"):
        assert parameters(UNetR(width, 15)) == UNETR[width]
        assert parameters(DPT(width, 15)) == PUBLISHED_DPT[width]


def test_the_lean_dpt_no_longer_grows_with_the_square_of_the_width() -> None:
    with torch.device("meta"):
        assert parameters(DPT(1536, 15, features=256)) < 28_000_000


@pytest.mark.parametrize("grid", [14, 16])
def test_logits_have_the_size_of_the_image_whatever_the_grid(grid: int) -> None:
    maps = [torch.randn(2, 32, grid, grid) for _ in range(4)]
    with torch.no_grad():
        assert UNetR(32, 5)(maps, torch.randn(2, 3, 224, 224)).shape == (2, 5, 224, 224)
        assert DPT(32, 5)(maps, torch.empty(2, 3, 224, 224)).shape == (2, 5, 224, 224)


def test_every_map_and_every_parameter_takes_part() -> None:
    maps = [torch.randn(2, 16, 4, 4, requires_grad=True) for _ in range(4)]
    image = torch.randn(2, 3, 64, 64)
    for model, logits in ((m := UNetR(16, 3), m(maps, image)), (m := DPT(16, 3), m(maps, image))):
        logits.square().mean().backward()
        assert all(float(z.grad.abs().sum()) > 0 for z in maps)
        idle = [name for name, p in model.named_parameters() if p.grad is None]
        # The published DPT holds one unit that nothing feeds: the skip of its top level.
        assert all(name.startswith("fuse.0.skip") for name in idle)
        for z in maps:
            z.grad = None
