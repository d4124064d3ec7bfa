"""What OpenCV makes of noisy images, for comparison: non-local means, tuned as well as it can be."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from synthaug.latent.quality import psnr


class NonLocalMeans(NamedTuple):
    """Settings of OpenCV's ``fastNlMeansDenoising``.

    Attributes:
        h: Strength of the filter.
        template: Side of the patches that are compared, in pixels.
        search: Side of the window in which like patches are looked for.
    """

    h: float
    template: int
    search: int

    def denoise(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Denoise uint8 images (N, H, W, C) with 1 or 3 channels."""
        filtered = np.empty_like(images)
        for position, image in enumerate(images):
            if image.shape[-1] == 1:
                made = cv2.fastNlMeansDenoising(image, None, self.h, self.template, self.search)
            else:
                made = cv2.fastNlMeansDenoisingColored(image, None, self.h, self.h, self.template, self.search)
            filtered[position] = made.reshape(image.shape)
        return filtered


def tune_non_local_means(noisy: NDArray[np.uint8], originals: NDArray[np.uint8], sigma: float) -> NonLocalMeans:
    """Return the settings with the highest mean PSNR on images whose originals are known.

    Args:
        noisy: uint8 (N, H, W, C).
        originals: The same without noise.
        sigma: Standard deviation of the noise, with pixels from 0 to 1; strengths of 0.2 to 1.8 times it are tried.
    """
    strengths = [255 * sigma * share for share in (0.2, 0.35, 0.5, 0.65, 0.8, 1.0, 1.2, 1.5, 1.8)]
    tried = [NonLocalMeans(h, template, search) for h in strengths for template in (3, 5, 7) for search in (11, 21)]
    return max(tried, key=lambda settings: float(psnr(settings.denoise(noisy), originals).mean()))
