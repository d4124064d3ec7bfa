"""Decodes blocks of samples ahead of their writer, several at a time on the processor.

Samples are independent, so on the processor each thread decodes a block of its own with one-threaded kernels. That
costs less than kernels that share out a small batch among threads, which wait for each other at every layer (by
spinning: on two cores with other work on them they were ten times slower). The kernels' results do not depend on it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from synthaug.sampling.job import Block, Job, Shard, multiple_of_chunk
from synthaug.threads import map_ahead

if TYPE_CHECKING:
    from synthaug.generators import Generator as ImageGenerator

_BLOCK_BYTES = 4 << 20
_MOST_PER_BLOCK = 256
_MOST_THREADS = 16


def cut(job: Job, shards: list[Shard]) -> Iterator[tuple[Shard, slice]]:
    """Cut shards into blocks of a few megabytes: yield the shard and the rows of each, in order."""
    size = multiple_of_chunk(_BLOCK_BYTES // int(np.prod(job.image_shape)), _MOST_PER_BLOCK)
    for shard in shards:
        for start in range(shard.start, shard.stop, size):
            yield shard, slice(start, min(start + size, shard.stop))


@contextlib.contextmanager
def decoded_blocks(
    generator: ImageGenerator, job: Job, shards: list[Shard], make: Callable[[slice], NDArray[np.uint8]] | None = None
) -> Iterator[Iterator[Block]]:
    """Yield an iterator over the decoded samples of some shards, in order, a few megabytes at a time.

    Args:
        generator: What decodes them.
        job: What is made.
        shards: Those of the job's shards that are still to be made.
        make: Makes the images (N, H, W, C) of some rows of the plan, called in several threads; left out, they are the
            samples that the plan names.
    """

    def named(rows: slice) -> NDArray[np.uint8]:
        return generator.sample_named(job.plan.labels[rows], job.plan.indices[rows], job.seed)

    def decode(place: tuple[Shard, slice]) -> Block:
        shard, rows = place
        return Block(shard, rows.start, (make or named)(rows))

    on_processor = generator.device.type == "cpu"
    kernel_threads, was_training = torch.get_num_threads(), generator.training
    generator.eval()  # once, rather than by each thread around each chunk
    blocks = map_ahead(
        decode,
        cut(job, shards),
        threads=min(kernel_threads, _MOST_THREADS) if on_processor else 1,
        initializer=(lambda: torch.set_num_threads(1)) if on_processor else None,
    )
    try:
        with contextlib.closing(blocks):
            yield blocks
    finally:
        torch.set_num_threads(kernel_threads)
        generator.train(was_training)
