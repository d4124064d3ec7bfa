"""Which samples to keep, and why the others were rejected.

Filters learn from the training split alone. Each is one file in `synthaug.curation.filters`.
"""

from __future__ import annotations

from synthaug.curation.base import Filter, Selection, list_filters, register_filter
from synthaug.curation.copies import Copies, CopyDetector
from synthaug.curation.curating import curate
from synthaug.curation.generating import BudgetError, BudgetWarning, generate_curated
from synthaug.curation.pipeline import Curation
from synthaug.curation.reference import Candidates, Reference, ReferenceConfig

__all__ = [
    "BudgetError",
    "BudgetWarning",
    "Candidates",
    "Copies",
    "CopyDetector",
    "Curation",
    "Filter",
    "Reference",
    "ReferenceConfig",
    "Selection",
    "curate",
    "generate_curated",
    "list_filters",
    "register_filter",
]
