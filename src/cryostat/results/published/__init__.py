"""Published numbers with their sources, what is wrong with them, and what the publications contradict."""

from __future__ import annotations

from cryostat.results.published.tables import (
    BENCHMARKS,
    Contradiction,
    PublishedBenchmark,
    PublishedRow,
    PublishedTable,
    ImpliedRow,
    ImpliedTest,
    published,
    published_benchmark,
)

__all__ = [
    "BENCHMARKS",
    "Contradiction",
    "PublishedBenchmark",
    "PublishedRow",
    "PublishedTable",
    "ImpliedRow",
    "ImpliedTest",
    "published",
    "published_benchmark",
]
