"""Labelled images in: sources, decoding into a memory-mapped cache, and class-wise splits."""

from __future__ import annotations

from synthaug.data.dataset import ImageDataset
from synthaug.data.sources.base import Problem

__all__ = ["ImageDataset", "Problem"]
