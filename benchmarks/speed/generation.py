"""Samples/s of a dataset written to Parquet and of the decoder's bare forward pass, in the same precision."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch

import synthaug
from benchmarks.speed.pairs import Pair, compare
from synthaug.generators import CHUNK, Generator


def compare_generation(generator: Generator, *, samples: int, rounds: int) -> Pair:
    """Time writing ``samples`` samples to Parquet and decoding as many latent codes, in turns."""
    per_class = max(1, samples // len(generator.classes))
    total = per_class * len(generator.classes)
    noise = torch.randn(CHUNK, generator.noise_size, generator=torch.Generator().manual_seed(0))
    labels = torch.from_numpy(np.resize(np.arange(len(generator.classes)), CHUNK))

    def to_parquet() -> int:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "samples"
            synthaug.generate(generator, per_class=per_class, out=out, format="parquet", progress=False)
        return total

    @torch.no_grad()
    def forward() -> int:
        done = 0
        with generator.autocast():
            while done < total:
                generator.decode(noise, labels)
                done += CHUNK
        return done

    note = (
        f"{total} samples of {generator.image_shape} from the family {generator.family}, {generator.precision}: names, "
        f"noise, decoding, PNG and Parquet on one side, decode() on batches of {CHUNK} on the other."
    )
    return compare(
        f"generation to Parquet, {generator.family}", to_parquet, forward, rounds=rounds, mark=0.8, note=note
    )
