"""Are samples good, useful and new? One generator assessed, families side by side, classifiers with and without."""

from __future__ import annotations

from synthaug.classifiers.augmentation import AUGMENTATIONS, Augmentation
from synthaug.classifiers.classifier import Classifier, fit_classifier, train_classifier
from synthaug.classifiers.policy import Policy
from synthaug.classifiers.scores import Scores, score
from synthaug.classifiers.selection import Choice, tune_classifier
from synthaug.classifiers.settings import ClassifierConfig, ClassifierResult
from synthaug.evaluation.assessment import Assessment, evaluate
from synthaug.evaluation.comparison import Comparison, compare
from synthaug.evaluation.environment import describe_command, describe_environment
from synthaug.evaluation.quality import Fidelity, extract_features, measure_fidelity, relative_sharpness
from synthaug.evaluation.statistics import PairedDifference, paired_difference

__all__ = [
    "AUGMENTATIONS",
    "Assessment",
    "Augmentation",
    "Choice",
    "Classifier",
    "ClassifierConfig",
    "ClassifierResult",
    "Comparison",
    "Fidelity",
    "PairedDifference",
    "Policy",
    "Scores",
    "compare",
    "describe_command",
    "describe_environment",
    "evaluate",
    "extract_features",
    "fit_classifier",
    "measure_fidelity",
    "paired_difference",
    "relative_sharpness",
    "score",
    "train_classifier",
    "tune_classifier",
]
