"""Cryostat: what frozen foundation models of oncology imaging can really do."""

__version__ = "0.1.0"
