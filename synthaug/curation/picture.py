"""What was kept and what was rejected, for the eye: a column a class, two rows a reason."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synthaug.grids import row_grid

KEPT = "kept"
_CLASSES, _ROWS = 12, 2
_BLANK = 255


class Gallery:
    """Collects a few candidates of each class and reason as they are judged.

    Args:
        names: Of the filters, in order.
        classes: Names of the classes of the candidates' labels.

    Example:
        >>> Gallery(("confidence",), ["boot", "sneaker"]).picture() is None
        True
    """

    def __init__(self, names: Sequence[str], classes: Sequence[str]) -> None:
        self._names, self._classes = (KEPT, *names), tuple(classes)
        self._found: dict[tuple[int, int], list[NDArray[np.uint8]]] = {}

    def add(self, images: NDArray[np.uint8], labels: NDArray[np.int64], reasons: NDArray[np.int64]) -> None:
        """Look at candidates (N, H, W, C) with their labels and what became of them, as `Judgement` says it."""
        for label in np.unique(labels)[:_CLASSES].tolist():
            for reason in np.unique(reasons[labels == label]).tolist():
                shown = self._found.setdefault((reason + 1, label), [])
                rows = np.flatnonzero((labels == label) & (reasons == reason))[: _ROWS - len(shown)]
                shown += [np.array(images[row]) for row in rows]

    def picture(self) -> Image.Image | None:
        """Draw them; `None` if there was nothing to look at."""
        labels = sorted({label for _, label in self._found})[:_CLASSES]
        tiles = [tile for shown in self._found.values() for tile in shown]
        if not tiles:
            return None
        blank = np.full_like(tiles[0], _BLANK)
        rows, captions = [], []
        for reason, name in enumerate(self._names):
            columns = [self._found.get((reason, label), []) for label in labels]
            for number in range(max((len(shown) for shown in columns), default=0)):
                rows.append(np.stack([shown[number] if number < len(shown) else blank for shown in columns]))
                captions.append(name if number == 0 else "")
        return row_grid(rows, captions, headings=[self._classes[label] for label in labels])
