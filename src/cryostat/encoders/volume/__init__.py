"""Encoders of volumes (MRI series): NeuroVFM, and the statistics that need no weights."""
