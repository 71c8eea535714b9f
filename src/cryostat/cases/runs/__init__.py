"""Runs of the cases benchmark: what is asked for, what comes of it, and whole studies."""
