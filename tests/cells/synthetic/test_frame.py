from __future__ import annotations

import numpy as np
import pytest

from cryostat.cells.synthetic.frame import MARGIN, Frame, scatter
from cryostat.core.errors import SettingError


def test_pixel_centres_lie_half_a_pixel_in() -> None:
    frame = Frame(64, 0.5)
    assert frame.extent == 32
    assert frame.centres()[[0, 1, -1]].tolist() == [0.25, 0.75, 31.75]


@pytest.mark.parametrize(("size", "mpp"), [(512, 0), (512, -0.5), (512, float("nan")), (512, 8), (16, 0.5), (100, 0.1)])
def test_fields_that_show_no_tissue_are_refused(size: int, mpp: float) -> None:
    with pytest.raises(SettingError, match="Choose"):
        Frame(size, mpp)


def test_scatter_covers_the_frame_and_half_its_margin_at_the_density_asked_for() -> None:
    frame = Frame(512, 0.5)
    y, x = scatter(np.random.default_rng(0), frame, 10)
    expected = 10 * (256 + MARGIN) ** 2 / 1000
    assert abs(len(y) - expected) < 5 * np.sqrt(expected)
    assert min(y.min(), x.min()) >= -MARGIN / 2
    assert max(y.max(), x.max()) <= 256 + MARGIN / 2
