from __future__ import annotations

import pytest
import torch

from cryostat.cells.augmentation import NONE, View, views
from cryostat.core.errors import SettingError


def test_the_first_view_is_the_image_itself() -> None:
    image = torch.rand(1, 3, 6, 6)
    assert views(3)[0] == View()
    assert torch.equal(views(3)[0].of_images(image), image)


def test_eight_views_are_all_the_turns_and_mirrors() -> None:
    image = torch.arange(9.0).reshape(1, 1, 3, 3)
    seen = {tuple(view.of_masks(image).flatten().tolist()) for view in views(8)}
    assert len(seen) == 8
    assert torch.equal(views(8)[1].of_masks(image), torch.rot90(image, 1, (2, 3)))
    assert torch.equal(views(8)[4].of_masks(image), image.flip(3))


def test_images_and_masks_turn_alike() -> None:
    image = torch.rand(2, 3, 5, 5)
    for view in views(8, settings=NONE):
        assert torch.equal(view.of_images(image), view.of_masks(image))


def test_longer_banks_begin_with_shorter_ones_and_stains_never_repeat() -> None:
    bank = views(24, seed=3)
    assert bank[:8] == views(8, seed=3)
    assert len({view.gain + view.shift for view in bank}) == 24
    assert bank[1] != views(8, seed=4)[1]
    assert all(abs(g - 1) <= 0.025 and abs(s) <= 0.05 for v in bank for g, s in zip(v.gain, v.shift, strict=True))
    assert (bank[9].quarter_turns, bank[9].mirrored) == (bank[1].quarter_turns, bank[1].mirrored)


def test_an_empty_bank_is_an_error() -> None:
    with pytest.raises(SettingError, match="empty"):
        views(0)
