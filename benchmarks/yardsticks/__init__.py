"""Accuracy or the probability of the right class: by which settings are chosen better."""
