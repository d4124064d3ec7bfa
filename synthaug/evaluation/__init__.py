"""Does it help? Classifiers trained with and without samples, and honest statistics about the difference."""

from __future__ import annotations

from synthaug.evaluation.augmentation import AUGMENTATIONS, Augmentation
from synthaug.evaluation.classifier import Classifier, fit_classifier, train_classifier
from synthaug.evaluation.classifier_settings import ClassifierConfig, ClassifierResult
from synthaug.evaluation.environment import describe_environment
from synthaug.evaluation.policy import Policy
from synthaug.evaluation.scores import Scores, score
from synthaug.evaluation.selection import Choice, choose, tune_classifier
from synthaug.evaluation.statistics import PairedDifference, paired_difference

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "Choice",
    "Classifier",
    "ClassifierConfig",
    "ClassifierResult",
    "PairedDifference",
    "Policy",
    "Scores",
    "choose",
    "describe_environment",
    "fit_classifier",
    "paired_difference",
    "score",
    "train_classifier",
    "tune_classifier",
]
