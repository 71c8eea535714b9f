from __future__ import annotations

from cryostat.runs.environment import Phases, environment


def test_the_environment_names_packages_and_threads():
    found = environment()
    assert found["packages"]["numpy"]
    assert found["torch_threads"] >= 1


def test_a_phase_entered_twice_adds_up(monkeypatch):
    ticks = iter([0.0, 1.5, 10.0, 12.0])
    monkeypatch.setattr("cryostat.runs.environment.time.perf_counter", lambda: next(ticks))
    phases = Phases()
    for _ in range(2):
        with phases.phase("fit"):
            pass
    assert phases.entries["fit"]["seconds"] == 3.5
