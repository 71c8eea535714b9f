"""Published numbers with their sources, what is wrong with them, and what the publications contradict."""

from __future__ import annotations

from cryostat.results.published.tables import (
    BENCHMARKS,
    Contradiction,
    ImpliedRow,
    ImpliedTest,
    PublishedBenchmark,
    PublishedRow,
    PublishedTable,
    published,
    published_benchmark,
    published_on,
)

__all__ = [
    "BENCHMARKS",
    "Contradiction",
    "ImpliedRow",
    "ImpliedTest",
    "PublishedBenchmark",
    "PublishedRow",
    "PublishedTable",
    "published",
    "published_benchmark",
    "published_on",
]
