"""Samples of features instead of images, and a head that learns from them."""
