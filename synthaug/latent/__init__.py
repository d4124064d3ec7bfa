"""What a structured latent space is good for, one folder a use.

Convention: a use is a function that takes a generator (or its folder) first and images in any form that
`synthaug.latent.inputs.read_images` reads, and returns arrays, or a small result that holds them: images as uint8
(N, H, W, C), codes as float32 (N, latent_size). `explore` shows most of them on a page in the browser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthaug.lazy import lazily

if TYPE_CHECKING:
    from synthaug.latent.anomalies.detector import AnomalyDetector as AnomalyDetector
    from synthaug.latent.compressing.compress import Compressed as Compressed
    from synthaug.latent.compressing.compress import compress as compress
    from synthaug.latent.editing.directions import Direction as Direction
    from synthaug.latent.editing.directions import attribute_direction as attribute_direction
    from synthaug.latent.editing.edit import apply as apply
    from synthaug.latent.editing.edit import edit as edit
    from synthaug.latent.editing.edit import swap_class as swap_class
    from synthaug.latent.editing.style import transfer_style as transfer_style
    from synthaug.latent.editing.swapped import swapped_bank as swapped_bank
    from synthaug.latent.exploring.page import explore as explore
    from synthaug.latent.imputing.impute import Imputation as Imputation
    from synthaug.latent.imputing.impute import impute as impute
    from synthaug.latent.interpolating.interpolate import interpolate as interpolate
    from synthaug.latent.interpolating.interpolate import interpolate_samples as interpolate_samples
    from synthaug.latent.interpolating.smoothness import perceptual_path_length as perceptual_path_length
    from synthaug.latent.restoring.restore import denoise as denoise
    from synthaug.latent.restoring.restore import upscale as upscale
    from synthaug.latent.searching.search import search as search
    from synthaug.latent.varying.bank import variation_bank as variation_bank
    from synthaug.latent.varying.vary import Variation as Variation
    from synthaug.latent.varying.vary import vary as vary

_HOMES = {
    "AnomalyDetector": "synthaug.latent.anomalies.detector",
    "apply": "synthaug.latent.editing.edit",
    "attribute_direction": "synthaug.latent.editing.directions",
    "compress": "synthaug.latent.compressing.compress",
    "Compressed": "synthaug.latent.compressing.compress",
    "denoise": "synthaug.latent.restoring.restore",
    "Direction": "synthaug.latent.editing.directions",
    "edit": "synthaug.latent.editing.edit",
    "explore": "synthaug.latent.exploring.page",
    "Imputation": "synthaug.latent.imputing.impute",
    "impute": "synthaug.latent.imputing.impute",
    "interpolate": "synthaug.latent.interpolating.interpolate",
    "interpolate_samples": "synthaug.latent.interpolating.interpolate",
    "perceptual_path_length": "synthaug.latent.interpolating.smoothness",
    "search": "synthaug.latent.searching.search",
    "swap_class": "synthaug.latent.editing.edit",
    "swapped_bank": "synthaug.latent.editing.swapped",
    "transfer_style": "synthaug.latent.editing.style",
    "upscale": "synthaug.latent.restoring.restore",
    "Variation": "synthaug.latent.varying.vary",
    "variation_bank": "synthaug.latent.varying.bank",
    "vary": "synthaug.latent.varying.vary",
}

__all__ = [*_HOMES]

__getattr__, __dir__ = lazily(globals(), _HOMES)
