"""Denoising and super-resolution with what a generator knows about its images.

An autoencoder that was trained for it (``corruption="noise"`` or ``"downsample"``) gives the clean image in one pass.
Diffusion in pixels is a denoiser of any noise, and upscaling needs no other one: it alternates between denoising and
what was observed (Venkatakrishnan et al. 2013, plug and play). Any other generator with an encoder projects the image
on what it can make: it looks for the code whose image, once damaged in the same way, is nearest to what was observed
and likely under the prior (Bora et al. 2017; Menon et al. 2020, "PULSE"). Either way the observation has the last word:
denoising mixes back what stands out from the noise, and upscaling ends with an image whose block means are the small
image.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from synthaug.errors import ConfigError, DataError
from synthaug.generators import CHUNK, Generator
from synthaug.latent.inputs import (
    ImagesLike,
    LabelsLike,
    as_generator,
    given_labels,
    read_images,
    read_labelled,
    require_encoder,
    resolve_labels,
)
from synthaug.pixels import from_uint8, to_uint8

_LEARNING_RATE = 0.05
_LEAST_ERROR = 1e-4  # of images in [-1, 1]: below it, fitting the observation better is no longer worth a likely code
_LOCAL = 1.5  # standard deviation, in pixels, of the window that judges where the projection lacks detail
_SMOOTH_ROUNDS, _BISECTIONS = 5, 16
_SIGMAS = np.geomspace(1, 0.05, 16)
"""Noise that a denoiser is told to take out while upscaling, with pixels from 0 to 1."""
_ENOUGH_BLOCKS = 16


def denoise(
    gen: Generator | str | Path,
    images: ImagesLike,
    labels: LabelsLike = None,
    sigma: float | None = None,
    *,
    steps: int = 0,
) -> NDArray[np.uint8]:
    """Take Gaussian noise out of images.

    The clean image is expected to be the generator's, plus what of the rest stands out from the noise around it: in
    each neighbourhood the residual counts with the weight 1 − σ² / its mean square (a local Wiener filter, Lee 1980).
    Little noise thus leaves the image nearly as it is, much noise leaves the generator's.

    Args:
        gen: A generator with an encoder, or its folder; best an autoencoder with ``corruption="noise"``, or diffusion.
        images: Noisy images, in any form that `synthaug.latent.inputs.read_images` reads.
        labels: Their classes; found by the generator if left out.
        sigma: Standard deviation of the noise, with pixels from 0 to 1; estimated for each image if left out.
        steps: Gradient steps of the projection, where the generator was neither trained for noise nor is diffusion in
            pixels; 0 takes the code that the encoder finds, which is quick and, since detail is mixed back, hardly
            worse.

    Returns:
        uint8 images (N, H, W, C).

    Raises:
        ConfigError: If the generator has no encoder or was trained for another damage, or ``sigma`` is out of range.

    Example:
        >>> clean = denoise(gen, noisy, "boot", sigma=0.1)  # doctest: +SKIP
    """
    gen = as_generator(gen)
    trained = _trained_for(gen, "noise")
    if sigma is not None and not 0 <= sigma <= 1:
        raise ConfigError(
            f"sigma: expected a standard deviation from 0 to 1 (pixels are from 0 to 1), but got {sigma}."
        )
    noisy, numbers = read_labelled(images, labels, gen)
    noise = estimate_noise(noisy) if sigma is None else np.full(len(noisy), sigma)
    if gen.has_denoiser:
        return _mix(gen.denoise_images(noisy, noise, numbers), noisy, noise)
    codes, _ = gen.encode_images(noisy, numbers)
    if not trained and steps:
        codes = fit_codes(gen, noisy, numbers, codes, lambda made: made, steps)
    return _mix(gen.decode_codes(codes, numbers), noisy, noise)


def upscale(
    gen: Generator | str | Path,
    images: ImagesLike,
    factor: int = 2,
    labels: LabelsLike = None,
    *,
    steps: int = 40,
) -> NDArray[np.uint8]:
    """Enlarge images to the generator's size, so that shrinking the result gives the input again.

    Args:
        gen: A generator with an encoder, or its folder; best diffusion, or an autoencoder with
            ``corruption="downsample"`` and this factor.
        images: Small images in any form that `synthaug.latent.inputs.read_images` reads, of sides H / factor and
            W / factor of the generator's (C, H, W).
        factor: 2 or 4.
        labels: Classes of the images; left out, a dataset's own, and of other images found by the generator.
        steps: Gradient steps of the projection, where the generator was neither trained for this nor is diffusion in
            pixels; 0 takes the code that the encoder finds for the bicubic enlargement.

    Returns:
        uint8 images (N, H, W, C). `shrink` turns them into the input again, but for rounding.

    Raises:
        ConfigError: If the generator has no encoder or was trained for another damage or factor, or the factor is
            not 2 or 4.
        DataError: If the images are not of that size.

    Example:
        >>> large = upscale(gen, small, factor=2, labels="boot")  # doctest: +SKIP
    """
    gen = as_generator(gen)
    trained = _trained_for(gen, "downsample", factor)
    labels = given_labels(labels, images, gen)
    images = read_images(images, reader_of_small(gen, factor), resize=False)
    bicubic = enlarge(images, factor)
    numbers = resolve_labels(labels, gen, bicubic)
    if gen.has_denoiser:
        return _denoised_in_turn(gen, bicubic, numbers, images, factor)
    codes, _ = gen.encode_images(bicubic, numbers)
    if not trained and steps:
        codes = fit_codes(gen, images, numbers, codes, lambda made: F.avg_pool2d(made, factor), steps)
    return _back_project(gen.decode_codes(codes, numbers), images, factor)


def fit_codes(
    gen: Generator,
    observed: NDArray[np.uint8],
    labels: NDArray[np.int64],
    start: NDArray[np.float32],
    observe: Callable[[Tensor], Tensor],
    steps: int,
) -> NDArray[np.float32]:
    """Find codes whose images, seen through ``observe``, are near what was observed, and that are likely.

    Minimises n/2 · log(mean squared error) + |z|²/2 for each image by gradient descent: a Gaussian likelihood of the
    variance that fits best, and the prior N(0, I), which is left out for autoencoders: their codes have none.

    Args:
        gen: A generator whose decoder is differentiable.
        observed: uint8 (N, h, w, C).
        labels: (N,).
        start: Codes to begin with, (N, latent_size).
        observe: What happened to the image before it was observed: from (B, C, H, W) to (B, C, h, w), in [-1, 1].
        steps: Gradient steps.

    Returns:
        Codes, float32 (N, latent_size).
    """
    results = [
        _fit_chunk(gen, observed[part], labels[part], start[part], observe, steps)
        for part in (slice(first, first + CHUNK) for first in range(0, len(start), CHUNK))
    ]
    return np.concatenate(results)


def _fit_chunk(
    gen: Generator,
    observed: NDArray[np.uint8],
    labels: NDArray[np.int64],
    start: NDArray[np.float32],
    observe: Callable[[Tensor], Tensor],
    steps: int,
) -> NDArray[np.float32]:
    device = gen.device
    target = from_uint8(torch.from_numpy(np.array(observed)).permute(0, 3, 1, 2).to(device))
    of = torch.from_numpy(np.array(labels)).to(device)
    z = torch.from_numpy(np.array(start)).to(device).requires_grad_()
    # Codes without a prior have a scale of their own.
    scale = 1.0 if gen.normal_codes else max(float(z.detach().std()), 1e-3)
    optimiser = torch.optim.Adam([z], lr=_LEARNING_RATE * scale)
    for _ in range(steps):
        with torch.enable_grad():
            error = (observe(gen.reconstruct(z, of).float()) - target).square().mean(dim=(1, 2, 3))
            loss = 0.5 * target[0].numel() * (error + _LEAST_ERROR).log()
            if gen.normal_codes:
                loss = loss + 0.5 * z.square().sum(1)
            (z.grad,) = torch.autograd.grad(loss.sum(), z)
        optimiser.step()
    codes: NDArray[np.float32] = z.detach().cpu().numpy()
    return codes


def estimate_noise(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Estimate the standard deviation of Gaussian noise in each image, with pixels from 0 to 1.

    The median of the diagonal differences of 2×2 blocks, which smooth parts and straight edges leave at 0 (Donoho &
    Johnstone 1994). Blocks that touch black or white are left out, for there the noise is cut off; where much of an
    image is black or white, what is left still makes strong noise look weaker than it is.

    Args:
        images: uint8 (N, H, W, C).

    Returns:
        (N,).

    Example:
        >>> noise = np.random.default_rng(0).normal(128, 25.5, (1, 64, 64, 1))
        >>> bool(abs(estimate_noise(noise.astype(np.uint8))[0] - 0.1) < 0.01)
        True
    """
    height, width = images.shape[1] // 2 * 2, images.shape[2] // 2 * 2
    even = images[:, :height, :width].astype(np.float64) / 255
    corners = np.stack([even[:, i::2, j::2] for i, j in ((0, 0), (0, 1), (1, 0), (1, 1))])
    diagonal = np.abs(corners[0] - corners[1] - corners[2] + corners[3]) / 2
    cut_off = (corners.min(axis=0) <= 0) | (corners.max(axis=0) >= 1)
    estimates = np.empty(len(images))
    for position in range(len(images)):
        inner = diagonal[position][~cut_off[position]]
        estimates[position] = np.median(inner if inner.size >= _ENOUGH_BLOCKS else diagonal[position]) / 0.6745
    return estimates


def shrink(images: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Return the means of blocks of ``factor`` × ``factor`` pixels: what a sensor of fewer, larger pixels would see.

    Args:
        images: uint8 (N, H, W, C), with sides that are multiples of ``factor``.
        factor: Side of a block.

    Returns:
        uint8 (N, H / factor, W / factor, C).

    Example:
        >>> shrink(np.full((1, 4, 4, 1), 7, np.uint8), 2).shape
        (1, 2, 2, 1)
    """
    return np.rint(_block_means(images.astype(np.float64), factor)).astype(np.uint8)


def reader_of_small(gen: Generator, factor: int) -> Generator:
    """Return a stand-in for the generator whose images are ``factor`` times smaller: for reading small images only.

    Raises:
        ConfigError: If the factor is not 2 or 4.
        DataError: If the generator's sides are no multiples of it.
    """
    channels, height, width = gen.image_shape
    _check_factor(factor, height, width)
    reader = copy.copy(gen)
    reader.image_shape = (channels, height // factor, width // factor)
    return reader


def enlarge(images: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Return images (N, H, W, C) bicubically enlarged to (N, factor · H, factor · W, C)."""
    pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
    larger = F.interpolate(from_uint8(pixels), scale_factor=factor, mode="bicubic", align_corners=False)
    array: NDArray[np.uint8] = to_uint8(larger).permute(0, 2, 3, 1).contiguous().numpy()
    return array


def _check_factor(factor: int, height: int, width: int) -> None:
    if factor not in (2, 4):
        raise ConfigError(f"factor: expected 2 or 4, but got {factor!r}.")
    if height % factor or width % factor:
        raise DataError(f"expected images whose sides are multiples of {factor}, but got {height}×{width}.")


def _trained_for(gen: Generator, corruption: str, factor: int | None = None) -> bool:
    """Whether the generator was trained to undo this damage; raises if it was trained to undo another."""
    require_encoder(gen, "restoring images")
    config: Any = gen.config
    own = getattr(config, "corruption", "none")
    if own == "none":
        return False
    strength = config.strength
    if own == corruption and factor in (None, strength):
        return True
    wanted = f"corruption={corruption!r}" + (f" and corruption_strength={factor}" if factor else "")
    raise ConfigError(
        f"expected a generator trained with {wanted}, or without corruption, but this one was trained to undo "
        f"{own!r} ({strength:g}): it takes other images for damaged ones. Train one with {wanted}."
    )


def _mix(projected: NDArray[np.uint8], images: NDArray[np.uint8], sigma: NDArray[np.float64]) -> NDArray[np.uint8]:
    residual = images.astype(np.float64) - projected
    power = gaussian_filter(residual**2, (0, _LOCAL, _LOCAL, 0))
    noise = np.square(255 * sigma)[:, None, None, None]
    weight = np.clip(1 - noise / np.maximum(power, 1e-9), 0, 1)
    mixed: NDArray[np.uint8] = np.rint(np.clip(projected + weight * residual, 0, 255)).astype(np.uint8)
    return mixed


def _denoised_in_turn(
    gen: Generator, start: NDArray[np.uint8], labels: NDArray[np.int64], small: NDArray[np.uint8], factor: int
) -> NDArray[np.uint8]:
    """Take ever less noise out, and correct block means to be the small images each time (Zhang et al. 2021, DPIR)."""
    made = _back_project(start, small, factor)
    for sigma in _SIGMAS:
        made = _back_project(gen.denoise_images(made, np.full(len(made), sigma), labels), small, factor)
    return made


def _back_project(large: NDArray[np.uint8], small: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Correct block means to be the small images: smoothly first (Irani & Peleg 1991), then exactly."""
    made, target = large.astype(np.float64), small.astype(np.float64)
    for _ in range(_SMOOTH_ROUNDS):
        error = torch.from_numpy(target - _block_means(made, factor)).permute(0, 3, 1, 2)
        correction = F.interpolate(error, scale_factor=factor, mode="bicubic", align_corners=False)
        made = np.clip(made + correction.permute(0, 2, 3, 1).numpy(), 0, 255)
    # The nearest image with those block means shifts each block, black and white cutting it off; the shift is bisected.
    low, high = np.full(target.shape, -255.0), np.full(target.shape, 255.0)
    for _ in range(_BISECTIONS):
        shift = (low + high) / 2
        too_dark = _block_means(np.clip(made + _repeat(shift, factor), 0, 255), factor) < target
        low, high = np.where(too_dark, shift, low), np.where(too_dark, high, shift)
    exact: NDArray[np.uint8] = np.rint(np.clip(made + _repeat(high, factor), 0, 255)).astype(np.uint8)
    return exact


def _repeat(images: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    return images.repeat(factor, axis=1).repeat(factor, axis=2)


def _block_means(images: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    number, height, width, channels = images.shape
    blocks = images.reshape(number, height // factor, factor, width // factor, factor, channels)
    means: NDArray[np.float64] = blocks.mean(axis=(2, 4))
    return means
