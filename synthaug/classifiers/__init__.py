"""Training timm classifiers on real images and samples: the yardstick of every gain.

Convention: images are uint8 (N, H, W, C) in datasets and banks, uint8 (B, C, H, W) in batches; labels int64; accuracies
are shares from 0 to 1. Two trainings with one seed differ in nothing but what their arguments say.
"""

from __future__ import annotations

from synthaug.augmentation import AUGMENTATIONS, Augmentation
from synthaug.classifiers.calibration import temperature, true_class_probability
from synthaug.classifiers.classifier import Classifier, fit_classifier, train_classifier
from synthaug.classifiers.judgement import Judgement, judge
from synthaug.classifiers.labelling import PseudoLabels, pseudo_labels
from synthaug.classifiers.policy import Policy
from synthaug.classifiers.scores import Scores, score
from synthaug.classifiers.selection import Choice, tune_classifier
from synthaug.classifiers.settings import ClassifierConfig, ClassifierResult

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "Choice",
    "Classifier",
    "ClassifierConfig",
    "ClassifierResult",
    "Judgement",
    "Policy",
    "PseudoLabels",
    "Scores",
    "fit_classifier",
    "judge",
    "pseudo_labels",
    "score",
    "temperature",
    "train_classifier",
    "true_class_probability",
    "tune_classifier",
]
