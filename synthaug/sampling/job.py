"""One run of `generate`: what is made, of what, and how it is cut into shards and blocks."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from synthaug.errors import ConfigError
from synthaug.generators.base import CHUNK
from synthaug.sampling.plan import Plan
from synthaug.storage import canonical_json, digest

if TYPE_CHECKING:
    import pyarrow as pa

    from synthaug.generators import Generator

MANIFEST_VERSION = 1
_SHARD_BYTES = 64 << 20
_MOST_PER_SHARD = 16384


@dataclasses.dataclass(frozen=True)
class Shard:
    """A contiguous part of the plan, written and resumed as a whole.

    Attributes:
        number: Its number, from 0.
        start: Position of its first sample in the plan.
        stop: Position after its last sample.
    """

    number: int
    start: int
    stop: int

    @property
    def rows(self) -> slice:
        """Its positions in the plan."""
        return slice(self.start, self.stop)

    def __len__(self) -> int:
        return self.stop - self.start


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """Decoded samples on their way to a writer.

    Attributes:
        shard: Where they belong.
        start: Position of the first one in the plan.
        images: uint8, (B, H, W, C).
    """

    shard: Shard
    start: int
    images: NDArray[np.uint8]

    @property
    def rows(self) -> slice:
        """Their positions in the plan."""
        return slice(self.start, self.start + len(self.images))


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """What a writer knows of the run.

    Attributes:
        plan: The samples, in order.
        classes: Names of the classes.
        image_shape: (C, H, W).
        seed: The seed in the samples' names.
        generator: Digest of the generator.
        family: Family of the generator.
        device: Kind of device; on another kind the same names give other bytes.
        format: Name of the output format.
        shard_size: Samples a shard.
        part: (K, N) when the plan is the K-th of N parts of a larger one.
    """

    plan: Plan
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    seed: int
    generator: str
    family: str
    device: str
    format: str
    shard_size: int
    part: tuple[int, int] | None = None

    @classmethod
    def by(
        cls, gen: Generator, plan: Plan, *, seed: int, format: str, shard_size: int | None = None, **more: Any
    ) -> Self:
        """Return the job of a generator.

        Args:
            gen: Makes the samples.
            plan: The samples, in order.
            seed: The seed in the samples' names.
            format: Name of the output format.
            shard_size: Samples a shard; see `choose_shard_size`.
            **more: Further fields.

        Raises:
            ConfigError: If the shard size is no positive multiple of the decoded chunk.
        """
        return cls(
            plan=plan,
            classes=gen.classes,
            image_shape=gen.image_shape,
            seed=seed,
            generator=gen.digest,
            family=gen.family,
            device=gen.device.type,
            format=format,
            shard_size=choose_shard_size(gen.image_shape, shard_size),
            **more,
        )

    def shards(self) -> list[Shard]:
        """Cut the plan into shards of `shard_size`; the last may be shorter."""
        total = len(self.plan)
        starts = range(0, total, self.shard_size)
        return [Shard(i, start, min(start + self.shard_size, total)) for i, start in enumerate(starts)]

    @property
    def stem(self) -> str:
        """How the names of sharded files begin; differs by part, so that the parts fit into one folder."""
        return f"data-part{self.part[0]}of{self.part[1]}" if self.part else "data"

    def provenance(self) -> dict[str, Any]:
        """What made the samples, JSON-able."""
        return {
            "generator": self.generator,
            "family": self.family,
            "seed": self.seed,
            "device": self.device,
            "part": list(self.part) if self.part else None,
        }

    def manifest(self) -> dict[str, Any]:
        """Everything that decides the bytes of the output; two runs with equal manifests make equal outputs."""
        return {
            "manifest_version": MANIFEST_VERSION,
            "format": self.format,
            **self.provenance(),
            "classes": list(self.classes),
            "image_shape": list(self.image_shape),
            "count": len(self.plan),
            "plan": self.plan.digest,
            "shard_size": self.shard_size,
        }

    def content_digest(self) -> str:
        """SHA-256 (hex) naming the samples, whatever the format and the cut into shards."""
        manifest = self.manifest()
        return digest(canonical_json({k: v for k, v in manifest.items() if k not in ("format", "shard_size")}))

    def rejected(self) -> pa.Table | None:
        """Return the candidates that curation rejected; `None` where nothing was judged."""
        return None

    def table(self, rows: slice = slice(None)) -> pa.Table:
        """Return the provenance of some samples: label, class_name, seed, index, generator, family."""
        import pyarrow as pa

        labels = self.plan.labels[rows]

        def constant(value: str) -> pa.DictionaryArray:
            return pa.DictionaryArray.from_arrays(np.zeros(len(labels), dtype=np.int32), pa.array([value]))

        return pa.table(
            {
                "label": labels,
                "class_name": pa.DictionaryArray.from_arrays(
                    labels.astype(np.int32), pa.array(self.classes, type=pa.string())
                ),
                "seed": np.full(len(labels), self.seed, dtype=np.int64),
                "index": self.plan.indices[rows],
                "generator": constant(self.generator),
                "family": constant(self.family),
            }
        )


def choose_shard_size(image_shape: tuple[int, int, int], asked: int | None) -> int:
    """Return the samples a shard: what was asked for, or some 64 MiB of pixels.

    Raises:
        ConfigError: If the number asked for is no positive multiple of the decoded chunk.
    """
    if asked is None:
        return multiple_of_chunk(_SHARD_BYTES // int(np.prod(image_shape)), _MOST_PER_SHARD)
    if isinstance(asked, bool) or asked <= 0 or asked % CHUNK:
        raise ConfigError(f"shard_size: expected a positive multiple of {CHUNK}, but got {asked!r}.")
    return asked


def multiple_of_chunk(number: int, most: int) -> int:
    """Return the largest multiple of the decoded chunk up to ``number`` and ``most``, at least one chunk."""
    return max(CHUNK, min(number, most) // CHUNK * CHUNK)
