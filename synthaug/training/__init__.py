"""One training loop for all families.

Convention: everything random in a step is a function of the run's seed and the step's number, so a run that was
stopped goes on exactly; what a run writes lies in its folder (``run.json``, ``metrics.jsonl``, ``reals.png``,
``samples/``, ``trainer_state/``, and in the end the generator).
"""

from synthaug.training.config import TrainingConfig
from synthaug.training.fitting import fit
from synthaug.training.watcher import ModeCollapseWarning

__all__ = ["ModeCollapseWarning", "TrainingConfig", "fit"]
