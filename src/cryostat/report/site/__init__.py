"""The report: a static site that opens from a file."""

from __future__ import annotations

from cryostat.report.site.writing import build_report

__all__ = ["build_report"]
