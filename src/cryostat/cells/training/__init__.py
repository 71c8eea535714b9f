"""Fitting heads on stored features."""
