"""Samples out: which ones, in which format, and the bank that training reads them from."""

from __future__ import annotations

from synthaug.sampling.bank import SampleBank
from synthaug.sampling.generating import generate, load_generator
from synthaug.sampling.plan import Plan, plan_samples
from synthaug.sampling.writers import list_formats

__all__ = ["Plan", "SampleBank", "generate", "list_formats", "load_generator", "plan_samples"]
