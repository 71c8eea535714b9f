"""What the tests of features share: the worker module, and processes that start at once."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

Start = Callable[..., BaseProcess]


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody cuts the power in a test, and thousands of small files need not wait for the disk."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture(scope="session")
def forkserver() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "cryostat.features.extraction", "pyarrow.parquet", "rich.progress"])
    return context


@pytest.fixture
def start(forkserver: Any) -> Iterator[Start]:
    """Start `extraction_worker.run(**settings)` in a process of its own; what still runs at the end is killed."""
    from extraction_worker import run_alone

    processes = []

    def begin(**settings: Any) -> BaseProcess:
        process = forkserver.Process(target=run_alone, kwargs=settings)
        process.start()
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.join()
