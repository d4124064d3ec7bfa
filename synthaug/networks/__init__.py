"""Blocks that the generator families share.

Convention: networks take images as float tensors (B, C, H, W) in [-1, 1], labels as int64 (B,) and conditions as
float vectors (B, size). Any image from 8×8 to 128×128 pixels fits, square or not.
"""

from synthaug.networks.blocks import ClassEmbedding, ResidualBlock, pyramid, widths
from synthaug.networks.decoders import Decoder
from synthaug.networks.diffaugment import diff_augment
from synthaug.networks.discriminators import (
    Discriminator,
    ProjectedDiscriminator,
    ProjectionDiscriminator,
    make_discriminator,
)
from synthaug.networks.encoders import SmallResNet, TimmEncoder, make_encoder
from synthaug.networks.perceptual import PerceptualDistance
from synthaug.networks.pretrained import PretrainedNetwork, load_pretrained

__all__ = [
    "ClassEmbedding",
    "Decoder",
    "Discriminator",
    "PerceptualDistance",
    "PretrainedNetwork",
    "ProjectedDiscriminator",
    "ProjectionDiscriminator",
    "ResidualBlock",
    "SmallResNet",
    "TimmEncoder",
    "diff_augment",
    "load_pretrained",
    "make_discriminator",
    "make_encoder",
    "pyramid",
    "widths",
]
