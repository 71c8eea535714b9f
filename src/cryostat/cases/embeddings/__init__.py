"""Embeddings of patients, from files people have and from encoders of ours."""

from __future__ import annotations

from cryostat.cases.embeddings.gathering import gather

__all__ = ["gather"]
