"""Codes that the observed pixels of an image allow, sampled by randomised maximum likelihood.

Each chain has observed pixels with noise of its own and a centre of its own, drawn from the class's codes, and gradient
steps find the code that suits both (Oliver et al. 1996; Bardsley et al. 2014, "Randomize-then-optimize"). Were the
decoder linear, these codes would be exact posterior samples. Chains start from the codes of those of many samples that
resemble the observed pixels most, so nothing needs an encoder.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synthaug.errors import LabelError
from synthaug.generators import CHUNK, Generator
from synthaug.generators.noise import sample_noise
from synthaug.latent.class_codes import class_codes
from synthaug.latent.inputs import MOST_CLASSES_TO_INFER
from synthaug.pixels import from_uint8, to_uint8

_CANDIDATES = 256
"""Samples of a class among which the starts are chosen."""

_NEIGHBOURS = 4.0
"""Pixels that count as one observation: what the generator gets wrong, it gets wrong for neighbours alike."""

_LEARNING_RATE = 0.1
_FIRST_ERROR, _LEAST_ERROR = 0.04, 1e-3  # mean squares of images in [-1, 1]
_OTHER_NOISE = 1 << 32  # indices from here on: the noise is none of the candidates'


class _Rows(NamedTuple):
    """One chunk of chains: everything that an imputation is made from, a row for each.

    Attributes:
        observed: Images in [-1, 1], (B, C, H, W).
        weights: 1 where a pixel was observed, else 0; (B, 1, H, W).
        labels: (B,).
        mean: Mean code of its class, (B, latent_size).
        scale: Square root of the covariance, (B, latent_size, latent_size) or (B, latent_size).
        start: Code to start from, (B, latent_size).
        noise: Standard normals, (B, latent_size + pixels).
    """

    observed: Tensor
    weights: Tensor
    labels: Tensor
    mean: Tensor
    scale: Tensor
    start: Tensor
    noise: Tensor


def nearest_samples(
    gen: Generator,
    images: NDArray[np.uint8],
    missing: NDArray[np.bool_],
    labels: NDArray[np.int64] | None,
    number: int,
    seed: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return class and index of the samples that are nearest to each image's observed pixels, both (N, number)."""
    if labels is None and len(gen.classes) > MOST_CLASSES_TO_INFER:
        raise LabelError(
            f"expected the images' classes: leaving them out means trying samples of each of the {len(gen.classes)} "
            f"classes, which is done for up to {MOST_CLASSES_TO_INFER}. Pass labels (--label)."
        )
    classes = np.arange(len(gen.classes)) if labels is None else np.unique(labels)
    distances = np.full((len(images), len(classes), _CANDIDATES), np.inf, dtype=np.float32)
    seen = np.broadcast_to(~missing[..., None], images.shape).reshape(len(images), -1).astype(np.float32)
    targets = images.reshape(len(images), -1) * seen
    indices = np.arange(_CANDIDATES)
    for position, label in enumerate(classes.tolist()):
        rows = np.arange(len(images)) if labels is None else np.flatnonzero(labels == label)
        samples = gen.sample_named(np.full(_CANDIDATES, label), indices, seed).reshape(_CANDIDATES, -1)
        samples = samples.astype(np.float32)
        distances[rows, position] = seen[rows] @ np.square(samples).T - 2 * targets[rows] @ samples.T
    order = np.argsort(distances.reshape(len(images), -1), axis=1, kind="stable")
    usable = _CANDIDATES * (len(classes) if labels is None else 1)
    best = order[:, np.arange(number) % usable]  # more completions than candidates: the best start several
    return classes[best // _CANDIDATES], best % _CANDIDATES


def complete(
    gen: Generator,
    images: NDArray[np.uint8],
    missing: NDArray[np.bool_],
    labels: NDArray[np.int64],
    indices: NDArray[np.int64],
    seed: int,
    steps: int,
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return the generator's images (N, number, H, W, C) and their mean squared errors at observed pixels."""
    made, errors = [], []
    for count, rows in _chunks(gen, images, missing, labels, indices, seed):
        image, error = _descend(gen, rows, steps)
        made.append(to_uint8(image[:count]).cpu())
        errors.append(error[:count].double().mul(127.5**2).cpu())
    shape = (*labels.shape, *images.shape[1:])
    stacked: NDArray[np.uint8] = torch.cat(made).permute(0, 2, 3, 1).numpy().reshape(shape)
    return stacked, torch.cat(errors).numpy().reshape(labels.shape)


def _chunks(
    gen: Generator,
    images: NDArray[np.uint8],
    missing: NDArray[np.bool_],
    labels: NDArray[np.int64],
    indices: NDArray[np.int64],
    seed: int,
) -> Iterator[tuple[int, _Rows]]:
    """Yield chains in chunks of one size, padded by repeating the last, with the number of real ones."""
    gaussians = {label: class_codes(gen, label) for label in np.unique(labels).tolist()}
    image, chain = (part.ravel() for part in np.indices(labels.shape))
    flat, size = labels.ravel(), gen.latent_size + images[0].size
    for first in range(0, len(flat), CHUNK):
        count = min(CHUNK, len(flat) - first)
        chosen = np.minimum(np.arange(first, first + CHUNK), len(flat) - 1)
        of = image[chosen]
        own = [gaussians[label] for label in flat[chosen].tolist()]
        arrays = (
            np.ascontiguousarray(images[of].transpose(0, 3, 1, 2)),
            ~missing[of][:, None],
            flat[chosen],
            np.stack([gaussian.mean for gaussian in own]),
            np.stack([gaussian.scale for gaussian in own]),
            gen.draw_codes(flat[chosen], indices.ravel()[chosen], seed),
            sample_noise(seed, of, chain[chosen] + _OTHER_NOISE, size),
        )
        observed, weights, *others = (torch.from_numpy(array).to(gen.device) for array in arrays)
        yield count, _Rows(from_uint8(observed), weights.float(), *others)


def _descend(gen: Generator, rows: _Rows, steps: int) -> tuple[Tensor, Tensor]:
    """Return images in [-1, 1] (B, C, H, W) and their mean squared errors at observed pixels (B,)."""
    centre, pixel_noise = rows.noise[:, : gen.latent_size], rows.noise[:, gen.latent_size :].view_as(rows.observed)
    seen = (rows.weights.flatten(1).sum(1) * rows.observed.shape[1]).clamp(min=1)

    def image_of(u: Tensor) -> Tensor:
        with gen.autocast():
            return gen.reconstruct(_colour(u, rows), rows.labels).float()

    def error_of(image: Tensor) -> Tensor:
        return ((image - rows.observed) * rows.weights).square().flatten(1).sum(1) / seen

    # In these coordinates the codes of a class are N(0, I), whatever the family.
    u = _whiten(rows.start, rows).requires_grad_()
    optimiser = torch.optim.Adam([u], betas=(0.9, 0.95))
    error = torch.full_like(seen, _FIRST_ERROR)
    for step in range(steps):
        with torch.enable_grad():
            image = image_of(u)
            # The pixels' noise is as large as the error that remains, which is only known on the way.
            error = (0.9 * error + 0.1 * error_of(image).detach()).clamp(min=_LEAST_ERROR)
            variance = _NEIGHBOURS * error
            residual = (image - rows.observed - variance.sqrt().view(-1, 1, 1, 1) * pixel_noise) * rows.weights
            loss = residual.square().flatten(1).sum(1) / (2 * variance) + 0.5 * (u - centre).square().sum(1)
            (u.grad,) = torch.autograd.grad(loss.sum(), u)
        optimiser.param_groups[0]["lr"] = _LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimiser.step()
    with torch.no_grad():
        image = image_of(u)
        return image, error_of(image)


def _colour(u: Tensor, rows: _Rows) -> Tensor:
    offset = rows.scale * u if rows.scale.ndim == 2 else torch.einsum("bij,bj->bi", rows.scale, u)
    return rows.mean + offset


def _whiten(z: Tensor, rows: _Rows) -> Tensor:
    offset = z - rows.mean
    if rows.scale.ndim == 2:
        return offset / rows.scale
    solved: Tensor = torch.linalg.solve_triangular(rows.scale, offset[..., None], upper=False)
    return solved[..., 0]
