"""What an assessment comes to, as one record."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from synthaug.evaluation.assessment.closeness import Closeness
from synthaug.evaluation.assessment.memorisation import Memorisation
from synthaug.evaluation.assessment.utility import Utility
from synthaug.evaluation.assessment.verdicts import Finding


@dataclasses.dataclass(frozen=True, eq=False)
class Assessment:
    """What was measured.

    Attributes:
        findings: The answers in words, the most useful first.
        closeness: How close samples are to real images.
        memorisation: Copies, nearness and membership inference.
        utility: Accuracy of classifiers; `None` where it was not asked for or nothing is held out.
        missing: What could not be measured or should be minded, in words.
        about: Command, versions, machine, data and settings.
        out: The folder with ``evaluation.json`` and ``evaluation.html``.
    """

    findings: tuple[Finding, ...]
    closeness: Closeness
    memorisation: Memorisation
    utility: Utility | None
    missing: tuple[str, ...]
    about: dict[str, Any]
    out: Path

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {
            **self.about,
            "findings": [finding.to_dict() for finding in self.findings],
            "missing": list(self.missing),
            **self.closeness.to_dict(),
            "utility": None if self.utility is None else self.utility.to_dict(),
            "memorisation": self.memorisation.to_dict(),
            "copies": [copy.to_dict() for copy in self.memorisation.copies],
        }
