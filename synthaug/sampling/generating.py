"""`generate`: samples out, whole or not at all, resumable, the same bytes whichever way they are cut."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from synthaug.errors import GenerationInterrupted, OutputExistsError
from synthaug.labels import ClassKey
from synthaug.sampling.bank import SampleBank
from synthaug.sampling.contents import sample_contents
from synthaug.sampling.decoding import decoded_blocks
from synthaug.sampling.job import Block, Job, Shard
from synthaug.sampling.partial import JournaledFolder
from synthaug.sampling.plan import plan_samples, warn_of_unseen
from synthaug.sampling.progress import sample_progress
from synthaug.sampling.writers import Writer, writer_class
from synthaug.seeds import check_sample_seed
from synthaug.storage import MANIFEST, output_folder, publish, read_json

if TYPE_CHECKING:
    from synthaug.data import ImageDataset
    from synthaug.generators import Generator

Decoder = Callable[["Generator", Job, list[Shard]], contextlib.AbstractContextManager[Iterator[Block]]]
"""Called with generator, job and shards: yields an iterator over the blocks of these, in order."""

Format = Literal["bank", "parquet", "imagefolder", "webdataset"]


@overload
def generate(
    gen: Generator | str | Path,
    per_class: int | None = None,
    *,
    counts: Mapping[ClassKey, int] | None = None,
    balance: ImageDataset | None = None,
    seed: int = 0,
    out: str | Path,
    format: Literal["bank"] = "bank",
    shard: tuple[int, int] | None = None,
    shard_size: int | None = None,
    overwrite: bool = False,
    device: str | None = None,
    progress: bool = True,
) -> SampleBank: ...


@overload
def generate(
    gen: Generator | str | Path,
    per_class: int | None = None,
    *,
    counts: Mapping[ClassKey, int] | None = None,
    balance: ImageDataset | None = None,
    seed: int = 0,
    out: str | Path,
    format: str,
    shard: tuple[int, int] | None = None,
    shard_size: int | None = None,
    overwrite: bool = False,
    device: str | None = None,
    progress: bool = True,
) -> SampleBank | Path: ...


def generate(
    gen: Generator | str | Path,
    per_class: int | None = None,
    *,
    counts: Mapping[ClassKey, int] | None = None,
    balance: ImageDataset | None = None,
    seed: int = 0,
    out: str | Path,
    format: Format | str = "bank",
    shard: tuple[int, int] | None = None,
    shard_size: int | None = None,
    overwrite: bool = False,
    device: str | None = None,
    progress: bool = True,
) -> SampleBank | Path:
    """Draw samples from a generator and write them, with the provenance of each.

    The output appears whole or not at all. Until then it grows in a hidden folder beside ``out``, and the same call
    after a kill or an error goes on from there: nothing is lost and nothing is made twice.

    Args:
        gen: A generator, its folder, or a hub id.
        per_class: This many samples of every class. Give exactly one of ``per_class``, ``counts``, ``balance``.
        counts: Numbers by class name or label.
        balance: A dataset; each class is topped up to the size of the largest.
        seed: In the name of every sample; other seeds give other samples.
        out: Folder to write.
        format: ``"bank"`` (memory-mapped, for training), ``"parquet"``, ``"imagefolder"`` or ``"webdataset"``.
        shard: (K, N) makes the K-th of N contiguous parts, K from 1; in order they concatenate to the whole.
        shard_size: Samples a file (or a step of a bank), a multiple of 64; by default some 64 MiB of pixels.
        overwrite: Replace what is there.
        device: Where a generator given by its folder or id runs; left out, the GPU if there is one. Another kind of
            device gives samples that differ in their last bits.
        progress: Show a progress bar on stderr when that is a terminal.

    Returns:
        The opened `SampleBank` for format ``"bank"``, else the folder.

    Raises:
        ConfigError: If the request is contradictory, empty or out of range.
        LabelError: If a class is unknown.
        OutputExistsError: If ``out`` holds data, or an unfinished run with other settings waits beside it.
        GenerationInterrupted: On Ctrl-C; what is finished is kept.

    Example:
        >>> bank = synthaug.generate(gen, per_class=500, out="bank")  # doctest: +SKIP
        >>> bank = synthaug.generate(gen, counts={"boot": 20}, seed=1, out="boots")  # doctest: +SKIP
    """
    target = Path(out).expanduser().resolve()
    writer_class(format)  # an unknown format is refused before a generator is loaded
    seed = check_sample_seed(seed)
    if isinstance(gen, (str, Path)):
        gen = load_generator(gen, device)
    plan = plan_samples(gen.classes, per_class, counts, balance)
    warn_of_unseen(plan, gen)
    part = plan if shard is None else plan.part(*shard)
    job = Job.by(gen, part, seed=seed, format=format, shard_size=shard_size, part=shard)
    write_output(gen, job, target, overwrite=overwrite, progress=progress)
    return SampleBank.open(target) if format == "bank" else target


def write_output(
    gen: Generator,
    job: Job,
    target: Path,
    *,
    overwrite: bool,
    progress: bool,
    decode: Decoder = decoded_blocks,
) -> None:
    """Write what a job says: it appears whole or not at all, and the same call goes on with what a kill left.

    Args:
        gen: What decodes the images.
        job: What is made.
        target: Folder to write.
        overwrite: Replace what is there.
        progress: Show a progress bar on stderr when that is a terminal.
        decode: Yields the blocks of some shards; `synthaug.sampling.decoding.decoded_blocks` or what stands in for it.

    Raises:
        OutputExistsError: If ``target`` holds data, or an unfinished run with other settings waits beside it.
        GenerationInterrupted: On Ctrl-C; what is finished is kept.
    """
    _refuse_output(target, job, overwrite)
    with JournaledFolder.open(target, job.manifest(), overwrite) as folder:
        writer = writer_class(job.format)(folder.path, job)
        with _explain_interrupt(folder, target, len(job.shards())), sample_progress(len(job.plan), progress) as advance:
            _write_missing(gen, job, writer, folder, advance, decode)
        writer.finish()
        publish(folder.path, target)
    folder.forget(target)


def load_generator(path: str | Path, device: str | None = None) -> Generator:
    """Load a generator to sample from, onto ``device`` or, left out, the GPU if there is one."""
    from synthaug.devices import resolve_device
    from synthaug.generators import load

    return load(path, device=str(resolve_device(device)))


def _write_missing(
    gen: Generator,
    job: Job,
    writer: Writer,
    folder: JournaledFolder,
    advance: Callable[[int], None],
    decode: Decoder,
) -> None:
    shards = job.shards()
    todo = [shard for shard in shards if shard.number not in folder.done]
    advance(sum(len(shard) for shard in shards) - sum(len(shard) for shard in todo))

    with decode(gen, job, todo) as blocks:

        def blocks_of(shard: Shard) -> Iterator[Block]:
            # Ends with the shard's last block, before the next is asked for: its failure must not cost this shard.
            for block in blocks:
                yield block
                advance(len(block.images))
                if block.rows.stop == shard.stop:
                    return

        for shard in todo:
            writer.write(shard, blocks_of(shard))
            folder.mark_done(shard.number)


def _refuse_output(target: Path, job: Job, overwrite: bool) -> None:
    """Raise `OutputExistsError` if ``target`` holds data, saying whether it is this very output."""
    if not overwrite and (target / MANIFEST).is_file():
        found: Any = read_json(target / MANIFEST)
        if found == job.manifest():
            raise OutputExistsError(
                f"{target} is already complete: it holds just these {len(job.plan)} samples. "
                "Use it as it is, or pass overwrite=True (--overwrite) to make it again."
            )
    output_folder(target, overwrite=overwrite, what="generate", contents=sample_contents())


@contextlib.contextmanager
def _explain_interrupt(folder: JournaledFolder, target: Path, shards: int) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        raise GenerationInterrupted(
            f"Interrupted: {len(folder.done)} of {shards} shards are finished and kept beside {target}. "
            "Run the same command again to go on."
        ) from error
