"""What an anomaly detector found in a dataset: a table of scores, figures, and heat maps of the extremes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synthaug.data import ImageDataset
from synthaug.errors import ConfigError
from synthaug.grids import row_grid
from synthaug.latent.anomalies.detector import AnomalyDetector
from synthaug.storage import new_file

_HOTTEST = 10.0
"""Times the usual error at which heat maps are brightest."""


@dataclasses.dataclass(frozen=True)
class AnomalyReport:
    """Scores of a dataset.

    Attributes:
        detector: Fitted.
        data: What was scored.
        scores: Of each image, (N,): higher is more normal.
        normal: Names of the classes known to be normal; empty if nothing is known.
    """

    detector: AnomalyDetector
    data: ImageDataset
    scores: NDArray[np.float64]
    normal: tuple[str, ...] = ()

    @classmethod
    def make(cls, detector: AnomalyDetector, data: ImageDataset, normal: Sequence[str] = ()) -> AnomalyReport:
        """Score a dataset."""
        return cls(detector, data, detector.score_samples(data), tuple(normal))

    @property
    def anomalies(self) -> NDArray[np.bool_]:
        """Which images lie below the threshold, (N,)."""
        return np.asarray(self.scores < self.detector.offset_)

    def to_dict(self) -> dict[str, Any]:
        """Return threshold and counts as JSON-able values; with known normal classes also what was right."""
        figures: dict[str, Any] = {
            "threshold": self.detector.offset_,
            "false_positive_rate": self.detector.false_positive_rate,
            "held_out_images": len(self.detector.held_out_scores_),
            "images": len(self.scores),
            "anomalies": int(self.anomalies.sum()),
        }
        known = np.isin(np.array(self.data.classes)[self.data.labels], self.normal)
        if self.normal and 0 < known.sum() < len(known):
            from sklearn.metrics import roc_auc_score

            figures |= {
                "normal_classes": list(self.normal),
                "auroc": float(roc_auc_score(known, self.scores)),
                "false_positive_rate_measured": float(self.anomalies[known].mean()),
                "anomalies_found": float(self.anomalies[~known].mean()),
            }
        return figures

    def save_table(self, path: Path) -> None:
        """Write index, class, score and verdict of each image, as CSV or Parquet by the file's ending.

        Raises:
            ConfigError: If the ending is neither.
        """
        import pyarrow as pa
        import pyarrow.csv
        import pyarrow.parquet

        table = pa.table(
            {
                "index": np.arange(len(self.scores)),
                "class": [self.data.classes[label] for label in self.data.labels],
                "score": self.scores,
                "anomaly": self.anomalies,
            }
        )
        writers = {".csv": pa.csv.write_csv, ".parquet": pa.parquet.write_table}
        if path.suffix not in writers:
            raise ConfigError(f"expected a file that ends in .csv or .parquet, but got {path.name!r}.")
        with new_file(path) as temporary:
            writers[path.suffix](table, str(temporary))

    def picture(self, most: int = 12) -> Image.Image:
        """Draw the least and the most normal images, each row above its heat maps (brightest at 10 times the usual)."""
        order = np.argsort(self.scores, kind="stable")
        rows, captions = [], []
        for caption, chosen in (("least normal", order[:most]), ("most normal", order[::-1][:most])):
            images = self.data.take(chosen)
            rows += [images, heat(self.detector.anomaly_map(images))]
            captions += [caption, ""]
        return row_grid(rows, captions)


def heat(maps: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Colour heat maps (N, H, W) of `AnomalyDetector.anomaly_map` as uint8 images (N, H, W, 3)."""
    from matplotlib import colormaps

    coloured = colormaps["inferno"](np.clip(maps / _HOTTEST, 0, 1), bytes=True)
    images: NDArray[np.uint8] = np.asarray(coloured)[..., :3]
    return images
