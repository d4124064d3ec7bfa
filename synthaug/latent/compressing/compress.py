"""Images as quantised codes: a generator with an encoder is a codec that was made for one kind of image.

The step of the quantisation is chosen for each dimension of the code from how much the decoded image depends on it, so
that rounding costs every dimension the same error in pixels. That is where rate is best spent (reverse water-filling,
Cover & Thomas 2006, 10.3), and a dimension that no image depends on costs nothing. The integers are entropy-coded,
dimension after dimension.
"""

from __future__ import annotations

import dataclasses
import json
import lzma
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synthaug.errors import ConfigError, DataError, FormatError
from synthaug.generators import Generator
from synthaug.labels import check_labels
from synthaug.latent.inputs import as_generator
from synthaug.storage import new_file, refuse_existing

FORMAT_VERSION = 1
_MAGIC = b"SYNZ"
_PREFIX = struct.Struct("<4sHII")  # magic, format version, length of the header, checksum of all that follows
_LZMA = [{"id": lzma.FILTER_LZMA1, "preset": 9, "lc": 0, "lp": 0, "pb": 0}]
_PROBES, _PROBED = 8, 64
_MOST_VALUES = 1 << 31


@dataclasses.dataclass(frozen=True)
class Compressed:
    """Quantised codes of a set of images, and the generator that restores them.

    Attributes:
        generator: What encoded the images, and decodes them.
        labels: Their labels, (N,).
        integers: Quantised codes, uint16 (N, latent_size), from 0 to 2^bits − 1.
        low: What integer 0 stands for in each dimension, float32 (latent_size,).
        step: What one integer more stands for, float32 (latent_size,).
        bits: Bits of the dimension that the images depend on most.
    """

    generator: Generator
    labels: NDArray[np.int64]
    integers: NDArray[np.uint16]
    low: NDArray[np.float32]
    step: NDArray[np.float32]
    bits: int

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def codes(self) -> NDArray[np.float32]:
        """The codes after quantisation, float32 (N, latent_size)."""
        return self.low + self.integers.astype(np.float32) * self.step

    def restore(self) -> NDArray[np.uint8]:
        """Decode the images, uint8 (N, H, W, C)."""
        return self.generator.decode_codes(self.codes, self.labels)

    @property
    def bits_per_pixel(self) -> float:
        """Size of the file, header included, for each pixel of the images. The generator's own size is not in it."""
        _, height, width = self.generator.image_shape
        return 8 * len(self.to_bytes()) / (len(self) * height * width)

    def to_bytes(self) -> bytes:
        """Return what `save` writes: a JSON header, and the entropy-coded arrays."""
        levels = self.integers.max(axis=0).astype("<u2") if len(self) else np.zeros(len(self.low), "<u2")
        varied = self.integers[:, levels > 0].T  # one dimension after the other: each has its own distribution
        arrays = {
            "labels": self.labels.astype("<u2" if len(self.generator.classes) > 256 else "u1"),
            "scale": np.concatenate([self.low, self.step]).astype("<f4"),
            "levels": levels,
            "low_bytes": (varied & 255).astype(np.uint8),
            "high_bytes": (varied >> 8).astype(np.uint8),
        }
        coded = {name: _entropy_code(np.ascontiguousarray(array).tobytes()) for name, array in arrays.items()}
        header = {
            "generator": self.generator.digest,
            "images": len(self),
            "bits": self.bits,
            "blocks": [[name, coder, len(block)] for name, (coder, block) in coded.items()],
        }
        text = json.dumps(header, separators=(",", ":")).encode()
        rest = text + b"".join(block for _, block in coded.values())
        return _PREFIX.pack(_MAGIC, FORMAT_VERSION, len(text), zlib.crc32(rest)) + rest

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write one file, whole or not at all.

        Raises:
            OutputExistsError: If it is already there and ``overwrite`` is false.
        """
        target = Path(path).expanduser()
        refuse_existing(target, overwrite, "compressed images")
        with new_file(target) as temporary:
            temporary.write_bytes(self.to_bytes())
        return target

    @classmethod
    def load(cls, path: str | Path, generator: Generator) -> Compressed:
        """Read a file that `save` wrote; runs no code that is in it.

        Args:
            path: The file.
            generator: The very generator that encoded the images.

        Raises:
            ConfigError: If another generator encoded them.
            FormatError: If the file is missing, damaged or something else.
        """
        try:
            data = Path(path).expanduser().read_bytes()
        except OSError as error:
            raise FormatError(f"cannot read the compressed images {path}: {error.strerror}.") from error
        try:
            return _parse(data, generator)
        except (ValueError, KeyError, TypeError, struct.error, zlib.error, lzma.LZMAError) as error:
            if isinstance(error, ConfigError):
                raise
            raise FormatError(f"{path} holds no images compressed by synthaug, or is damaged: {error}") from error


def compress(
    generator: Generator | str | Path, images: NDArray[np.uint8], labels: NDArray[np.integer], bits: int = 8
) -> Compressed:
    """Encode images and quantise their codes.

    Args:
        generator: One with an encoder (autoencoder, vae or vaegan), or its folder.
        images: uint8 (N, H, W, C) of the generator's image shape.
        labels: Their labels, (N,).
        bits: The dimension that images depend on most gets 2^bits levels over the range of its codes; the others
            get the levels that cost the same error in pixels. From 1 to 16.

    Raises:
        ConfigError: If the generator has no encoder, or ``bits`` is out of range.
        DataError: If there are no images, or they are not of the generator's shape.

    Example:
        >>> small = compress(gen, data.images, data.labels, bits=6)  # doctest: +SKIP
        >>> small.save("images.synz")  # doctest: +SKIP
        >>> Compressed.load("images.synz", gen).restore().shape  # doctest: +SKIP
        (1000, 28, 28, 1)
    """
    if isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= 16:
        raise ConfigError(f"bits: expected a whole number from 1 to 16, but got {bits!r}.")
    if len(images) == 0:
        raise DataError("expected at least one image to compress, but got none.")
    generator = as_generator(generator)
    labels = check_labels(labels, generator.classes)
    codes, _ = generator.encode_images(images, labels)
    low, high = codes.min(axis=0), codes.max(axis=0)
    sensitivity = code_sensitivity(generator, codes[:_PROBED], labels[:_PROBED])
    # Rounding to multiples of s costs a dimension an error of (s · sensitivity)² / 12 in pixels: the same for all.
    error = float(((high - low) * sensitivity).max()) / 2**bits
    widest = np.maximum(high - low, np.finfo(np.float32).tiny)
    step = np.clip(error / np.maximum(sensitivity, 1e-12), widest / 2**bits, widest)
    # Levels lie symmetrically in the range and reach half a step beyond the outermost: one level lies in the middle.
    last = np.maximum(np.ceil((high - low) / step - 1 - 1e-6), 0)  # where all codes are the same there is one level
    low = (low + high) / 2 - last / 2 * step
    integers = np.clip(np.rint((codes - low) / step), 0, last).astype(np.uint16)
    return Compressed(generator, labels, integers, low.astype(np.float32), step.astype(np.float32), bits)


def code_sensitivity(
    generator: Generator, codes: NDArray[np.float32], labels: NDArray[np.int64], seed: int = 0
) -> NDArray[np.float64]:
    """Return how far an image moves with each dimension of its code: root of the summed squares of ∂pixel/∂code.

    The Jacobian itself would take a pass for each dimension. With random signs v, E[(Jᵀv)²] is the sum of squares of
    J's columns (Hutchinson 1989), so a few backward passes do for codes of any length.

    Args:
        generator: Decodes the codes.
        codes: (N, latent_size), a few.
        labels: Their labels, (N,).
        seed: Of the random signs.

    Returns:
        (latent_size,), averaged over the codes as a root mean square.
    """
    signs = np.random.Generator(np.random.Philox(key=seed))
    z = torch.from_numpy(np.array(codes)).to(generator.device).requires_grad_()
    total = torch.zeros_like(z[0], dtype=torch.float64)
    with torch.enable_grad():
        images = generator.reconstruct(z, torch.from_numpy(labels).to(generator.device)).float()
        for probe in range(_PROBES):
            sign = torch.from_numpy(signs.integers(0, 2, tuple(images.shape)).astype(np.float32) * 2 - 1)
            (gradient,) = torch.autograd.grad(images, z, sign.to(images.device), retain_graph=probe < _PROBES - 1)
            total += gradient.double().square().mean(0)
    sensitivity: NDArray[np.float64] = (total / _PROBES).sqrt().cpu().numpy()
    return sensitivity


def _entropy_code(data: bytes) -> tuple[str, bytes]:
    """Return the smaller of what the standard library's coders make, and its name.

    LZMA's range coder, without the context of neighbours, comes near the entropy of a long sequence; deflate's tables
    cost less in a short one.
    """
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
    made = {
        "deflate": deflate.compress(data) + deflate.flush(),
        "lzma": lzma.compress(data, lzma.FORMAT_RAW, filters=_LZMA),
        "stored": data,
    }
    name = min(made, key=lambda coder: len(made[coder]))
    return name, made[name]


def _entropy_decode(coder: str, data: bytes, size: int) -> bytes:
    """Undo `_entropy_code`; never more than the ``size`` bytes expected, whatever the data say."""
    if coder == "deflate":
        result = zlib.decompressobj(-15).decompress(data, size + 1)
    elif coder == "lzma":
        result = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_LZMA).decompress(data, size + 1)
    elif coder == "stored":
        result = data
    else:
        raise FormatError(f"unknown coder {coder!r}.")
    if len(result) != size:
        raise FormatError(f"expected a block of {size} bytes, but got {len(result)}.")
    return result


def _parse(data: bytes, generator: Generator) -> Compressed:
    magic, version, length, checksum = _PREFIX.unpack_from(data)
    rest = data[_PREFIX.size :]
    if magic != _MAGIC:
        raise FormatError("it does not begin as such a file does.")
    if version != FORMAT_VERSION:
        raise FormatError(f"expected format version {FORMAT_VERSION}, but it has version {version}.")
    if zlib.crc32(rest) != checksum:
        raise FormatError("its checksum is wrong.")
    header: Mapping[str, Any] = json.loads(rest[:length])
    if header["generator"] != generator.digest:
        raise ConfigError(
            f"expected the generator that compressed the images, {header['generator'][:12]}…, but got "
            f"{generator.digest[:12]}…. Other weights or settings decode other images."
        )
    number, bits = int(header["images"]), int(header["bits"])
    size = generator.latent_size
    if not 0 < number * size <= _MOST_VALUES:
        raise FormatError(f"it claims {number} images.")
    blocks: dict[str, tuple[str, bytes]] = {}
    start = length
    for name, coder, length_of_block in header["blocks"]:
        blocks[name] = (coder, rest[start : start + length_of_block])
        start += length_of_block
    wide = "<u2" if len(generator.classes) > 256 else "u1"
    labels = np.frombuffer(_entropy_decode(*blocks["labels"], number * np.dtype(wide).itemsize), wide)
    low, step = np.frombuffer(_entropy_decode(*blocks["scale"], 8 * size), "<f4").reshape(2, size)
    levels = np.frombuffer(_entropy_decode(*blocks["levels"], 2 * size), "<u2")
    varied = np.flatnonzero(levels)
    low_bytes, high_bytes = (
        np.frombuffer(_entropy_decode(*blocks[name], len(varied) * number), np.uint8).reshape(len(varied), number)
        for name in ("low_bytes", "high_bytes")
    )
    integers = np.zeros((number, size), np.uint16)
    integers[:, varied] = (low_bytes + (high_bytes.astype(np.uint16) << 8)).T
    return Compressed(generator, check_labels(labels, generator.classes), integers, low, step, bits)
