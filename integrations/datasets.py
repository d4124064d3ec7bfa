"""Synthetic images as a Hugging Face dataset: a builder that generates what it is asked for, and a join.

`datasets` cannot find a builder of an installed package by name, so there is no ``load_dataset`` here: make
the builder, or call `synthetic_dataset`.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import json
import multiprocessing
import posixpath
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import pyarrow as pa
import torch
from datasets.builder import Key
from fsspec.core import url_to_fs

from synthaug.errors import FormatError, OutputExistsError
from synthaug.generators import CHUNK, Generator, load
from synthaug.images import encode_pngs
from synthaug.labels import ClassKey
from synthaug.sampling.plan import plan_samples
from synthaug.seeds import check_sample_seed
from synthaug.storage import MANIFEST, canonical_json, digest

from ._dataset_join import SOURCES, add_synthetic

if TYPE_CHECKING:
    from synthaug.data import ImageDataset

__all__ = ["SOURCES", "SyntheticImages", "add_synthetic", "synthetic_dataset"]

_FORMAT_VERSION = 1
_CLASSES_PER_SHARD = 8
_INFO = "dataset_info.json"


@dataclasses.dataclass
class SyntheticImagesConfig(datasets.BuilderConfig):
    """What decides the content of the dataset, and where the generator is (which does not).

    Attributes:
        generator: A generator, or the path or hub id of one.
        digest: SHA-256 of the generator.
        counts: Number of samples of each class.
        seed: The seed in the samples' names.
        classes: Names of the classes.
    """

    generator: Any = None
    digest: str = ""
    counts: tuple[int, ...] = ()
    seed: int = 0
    classes: tuple[str, ...] = ()

    def identity(self) -> dict[str, Any]:
        """Everything that decides the bytes of the rows; the generator by its content, not by its place."""
        return {
            "format_version": _FORMAT_VERSION,
            "generator": self.digest,
            "counts": list(self.counts),
            "seed": self.seed,
            "classes": list(self.classes),
        }

    def create_config_id(self, config_kwargs: Any, custom_features: Any = None) -> str:
        """Name the cache folder after the content; by default only the arguments passed would count."""
        return f"{self.name}-{digest(canonical_json(self.identity()))[:16]}"


class SyntheticImages(datasets.ArrowBasedBuilder):
    """A dataset builder that generates labelled images.

    Rows have ``image``, ``label`` (ClassLabel), ``source`` (ClassLabel real | synthetic), and the name of the
    sample: ``generator`` (digest), ``seed`` and ``index`` (within its class). The classes take turns, so that
    a stream is mixed. The dataset is cached under a name made of the generator's content and all settings,
    and is the same for any ``num_proc``, since all samples are made on the processor; for a GPU there is
    `synthaug.generate` with ``format="parquet"``.

    Args:
        generator: A generator, or the path or hub id of one.
        per_class: Samples of each class.
        counts: Samples by class name or label, instead.
        balance: A dataset with the generator's classes, each of which is topped up to the largest, instead.
        seed: The seed in the samples' names.
        cache_dir: Where the dataset is cached; by default that of `datasets`.
        dataset_name: Name of the folder in the cache and of the files.
        **builder_options: Further arguments of `datasets.DatasetBuilder`.

    Raises:
        ConfigError: If not exactly one of per_class, counts and balance is given, or the seed is no integer of 64 bits.
        LabelError: If a class is unknown.

    Example:
        >>> builder = SyntheticImages("runs/x", per_class=500, seed=0)  # doctest: +SKIP
        >>> builder.download_and_prepare(num_proc=2)  # doctest: +SKIP
        >>> dataset = builder.as_dataset(split="train")  # doctest: +SKIP
        >>> stream = builder.as_streaming_dataset(split="train")  # doctest: +SKIP
        >>> builder.download_and_prepare("s3://bucket/images", file_format="parquet")  # doctest: +SKIP
    """

    BUILDER_CONFIG_CLASS = SyntheticImagesConfig

    def __init__(
        self,
        generator: Generator | str | Any,
        per_class: int | None = None,
        *,
        counts: Mapping[ClassKey, int] | None = None,
        balance: ImageDataset | None = None,
        seed: int = 0,
        cache_dir: str | Any = None,
        dataset_name: str = "synthetic_images",
        **builder_options: Any,
    ) -> None:
        if not isinstance(generator, Generator):
            generator = str(generator)
        loaded = generator if isinstance(generator, Generator) else load(generator)
        if isinstance(generator, Generator) and generator.device.type != "cpu":
            generator = copy.deepcopy(generator).cpu()  # a GPU can be used by one process alone, and gives other bytes
        seed = check_sample_seed(seed)
        plan = plan_samples(loaded.classes, per_class, counts, balance)
        super().__init__(
            cache_dir=None if cache_dir is None else str(cache_dir),
            dataset_name=dataset_name,
            generator=generator,
            digest=loaded.digest,
            counts=tuple(np.bincount(plan.labels, minlength=len(loaded.classes)).tolist()),
            seed=seed,
            classes=loaded.classes,
            **builder_options,
        )

    def _info(self) -> datasets.DatasetInfo:
        features = {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=list(self.config.classes)),
            "source": datasets.ClassLabel(names=list(SOURCES)),
            "generator": datasets.Value("string"),
            "seed": datasets.Value("int64"),
            "index": datasets.Value("int64"),
        }
        return datasets.DatasetInfo(
            description=f"Synthetic images of generator {self.config.digest[:12]}.",
            features=datasets.Features(features),
        )

    # Writing ----------------------------------------------------------------------------------------------

    def download_and_prepare(
        self,
        output_dir: str | Any = None,
        *,
        file_format: str = "arrow",
        overwrite: bool = False,
        storage_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Generate the dataset, unless the same one is already there.

        Args:
            output_dir: A folder, or any fsspec URL; by default the cache.
            file_format: ``"arrow"``, or ``"parquet"`` to be read with ``datasets.load_dataset(output_dir)``.
            overwrite: Replace what is there if it is another dataset.
            storage_options: For the file system of ``output_dir``.
            **options: As for `datasets.DatasetBuilder.download_and_prepare`: num_proc, max_shard_size, …

        Raises:
            OutputExistsError: If the folder holds another dataset and ``overwrite`` is false, or anything else.
        """
        target = str(self._cache_dir if output_dir is None else output_dir)
        files, path = url_to_fs(target, **(storage_options or {}))
        found = _read_manifest(files, path)
        whole = files.exists(posixpath.join(path, _INFO))
        foreign = found is None and files.isdir(path) and bool(files.ls(path))
        if overwrite or not (whole and found == self._manifest(file_format)):
            if foreign:
                raise OutputExistsError(
                    f"expected a new or empty folder, but {target} holds files that this builder did not write. "
                    "Choose another one; overwrite=True replaces datasets of this builder alone."
                )
            if whole and not overwrite:
                raise OutputExistsError(
                    f"expected a new or empty folder, but {target} holds another dataset. "
                    "Choose another one, or pass overwrite=True."
                )
            # Locally the library replaces the folder once the new one is whole; elsewhere it would mix the
            # two, and a killed run leaves its part there.
            if datasets.filesystems.is_remote_filesystem(files) and files.exists(path):
                files.rm(path, recursive=True)
            options["download_mode"] = "force_redownload"
        super().download_and_prepare(target, file_format=file_format, storage_options=storage_options, **options)

    def _manifest(self, file_format: str) -> dict[str, Any]:
        return {**self.config.identity(), "file_format": file_format, "name": self.dataset_name}

    def _download_and_prepare(self, dl_manager: Any, verification_mode: Any, **options: Any) -> None:
        """Start from an empty folder: the library would merge what a killed run left into this one."""
        folder = self._fs._strip_protocol(self._output_dir)
        for leftover in self._fs.ls(folder, detail=False) if self._fs.isdir(folder) else []:
            self._fs.rm(leftover, recursive=True)
        self._fs.makedirs(folder, exist_ok=True)
        with self._fs.open(posixpath.join(folder, MANIFEST), "w") as stream:
            json.dump(self._manifest(options["file_format"]), stream)
        super()._download_and_prepare(dl_manager, verification_mode, **options)

    def as_dataset(self, split: Any = None, in_memory: bool = False) -> Any:
        """Return the dataset, or the dictionary of its only split ``train``.

        Raises:
            FormatError: After Parquet was written.
        """
        if self._file_format == "parquet":
            raise FormatError(
                "expected a dataset in the arrow format, but Parquet was written; read it with "
                f"datasets.load_dataset({self._output_dir!r})."
            )
        return super().as_dataset(split=split, in_memory=in_memory)

    # Generating -------------------------------------------------------------------------------------------

    def _split_generators(self, dl_manager: Any) -> list[Any]:
        counts, classes = self.config.counts, len(self.config.classes)
        # Only a list is cut among processes, everything else goes to each whole.
        shards = [
            (first, min(first + _CLASSES_PER_SHARD, classes), start)
            for start in range(0, max(counts), CHUNK)
            for first in range(0, classes, _CLASSES_PER_SHARD)
            if max(counts[first : first + _CLASSES_PER_SHARD]) > start
        ]
        return [datasets.SplitGenerator(name=datasets.Split.TRAIN, gen_kwargs={"shards": shards})]

    def _generate_tables(self, shards: list[tuple[int, int, int]]) -> Iterator[tuple[Key, pa.Table]]:
        for number, shard in enumerate(shards):
            with _one_thread():
                table = self._table(*shard)
            yield Key(number, 0), table

    def _table(self, first: int, last: int, start: int) -> pa.Table:
        """Generate the samples ``start`` to ``start + CHUNK`` of some classes."""
        numbers = [max(0, min(CHUNK, count - start)) for count in self.config.counts[first:last]]
        labels = np.repeat(np.arange(first, last, dtype=np.int64), numbers)
        indices = np.concatenate([np.arange(start, start + number, dtype=np.int64) for number in numbers])
        images = self._generator().sample_named(labels, indices, self.config.seed)
        turns = np.lexsort((labels, indices))
        # A process of its own already shares the cores with its siblings.
        pngs = encode_pngs(images[turns], threads=1 if multiprocessing.parent_process() else None)
        fields = {
            "image": pa.StructArray.from_arrays(
                [pa.array(pngs, pa.binary()), pa.nulls(len(pngs), pa.string())], names=["bytes", "path"]
            ),
            "label": pa.array(labels[turns]),
            "source": pa.array(np.full(len(pngs), SOURCES.index("synthetic"))),
            "generator": pa.array([self.config.digest] * len(pngs)),
            "seed": pa.array(np.full(len(pngs), self.config.seed)),
            "index": pa.array(indices[turns]),
        }
        return pa.table(fields).cast(self.info.features.arrow_schema)

    def _generator(self) -> Generator:
        if isinstance(self.config.generator, Generator):
            return self.config.generator
        return _load(self.config.generator, self.config.digest)


@functools.lru_cache(maxsize=1)
def _load(path: str, wanted: str) -> Generator:
    """Load the generator in the process that generates; a stream asks for it at every shard."""
    generator = load(path)
    if generator.digest != wanted:
        raise FormatError(f"the generator {path} changed since this builder was made; make the builder anew.")
    return generator


def synthetic_dataset(
    generator: Generator | str | Any,
    per_class: int | None = None,
    *,
    num_proc: int | None = None,
    **options: Any,
) -> datasets.Dataset:
    """Generate a dataset, or find it in the cache: `SyntheticImages`, prepared and read.

    Args:
        generator: A generator, or the path or hub id of one.
        per_class: Samples of each class.
        num_proc: Number of processes.
        **options: Further arguments of `SyntheticImages`: counts, balance, seed, cache_dir, …

    Example:
        >>> synthetic_dataset("runs/x", per_class=500, cache_dir="cache")[0]["label"]  # doctest: +SKIP
        0
    """
    builder = SyntheticImages(generator, per_class, **options)
    builder.download_and_prepare(num_proc=num_proc)
    return builder.as_dataset(split="train")


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Run torch in one thread: in a forked process its thread pool is dead, and waiting for it never ends."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _read_manifest(files: Any, path: str) -> dict[str, Any] | None:
    name = posixpath.join(path, MANIFEST)
    if not files.exists(name):
        return None
    with files.open(name, "r") as stream:
        try:
            found = json.load(stream)
        except ValueError:
            return {}
    return found if isinstance(found, dict) else {}
