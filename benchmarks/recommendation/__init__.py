"""Is the recommendation right? Against never and always using samples, and the best single setting in hindsight.

For every dataset, regime and seed (a *cell*):

1. **Subset.** The regime's training images are drawn from the training split. Nothing else of it is used.
2. **Recommendation.** `synthaug.recommend` gets the subset and a time, and sees nothing else.
3. **Settings.** A fixed list of ways to use samples: "never" (real images alone, tuned by the recommendation), "always"
   (as many samples as real images are added, curated where that is to be had), and others. All take the classifier's
   settings that were tuned on real images alone, and the same number of steps. Generators see the subset alone.
4. **Test** is read once for each setting and classifier seed, after everything was chosen.

The report compares the recommendation with never, with always, and with the single setting whose mean over all cells
turns out highest, which nobody could have known.
"""
