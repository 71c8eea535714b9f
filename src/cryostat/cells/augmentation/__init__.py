"""Augmentation of batches of fields, and the fixed views of a bank of features."""

from __future__ import annotations

from cryostat.cells.augmentation.batch import augment, augment_each
from cryostat.cells.augmentation.settings import NONE, PUBLISHED, STANDARD, Augmentations, Elastic
from cryostat.cells.augmentation.views import View, views

__all__ = ["NONE", "PUBLISHED", "STANDARD", "Augmentations", "Elastic", "View", "augment", "augment_each", "views"]
