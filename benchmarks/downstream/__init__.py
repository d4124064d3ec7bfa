"""Do samples make a classifier better? Arms × seeds over any labelled images, resumable run by run.

For every regime (few-shot, long tail, full) and every seed:

1. **Subset.** The regime's training images are drawn from the training split with the seed. Nothing else of the
   training split is used.
2. **Choice.** Each *base* (a real-only arm, for instance "strong") is a list of candidate settings. A share of the
   subset is held out, every candidate trains on the rest, and the best mean validation balanced accuracy over the
   selection seeds is chosen, once for the regime. The arms with samples get the settings of their base, so nothing is
   ever tuned for them alone.
3. **Generator.** Each generator is trained on the seed's subset, whole, and draws a bank. It sees neither the rest of
   the training split nor test.
4. **Arms.** Each base trains without samples, and with each generator's samples by each policy: same subset, same
   seed, hence the same weights and order at the start, and the same number of optimiser steps. Test (a fixed share of
   the test split) is read once, at the end of each of these runs, and nothing is chosen on it.
5. **Statistics.** Gain of an arm = balanced accuracy with samples minus that of its base, paired by seed; 95 %
   interval of the mean by Student's t over the seeds. Every arm is reported, whatever its sign.
"""
