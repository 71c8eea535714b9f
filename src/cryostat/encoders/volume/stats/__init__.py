"""Intensity, shape and texture of brain and tumour as named numbers: the floor that needs no weights."""
