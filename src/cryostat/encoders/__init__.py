"""Frozen encoders: cards that can be read without weights, and loaders."""
