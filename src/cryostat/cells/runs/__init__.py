"""Runs: one encoder, one head, one split, one seed; scored, recorded, reproducible."""
