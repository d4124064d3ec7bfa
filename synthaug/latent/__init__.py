"""What a structured latent space is good for, one file a use.

Convention: a use is a function that takes a generator (or its folder) first and images in any form that
`synthaug.latent.inputs.read_images` reads, and returns arrays, or a small result that holds them: images as uint8
(N, H, W, C), codes as float32 (N, latent_size).
"""

from __future__ import annotations
