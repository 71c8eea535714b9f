"""Runs and datasets in the formats of other tools; nothing here is ever the record of a run."""
