"""How good are the samples of each family, trained well? A classifier trained on samples alone is tested on reals."""
