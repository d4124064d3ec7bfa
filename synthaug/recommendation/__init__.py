"""Will samples make this classifier better on these data, by how much, and with which settings?

`recommend` answers by trying, inside the training split alone and within a given time (`bookkeeping`): the real-only
arm is tuned first, ways of making and using samples (`candidates`) race against it by successive halving (`race`), and
the winner is measured again on folds that did not choose it (`measuring`, which says what a gain is, and how sure it
is). `answer` puts that into words, a page and files.
"""

from __future__ import annotations

from synthaug.recommendation.candidates.space import RATIOS, Candidate
from synthaug.recommendation.policy import RecommendedPolicy
from synthaug.recommendation.recommending import recommend

__all__ = ["RATIOS", "Candidate", "RecommendedPolicy", "recommend"]
