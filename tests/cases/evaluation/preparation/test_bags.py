from __future__ import annotations

import numpy as np
import pytest
import torch

from cryostat.cases.evaluation.preparation import Preparation, bags
from cryostat.cases.evaluation.preparation.bags import Attention
from cryostat.cases.evidence import Bags, Evidence

N, TRAIN = 60, np.arange(40)


def planted(seed: int = 0) -> tuple[Evidence, np.ndarray, np.ndarray]:
    """Bags of noise in which one vector, marked by its first number, tells the class by its second."""
    rng = np.random.default_rng(seed)
    label = np.arange(N) % 2
    items = rng.normal(size=(N, 12, 4)).astype(np.float32)
    items[:, 0, 0], items[:, 0, 1] = 6, 3 * (2 * label - 1)
    kept = [item[: 0 if i == 7 else 4 + i % 9] for i, item in enumerate(items)]
    allowed = np.zeros((N, 2), bool)
    allowed[np.arange(N), label] = True
    return Evidence(tuple(map(str, range(N))), {"wsi": Bags(tuple(kept))}), allowed, label


def separation(block: np.ndarray, label: np.ndarray, rows: np.ndarray) -> float:
    """Largest distance of class means among the columns, in standard deviations."""
    a, b = block[rows][label[rows] == 0], block[rows][label[rows] == 1]
    return float((np.abs(a.mean(0) - b.mean(0)) / np.sqrt((a.var(0) + b.var(0)) / 2)).max())


def test_attention_finds_the_vector_that_tells_the_class() -> None:
    evidence, allowed, label = planted()
    prepared = Preparation(components=4).fit(evidence, TRAIN, allowed)
    block, test = prepared.blocks[0], np.arange(40, N)
    means = np.stack([item.mean(0) if len(item) else np.zeros(4) for item in evidence.modalities["wsi"].items])
    assert prepared.facts["wsi"]["attention"]
    assert separation(block, label, test) > 1.1 * separation(means, label, test)
    assert not block[7].any()
    assert block[TRAIN[TRAIN != 7]].var(0).mean() == pytest.approx(1, abs=1e-4)


def test_labels_and_vectors_of_test_patients_change_nothing() -> None:
    evidence, allowed, _ = planted()
    items = evidence.modalities["wsi"].items
    other = Evidence(evidence.patients, {"wsi": Bags((*items[:40], *(item * 50 for item in items[40:])))})
    changed = allowed.copy()
    changed[40:] = ~allowed[40:]
    ours = Preparation(components=4).fit(evidence, TRAIN, allowed)
    theirs = Preparation(components=4).fit(other, TRAIN, changed)
    np.testing.assert_array_equal(ours.blocks[0][TRAIN], theirs.blocks[0][TRAIN])
    np.testing.assert_array_equal(ours.zero[0], theirs.zero[0])


def test_a_training_patient_is_pooled_without_its_own_label(monkeypatch: pytest.MonkeyPatch) -> None:
    evidence, allowed, _ = planted()
    monkeypatch.setattr(bags, "_folds", lambda allowed, count, seed: np.arange(len(allowed)) % count)
    items = [item for item in evidence.modalities["wsi"].items if len(item)]
    flipped = allowed.copy()
    flipped[4] = ~allowed[4]  # of fold 0
    shown, there = torch.from_numpy(items[4])[None], torch.ones(1, len(items[4]), dtype=torch.bool)
    ours, theirs = (
        bags._trained(items, labels[: len(items)], Attention(steps=5), 0).module.pool(shown, there)
        for labels in (allowed, flipped)
    )
    assert torch.equal(ours[0], theirs[0])
    assert not any(torch.equal(ours[k], theirs[k]) for k in range(1, 5))


def test_without_two_classes_it_is_the_mean() -> None:
    evidence, allowed, _ = planted()
    one = np.zeros_like(allowed)
    one[:, 0] = True
    prepared = Preparation(components=0, clip=0).fit(evidence, TRAIN, one)
    assert prepared.facts["wsi"]["attention"] is False
    items = evidence.modalities["wsi"].items
    train = np.concatenate(items[:40])
    means = np.stack([((item - train.mean(0)) / train.std(0)).mean(0) for item in items if len(item)])
    present = prepared.present[:, 0]
    expected = (means - means[:39].mean(0)) / np.sqrt(means[:39].var(0).mean())
    np.testing.assert_allclose(prepared.blocks[0][present], expected, atol=1e-4)


def test_no_training_patient_with_a_bag_leaves_zeros() -> None:
    evidence, allowed, _ = planted()
    prepared = Preparation(components=3).fit(evidence, np.array([7]), allowed)
    assert prepared.widths == (3,)
    assert np.isfinite(prepared.blocks[0]).all()
