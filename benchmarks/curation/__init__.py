"""Are curated samples better than uncurated ones of the same generator? Datasets × regimes × seeds, resumable.

For each dataset, regime and seed a generator is trained on the regime's subset and on nothing else. It makes as many
samples of each class in every arm: ``none`` takes the first ones, the others the first ones that their filters accept.
Filters see the subset alone. Three measures, all higher is better:

* *sample accuracy*: share of the samples that an independent classifier, trained on the full real training split,
  puts into the class of their label (in a long tail: the mean over classes). It has seen far more than the filters.
* *CAS* (classification accuracy score, Ravuri & Vinyals 2019): balanced test accuracy of a classifier trained on the
  samples alone.
* *gain*: balanced test accuracy with real images and samples, less that with real images alone; same subset, seed,
  number of optimiser steps.

Each measure of an arm is compared with that of ``none`` by seed, with Student's t interval. The test split is read at
the end of a training, and nothing is chosen on it. Every arm is reported, whatever its sign.
"""
