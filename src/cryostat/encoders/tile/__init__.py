"""Encoders of image tiles."""
