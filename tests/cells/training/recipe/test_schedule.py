from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cryostat.cells.training.recipe.schedule import WarmupCosine
from cryostat.core.errors import SettingError


def test_published_learning_rates(shared: Path) -> None:
    known = json.loads((shared / "parity/paper_recipe.json").read_text())
    schedule = WarmupCosine(rises_again=True)
    tables = [table for name, table in known.items() if name.startswith("lr ")]
    assert len(tables) == 2
    for table in tables:
        for step, rate in table.items():
            assert schedule(int(step)) == pytest.approx(rate, rel=1e-6, abs=1e-12)


def test_rate_stays_low_without_the_quirk() -> None:
    assert WarmupCosine()(20_000) == WarmupCosine()(11_000) == 1e-7
    assert WarmupCosine(rises_again=True)(21_000) == pytest.approx(3e-5)


def test_attached_to_an_optimiser() -> None:
    schedule = WarmupCosine(peak=0.1, warmup=4, period=6, lowest=0.01)
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = schedule.attach(optimiser)
    for step in range(15):
        assert optimiser.param_groups[0]["lr"] == pytest.approx(schedule(step))
        optimiser.step()
        scheduler.step()


def test_no_warmup_begins_at_the_peak() -> None:
    assert WarmupCosine(warmup=0)(0) == 3e-5


@pytest.mark.parametrize("wrong", [{"warmup": -1}, {"period": 0}, {"lowest": 1.0}])
def test_impossible_schedules(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingError, match="no schedule has"):
        WarmupCosine(**wrong)
