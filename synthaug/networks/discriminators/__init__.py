"""Discriminators: one trained from scratch, and one that looks through a pretrained network."""

from __future__ import annotations

from synthaug.networks.discriminators.base import Discriminator
from synthaug.networks.discriminators.making import make_discriminator
from synthaug.networks.discriminators.projected import ProjectedDiscriminator
from synthaug.networks.discriminators.projection import ProjectionDiscriminator

__all__ = ["Discriminator", "ProjectedDiscriminator", "ProjectionDiscriminator", "make_discriminator"]
