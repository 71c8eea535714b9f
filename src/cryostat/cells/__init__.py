"""Benchmark 1: what cell is this, for every nucleus of an H&E field of view."""
