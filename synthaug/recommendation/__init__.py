"""Will samples make this classifier better on these data, by how much, and with which settings?

`recommend` answers by trying, inside the training split alone and within a given time: the real-only arm is tuned first
(`tuning`), ways of making and using samples (`space`) race against it by successive halving (`heats`, `halving`), and
the winner is measured again on folds that chose nothing (`confirmation`). What a gain is, and how sure, says
`difference`.
"""

from __future__ import annotations

from synthaug.recommendation.policy import RecommendedPolicy
from synthaug.recommendation.recommending import recommend
from synthaug.recommendation.space import RATIOS, Candidate

__all__ = ["RATIOS", "Candidate", "RecommendedPolicy", "recommend"]
