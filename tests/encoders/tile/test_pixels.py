from __future__ import annotations

import torch

from cryostat.encoders.registry import card, load_encoder


def test_tokens_are_mean_colours() -> None:
    image = torch.zeros(1, 3, 64, 64)
    image[0, 0, :32, 32:] = 1
    image[0, 2, 32:, 32:48] = 1
    found = load_encoder("none", device="cpu").encode(image)["final"]
    assert found.shape == (1, 2, 2, 3)
    assert found[0].tolist() == [[[0, 0, 0], [1, 0, 0]], [[0, 0, 0], [0, 0, 0.5]]]


def test_it_has_nothing_but_a_name() -> None:
    facts = card("none")
    assert (facts.width, facts.grid, facts.layers()) == (3, 7, ("final",))
    encoder = load_encoder("None", device="cpu")
    assert not encoder.module.state_dict()
    assert encoder.identity() == load_encoder("none", device="cpu").identity()
