"""Are samples good, useful and new? One generator, bank or folder of images, measured against real images.

Read `assessing` first. `inputs` brings samples and real images together, `features` looks at them, `memorisation` asks
what is known of the training images, `utility` trains classifiers, `verdicts` puts it into words, and `page` shows it.
"""

from __future__ import annotations

from synthaug.evaluation.assessment.assessing import evaluate
from synthaug.evaluation.assessment.memorisation import Copy, Membership, Memorisation
from synthaug.evaluation.assessment.record import Assessment
from synthaug.evaluation.assessment.utility import Utility
from synthaug.evaluation.assessment.verdicts import Finding

__all__ = ["Assessment", "Copy", "Finding", "Membership", "Memorisation", "Utility", "evaluate"]
