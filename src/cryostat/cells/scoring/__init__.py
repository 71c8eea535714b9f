"""Scoring: maps pooled over given nuclei, and predictions that were made elsewhere."""
