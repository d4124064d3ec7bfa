"""A page in the browser on which to look around in a generator's latent space."""

from __future__ import annotations

from synthaug.latent.exploring.page import explore

__all__ = ["explore"]
