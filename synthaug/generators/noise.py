"""The noise of a sample is a pure function of its name.

A sample is named by (generator digest, seed, class, index). Its noise comes from Philox, a counter-based generator
(Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), keyed by seed and class, with the index in the
upper half of the counter: any sample can be drawn alone, in any order, on any machine.
"""

from __future__ import annotations

import operator

import numpy as np
from numpy.typing import NDArray

_MASK = (1 << 64) - 1


def sample_noise(
    seed: int, labels: NDArray[np.integer], indices: NDArray[np.integer], size: int
) -> NDArray[np.float32]:
    """Draw the standard-normal noise of the samples (seed, label, index).

    Args:
        seed: Any integer; taken modulo 2**64.
        labels: Class of each sample, shape (N,).
        indices: Index of each sample within its class and seed, shape (N,), not negative.
        size: Number of normals a sample needs.

    Returns:
        Noise of shape (N, size), float32.

    Example:
        >>> import numpy as np
        >>> both = sample_noise(0, np.array([3, 3]), np.array([7, 8]), size=4)
        >>> bool((both[1] == sample_noise(0, np.array([3]), np.array([8]), size=4)[0]).all())
        True
    """
    noise = np.empty((len(labels), size), dtype=np.float32)
    bits = np.random.Philox(key=0)
    normals = np.random.Generator(bits)
    state = bits.state
    number = operator.index(seed) & _MASK
    for row, (label, index) in enumerate(zip(labels.tolist(), indices.tolist(), strict=True)):
        state["state"]["key"][:] = (number, label)
        state["state"]["counter"][:] = (0, 0, index, 0)
        state["buffer_pos"] = 4  # an empty buffer: nothing is left over from the sample before
        state["has_uint32"] = 0
        bits.state = state
        normals.standard_normal(size, dtype=np.float32, out=noise[row])
    return noise
