"""Are samples good, useful and new? One generator assessed, families side by side, classifiers with and without."""

from __future__ import annotations

from synthaug.evaluation.assessment import Assessment, evaluate
from synthaug.evaluation.comparison import Comparison, compare
from synthaug.evaluation.environment import describe_command, describe_environment
from synthaug.evaluation.quality import Fidelity, extract_features, measure_fidelity, relative_sharpness
from synthaug.evaluation.statistics import PairedDifference, paired_difference

__all__ = [
    "Assessment",
    "Comparison",
    "Fidelity",
    "PairedDifference",
    "compare",
    "describe_command",
    "describe_environment",
    "evaluate",
    "extract_features",
    "measure_fidelity",
    "paired_difference",
    "relative_sharpness",
]
