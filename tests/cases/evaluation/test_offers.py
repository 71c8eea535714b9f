from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from cryostat.cases.evaluation.offers import ABLATIONS, Arm, Shown, plan_arms
from cryostat.cases.methods.base import Offer
from cryostat.core.errors import SettingError

FIRST_ALONE = (True, False)


@pytest.fixture
def shown() -> Shown:
    """One fit; patient 0 and 1 have both modalities, 2 the second alone, 3 the first alone."""
    present = torch.tensor([[[1, 1], [1, 1], [0, 1], [1, 0]]], dtype=torch.bool)
    first = torch.tensor([[[1.0], [2.0], [0.0], [4.0]]])
    second = torch.tensor([[[10.0, 11.0], [20.0, 21.0], [30.0, 31.0], [0.0, 0.0]]])
    zero = (torch.tensor([[-1.0]]), torch.tensor([[-2.0, -3.0]]))
    return Shown(Offer((first, second), present), zero, [(0, 0, 0)])


def made(ablation: str, shown: Shown) -> Offer:
    return Arm(ablation, FIRST_ALONE).made(shown)


def test_full_takes_the_modality_away_altogether(shown: Shown) -> None:
    offer = made("full", shown)
    assert offer.present.int().tolist() == [[[1, 0], [1, 0], [0, 0], [1, 0]]]
    assert offer.blocks[0].tolist() == shown.offer.blocks[0].tolist()
    assert not offer.blocks[1].any()
    assert offer.residual_present is None


def test_phi_only_takes_it_from_the_residual_and_probe_only_from_the_experts(shown: Shown) -> None:
    taken = [[[1, 0], [1, 0], [0, 0], [1, 0]]]
    phi, probe = made("phi_only", shown), made("probe_only", shown)
    assert phi.present.equal(shown.offer.present)
    assert phi.residual_present is not None
    assert phi.residual_present.int().tolist() == taken
    assert probe.present.int().tolist() == taken
    assert probe.residual_present is not None
    assert probe.residual_present.equal(shown.offer.present)
    assert all(a.equal(b) for offer in (phi, probe) for a, b in zip(offer.blocks, shown.offer.blocks, strict=True))


def test_replaced_embeddings_count_as_there_where_there_was_one(shown: Shown) -> None:
    zero, mean = made("zero_embedding", shown), made("mean_embedding", shown)
    assert zero.blocks[1].tolist() == [[[-2, -3], [-2, -3], [-2, -3], [0, 0]]]
    assert mean.blocks[1].tolist() == [[[0, 0]] * 4]
    for offer in (zero, mean):
        assert offer.present.equal(shown.offer.present)
        assert offer.blocks[0].equal(shown.offer.blocks[0])


def test_permute_gives_everybody_somebody_elses(shown: Shown) -> None:
    offer = made("permute", shown)
    before, after = shown.offer.blocks[1][0], offer.blocks[1][0]
    assert sorted(after[:3].tolist()) == sorted(before[:3].tolist())
    assert (after[:3] != before[:3]).all()
    assert not after[3].any()
    assert offer.blocks[1].equal(made("permute", shown).blocks[1])


def test_permute_gives_the_mean_to_the_only_one_who_has_any(shown: Shown) -> None:
    alone = Shown(shown.offer.showing(torch.eye(4, dtype=torch.bool)[:1, :, None].expand(1, 4, 2)), shown.zero, [(0,)])
    offer = made("permute", alone)
    assert alone.offer.present[0, 0].all()
    assert alone.offer.blocks[1][0, 0].tolist() == [10.0, 11.0]
    assert not offer.blocks[1].any()


def test_prior_shows_nothing_to_whoever_is_denied_something(shown: Shown) -> None:
    assert made("prior", shown).present.int().tolist() == [[[0, 0], [0, 0], [0, 0], [1, 0]]]


@pytest.mark.parametrize("name", ABLATIONS)
def test_with_everything_offered_every_meaning_is_the_same(name: str, shown: Shown) -> None:
    offer = Arm(name, (True, True)).made(shown)
    assert offer.present.equal(shown.offer.present)
    assert offer.residual_present is None or offer.residual_present.equal(shown.offer.present)
    assert all(a.equal(b) for a, b in zip(offer.blocks, shown.offer.blocks, strict=True))


def test_arms_are_all_subsets_by_size_under_each_meaning(small: SimpleNamespace) -> None:
    arms = plan_arms(["mri", "wsi"], small.Branches(), None, ["full", "phi_only", "full"])
    lattice = [(False, False), (True, False), (False, True), (True, True)]
    assert [(arm.ablation, arm.kept) for arm in arms] == [(a, kept) for a in ("full", "phi_only") for kept in lattice]
    assert [arm.kept for arm in plan_arms(["mri", "wsi"], small.Means(), [["wsi"], [], ["wsi"]])] == [
        (False, True),
        (False, False),
    ]


def test_what_a_method_cannot_tell_apart_is_refused_with_the_reason(small: SimpleNamespace) -> None:
    with pytest.raises(SettingError, match="means has no residual beside its experts, so ablation 'phi_only' would"):
        plan_arms(["mri"], small.Means(), None, ["phi_only"])
    with pytest.raises(SettingError, match=r"no ablation 'phionly'\. Choose one of: phi_only"):
        plan_arms(["mri"], small.Means(), None, ["phionly"])
    with pytest.raises(SettingError, match=r"no modality 'ct' to offer\. Choose among: mri, wsi"):
        plan_arms(["mri", "wsi"], small.Means(), [["mri", "ct"]])
