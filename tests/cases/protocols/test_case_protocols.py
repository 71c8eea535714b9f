from __future__ import annotations

import pytest

from cryostat.cases.protocols import case_protocol_names, load_case_protocol
from cryostat.core.errors import SettingError


def test_the_paper_is_one_test_of_complete_patients_ablated_inside_the_residual():
    paper = load_case_protocol("paper")
    assert (paper.splits.kind, paper.splits.test_share) == ("complete-test", 0.3)
    assert paper.evaluation.ablations[0] == "phi_only"
    assert paper.evaluation.decision == "argmax"


def test_quirks_are_what_differs_from_standard():
    assert load_case_protocol("standard").quirks() == []
    quirks = load_case_protocol("paper").quirks()
    assert "splits.kind: 'complete-test' / 'kfold'" in quirks
    assert "preparation.components: 0 / 32" in quirks


def test_an_unknown_protocol_lists_those_there_are():
    with pytest.raises(SettingError) as caught:
        load_case_protocol("papers")
    assert all(name in str(caught.value) for name in case_protocol_names())
