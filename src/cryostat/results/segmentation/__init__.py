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
from cryostat.results.segmentation.report import (
    METRICS,
    ClassSegmentation,
    SegmentationScores,
    SegmentationSettings,
    score_segmentation,
    together,
)

__all__ = [
    "METRICS",
    "ClassCounts",
    "ClassDetection",
    "ClassDice",
    "ClassPanoptic",
    "ClassSegmentation",
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
    "SegmentationScores",
    "SegmentationSettings",
    "pair_by_centre",
    "pair_by_iou",
    "read_instances",
    "score_counts",
    "score_detection",
    "score_dice",
    "score_panoptic",
    "score_segmentation",
    "together",
]
