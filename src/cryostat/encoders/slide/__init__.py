"""Slide encoders: one vector for the tiles of a slide."""
