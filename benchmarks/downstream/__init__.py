"""Do samples make a classifier better? Datasets × regimes × classifiers × arms × seeds, resumable run by run.

For every regime (few-shot, long tail, full), classifier and seed:

1. **Subset.** The regime's training images are drawn from the training split with the seed. Nothing else of the
   training split is used.
2. **Choice.** Each *base* (a real-only arm, for instance "mixup") is a list of candidate settings. A share of the
   subset is held out, every candidate trains on the rest, and the best mean validation balanced accuracy over the
   selection seeds is chosen, once for the regime and classifier; the best base is chosen the same way. The arms with
   samples get the settings of their base, so nothing is ever tuned for them alone.
3. **Banks.** Generators are trained on the seed's subset, whole, and recipes make banks of them. They see neither the
   rest of the training split nor test.
4. **Arms.** Each base trains without samples; ``none`` and the best base also with each bank by each policy: same
   subset, same seed, hence the same weights and order at the start, and the same number of optimiser steps. Test (a
   fixed share of the test split) is read once, at the end of each of these runs, and nothing is chosen on it.
5. **Statistics.** Gain of an arm = balanced accuracy with samples minus that of its base, paired by seed; 95 %
   interval of the mean by Student's t over the seeds. Every arm is reported, whatever its sign.

Every finished run is one small JSON below ``benchmarks/results/downstream/runs``; report and summary are drawn from
these alone.
"""

from typing import Literal

Until = Literal["choose", "banks", "comparisons", "arms"]
"""The phases of a run, in their order."""
