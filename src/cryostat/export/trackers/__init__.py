"""Mirrors of runs in experiment trackers; the run's folder stays the record."""
