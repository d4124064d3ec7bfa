"""How close samples are to real images, beside what new real images would reach."""

from __future__ import annotations

import dataclasses
from typing import Any

from synthaug.evaluation.quality import Fidelity


@dataclasses.dataclass(frozen=True)
class Closeness:
    """What was measured.

    Attributes:
        fidelity: Samples against held-out images, or, without any, against training images; overall and by class.
        sharpness: Of samples over that of real images.
        reference: Training images against held-out images: what a perfect generator would reach. `None` where nothing
            is held out, or there are too few training images.
        beside: Samples against the same held-out images, as many as there are training images: what may be compared
            with ``reference``.
    """

    fidelity: Fidelity
    sharpness: float
    reference: Fidelity | None = None
    beside: Fidelity | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {
            "fidelity": self.fidelity.to_dict(),
            "fidelity_of_real_images": None if self.reference is None else self.reference.to_dict(),
            "fidelity_beside_real_images": None if self.beside is None else self.beside.to_dict(),
            "sharpness": self.sharpness,
        }
