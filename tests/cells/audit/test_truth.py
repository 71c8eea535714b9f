from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import cryostat.cells.audit.truth as truth
from cryostat.cells.audit import audit, tile_supports
from cryostat.cells.audit.truth import Known, known
from cryostat.cells.dataset import Split
from cryostat.core.errors import SettingError


def test_totals_are_those_of_the_reference():
    totals = {(k.format, k.splits[0]): sum(k.counts.values()) for k in known("support")}
    assert totals == {
        ("lizard", "base"): 162_374,
        ("lizard", "glas"): 59_503,
        ("pannuke", "base"): 70_896,
        ("arctique", "published"): 73_053,
        ("pathocell", "published"): 42_876,
        ("pathocell", "tumour-type"): 56_953,
        ("pathocell", "tumour-stage"): 55_163,
    }


def square(write, boxes, size=300):
    """A field of squares: (top, left, bottom, right, class)."""
    instances = np.zeros((size, size), np.int32)
    for i, (top, left, bottom, right, _) in enumerate(boxes, 1):
        instances[top:bottom, left:right] = i
    image = np.where(instances[..., None] > 0, 90, 220).astype(np.uint8).repeat(3, 2)
    return write({"a": (image, instances, {i: box[4] for i, box in enumerate(boxes, 1)})})


def test_a_nucleus_that_a_cut_crosses_counts_in_each_piece(write):
    # 300 px are cut into two pieces of 150.
    dataset = square(
        write, [(10, 10, 20, 20, 1), (145, 10, 155, 20, 1), (145, 145, 155, 155, 2), (150, 160, 160, 170, 2)]
    )
    assert tile_supports(dataset, "a") == Counter({1: 3, 2: 5})


def test_a_field_of_one_tile_is_not_cut(write):
    assert tile_supports(square(write, [(100, 100, 120, 120, 1)], size=224), "a") == Counter({1: 1})


def test_mixed_nuclei_get_the_truncated_mean_of_their_labels(write):
    dataset = square(write, [(10, 10, 20, 20, 2), (10, 100, 20, 110, 2)])
    labels = np.array(dataset.semantic("a"))
    labels[10:13, 10:20] = 1  # a mean of 1.7
    (dataset.folder / "semantic").mkdir(exist_ok=True)
    np.save(dataset.folder / "semantic" / "a.npy", labels)
    assert tile_supports(dataset, "a") == Counter({1: 1, 2: 1})


def test_pieces_of_one_id_count_apart_where_the_published_count_did(write):
    instances = np.zeros((64, 64), np.int32)
    instances[2:8, 2:8] = instances[20:28, 20:28] = 1
    image = np.where(instances[..., None] > 0, 90, 220).astype(np.uint8).repeat(3, 2)
    dataset = write({"a": (image, instances, {1: 2})})
    assert tile_supports(dataset, "a") == Counter({2: 1})
    assert tile_supports(dataset, "a", pieces_apart=True) == Counter({2: 2})


def test_a_field_without_nuclei_supports_nothing(write):
    assert tile_supports(square(write, []), "a") == Counter()


@pytest.fixture
def drawn(write, tissue):
    split = Split("base", {"a": "train", "b": "valid", "c": "test"})
    return write({name: tissue(seed) for seed, name in enumerate("abc")}, splits=[split])


def with_truth(monkeypatch, counts, fields=1):
    monkeypatch.setattr(truth, "known", lambda kind: [Known("lizard", counts, ("base",), "", fields)])


def findings(report):
    return [f for f in report.findings if f.check == "known tile-level nuclei"]


def test_a_split_with_the_published_support_passes(drawn, monkeypatch):
    counts = dict(tile_supports(drawn, "c"))
    with_truth(monkeypatch, counts)
    (finding,) = findings(audit(drawn, known_as="lizard"))
    assert finding.severity == "note"
    assert f"exactly the published {sum(counts.values())}" in finding.what


def test_one_nucleus_too_few_is_an_error_that_names_the_class(drawn, monkeypatch):
    counts = dict(tile_supports(drawn, "c"))
    with_truth(monkeypatch, counts | {2: counts[2] + 1})
    report = audit(drawn, known_as="lizard")
    (finding,) = findings(report)
    assert finding.severity == "error"
    assert f"long {counts[2]} instead of {counts[2] + 1}" in finding.what
    assert "round" not in finding.what
    assert not report.passed


def test_a_test_part_of_another_size_is_not_compared(drawn, monkeypatch):
    with_truth(monkeypatch, {1: 1}, fields=70)
    (finding,) = [f for f in audit(drawn, known_as="lizard").findings if f.check == "known test support"]
    assert finding.severity == "note"
    assert "has 70 fields, here are 1" in finding.what


def test_an_unknown_format_is_refused(drawn):
    with pytest.raises(SettingError, match="'glas'"):
        audit(drawn, known_as="glas")
