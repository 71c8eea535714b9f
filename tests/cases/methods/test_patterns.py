"""Patterns of availability."""

from __future__ import annotations

import pytest
import torch

from cryostat.cases.methods.base import Offer
from cryostat.cases.methods.patterns import occurring, parts, practice, side_by_side, views


@pytest.mark.parametrize(("modalities", "number"), [(1, 1), (2, 3), (3, 7), (4, 15), (5, 5 + 10 + 5 + 1)])
def test_number_of_parts(modalities: int, number: int) -> None:
    table = parts(modalities)
    assert table.shape == (number, modalities)
    assert len(torch.unique(table, dim=0)) == number
    assert table.any(-1).all()


def test_shares_by_hand() -> None:
    # One with both modalities (parts: each alone), one with the second, one with nothing.
    present = torch.tensor([[[True, True], [False, True], [False, False]]])
    shown, share = views(present, torch.tensor([0.4]))
    assert shown[:, 0, 0].tolist() == [[True, True], [True, False], [False, True], [True, True]]
    torch.testing.assert_close(share[:, 0, 0], torch.tensor([0.4, 0.3, 0.3, 0.0]))
    torch.testing.assert_close(share[:, 0, 1], torch.tensor([1.0, 0.0, 0.0, 0.0]))
    torch.testing.assert_close(share[:, 0, 2], torch.zeros(4))


def test_practised_rows_hide_what_is_not_shown() -> None:
    offer = Offer((torch.full((1, 1, 1), 5.0), torch.full((1, 1, 1), 7.0)), torch.ones(1, 1, 2, dtype=torch.bool))
    rows = practice(offer.present, torch.tensor([0.5]))
    assert side_by_side(rows.offer(offer))[0].tolist() == [[5, 7, 1, 1], [5, 0, 1, 0], [0, 7, 0, 1]]
    torch.testing.assert_close(rows.share, torch.tensor([[0.5, 0.25, 0.25]]))


def test_rows_that_count_for_nothing_are_left_out_and_short_fits_filled_up() -> None:
    present = torch.tensor([[[True, False], [True, True]], [[False, True], [False, False]]])
    rows = practice(present, torch.tensor([0.5, 0.5]))
    assert rows.patient[0].tolist() == [0, 1, 1, 1]
    assert rows.share.tolist() == [[1.0, 0.5, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0]]


def test_occurring_patterns_are_listed_once_without_nothing() -> None:
    present = torch.tensor([[[True, False], [True, False]], [[False, False], [True, True]]])
    assert occurring(present).tolist() == [[True, False], [True, True]]
