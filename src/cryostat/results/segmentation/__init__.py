"""Scores of predicted instance maps, each under its own name: PQ and its means, R² of counts, Dice, detection F1."""

from cryostat.results.segmentation.counts import ClassCounts, CountScores, score_counts
from cryostat.results.segmentation.detection import (
    ClassDetection,
    DetectionCounts,
    DetectionScores,
    pair_by_centre,
    score_detection,
)
from cryostat.results.segmentation.dice import ClassDice, DiceScores, PixelCounts, score_dice
from cryostat.results.segmentation.maps import Instances, Maps, read_instances
from cryostat.results.segmentation.panoptic import (
    ClassPanoptic,
    ImagePanoptic,
    PanopticCounts,
    PanopticScores,
    pair_by_iou,
    score_panoptic,
)

__all__ = [
    "ClassCounts",
    "ClassDetection",
    "ClassDice",
    "ClassPanoptic",
    "CountScores",
    "DetectionCounts",
    "DetectionScores",
    "DiceScores",
    "ImagePanoptic",
    "Instances",
    "Maps",
    "PanopticCounts",
    "PanopticScores",
    "PixelCounts",
    "pair_by_centre",
    "pair_by_iou",
    "read_instances",
    "score_counts",
    "score_detection",
    "score_dice",
    "score_panoptic",
]
