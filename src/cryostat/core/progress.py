"""Progress bars that keep out of logs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


def track(items: Iterable[Item], label: str, total: int | None = None) -> Iterator[Item]:
    """Yield `items` under a progress bar on stderr; silent when stderr is not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if total is None and isinstance(items, Sized):
        total = len(items)
    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield from bar.track(items, total=total, description=label)


@contextmanager
def meter(label: str, total: int, unit: str, *, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """A progress bar moved by hand, with the speed in `unit`/s since it began; silent when stderr is not a terminal.

    Yields:
        A function that takes how much of `total` is done by now.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
    )
    hidden = not (shown and console.is_terminal)
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(label, total=total, speed="")
        began, before = time.perf_counter(), None

        def show(done: int) -> None:
            nonlocal before
            before = done if before is None else before
            speed = (done - before) / max(time.perf_counter() - began, 1e-9)
            bar.update(task, completed=done, speed=f"{speed:.1f} {unit}/s")

        yield show
