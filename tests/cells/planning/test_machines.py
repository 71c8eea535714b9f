"""Work adds up, and machines take time for it."""

from __future__ import annotations

import pytest

from cryostat.cells.planning.machines import Machine, Work, reference_gpu, this_machine
from cryostat.core.errors import SettingError


def test_seconds_are_operations_over_rates() -> None:
    machine = Machine("toy", tokens=100.0, pixels=10.0, basis="")
    assert machine.seconds(Work(tokens=200, pixels=30)) == 2 + 3
    assert (Work(1, 2) + Work(3, 4)) * 2 == Work(8, 12)
    assert Work(1, 2).flops == 3


def test_a_reference_gpu_reaches_stated_shares_of_its_peak() -> None:
    a100 = reference_gpu(" a100 ")
    assert (a100.name, a100.tokens, a100.pixels) == ("A100", pytest.approx(124.8e12), pytest.approx(62.4e12))
    with pytest.raises(SettingError, match="T4, L4, RTX 4090, A100"):
        reference_gpu("abacus")


def test_this_machine_is_measured() -> None:
    here = this_machine("cpu")
    assert 1e8 < here.tokens < 1e15
    assert 1e8 < here.pixels < 1e15
