"""Generation on many machines: Ray Data draws the samples, and what is written is what `synthaug.generate` writes."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import math
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.errors import ConfigError, require_extra
from synthaug.labels import ClassKey
from synthaug.sampling.bank import SampleBank
from synthaug.sampling.decoding import cut
from synthaug.sampling.generating import load_generator, write_output
from synthaug.sampling.job import Block, Job, Shard
from synthaug.sampling.plan import plan_samples, warn_of_unseen
from synthaug.sampling.writers import writer_class
from synthaug.seeds import check_sample_seed

try:
    import ray
    import ray.data
except ImportError as error:
    raise require_extra("ray", "ray", error) from error

if TYPE_CHECKING:
    from synthaug.data import ImageDataset
    from synthaug.generators import Generator


def generate_distributed(
    gen: Generator | str | Path,
    per_class: int | None = None,
    *,
    counts: Mapping[ClassKey, int] | None = None,
    balance: ImageDataset | None = None,
    seed: int = 0,
    out: str | Path,
    format: str = "bank",
    shard_size: int | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    cpus_per_worker: float = 1,
    gpus_per_worker: float = 0,
    progress: bool = True,
) -> SampleBank | Path:
    """Draw samples on a Ray cluster and write them here: `synthaug.generate` with more hands.

    A sample is a pure function of its name, so on one kind of device every byte is what `synthaug.generate` writes,
    whatever the number of workers; the same call, or that one, goes on after a kill. Workers get the generator from
    here and need no folder in common; one that dies is replaced.

    Args:
        gen: A generator, its folder, or a hub id.
        per_class: This many samples of every class. Give exactly one of ``per_class``, ``counts``, ``balance``.
        counts: Numbers by class name or label.
        balance: A dataset; each class is topped up to the size of the largest.
        seed: In the name of every sample.
        out: Folder to write, on this machine.
        format: ``"bank"``, ``"parquet"``, ``"imagefolder"`` or ``"webdataset"``.
        shard_size: Samples a file (or a step of a bank), as in `synthaug.generate`.
        overwrite: Replace what is there.
        workers: Processes that draw, at most; as many as the cluster has room for if left out. The cluster is that of
            ``ray.init``, or this machine.
        cpus_per_worker: Processors that each takes; more than one speeds a large generator up.
        gpus_per_worker: GPUs that each takes, 0.5 where two share one; with none they draw on processors.
        progress: Show a progress bar on stderr when that is a terminal.

    Returns:
        The opened `SampleBank` for format ``"bank"``, else the folder.

    Raises:
        ConfigError: If the request is contradictory, empty or out of range, or no worker fits into the cluster.
        LabelError: If a class is unknown.
        OutputExistsError: If ``out`` holds data, or an unfinished run with other settings waits beside it.
        GenerationInterrupted: On Ctrl-C; what is finished is kept.
        MissingExtraError: On import, if Ray is not installed.

    Example:
        >>> bank = generate_distributed("runs/x", per_class=100_000, out="bank", gpus_per_worker=1)  # doctest: +SKIP
    """
    writer_class(format)  # an unknown format is refused before a generator is loaded
    if (workers is not None and workers < 1) or cpus_per_worker <= 0 or gpus_per_worker < 0:
        raise ConfigError(
            "expected workers of 1 or more, cpus_per_worker above 0 and gpus_per_worker of 0 or more, but got "
            f"{workers}, {cpus_per_worker:g} and {gpus_per_worker:g}."
        )
    target, seed = Path(out).expanduser().resolve(), check_sample_seed(seed)
    if isinstance(gen, (str, Path)):
        gen = load_generator(gen, "cpu")
    elif gen.device.type != "cpu":
        gen = copy.deepcopy(gen).cpu()  # workers may have no GPU, or another
    plan = plan_samples(gen.classes, per_class, counts, balance)
    warn_of_unseen(plan, gen)
    job = Job.by(gen, plan, seed=seed, format=format, shard_size=shard_size)
    job = dataclasses.replace(job, device="cuda" if gpus_per_worker else "cpu")
    decode = partial(_drawn_by_ray, workers=workers, cpus=cpus_per_worker, gpus=gpus_per_worker)
    write_output(gen, job, target, overwrite=overwrite, progress=progress, decode=decode)
    return SampleBank.open(target) if format == "bank" else target


class _Drawer:
    """A worker: draws the samples of a block by their names."""

    def __init__(self, gen: Generator, seed: int, device: str) -> None:
        self.gen, self.seed = gen.to(device).eval(), seed

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        (labels,), (indices,) = batch["labels"], batch["indices"]
        images = self.gen.sample_named(np.asarray(labels), np.asarray(indices), self.seed)
        return {"number": batch["number"], "images": [images.tobytes()]}


@contextlib.contextmanager
def _drawn_by_ray(
    gen: Generator, job: Job, shards: list[Shard], *, workers: int | None, cpus: float, gpus: float
) -> Iterator[Iterator[Block]]:
    """Yield an iterator over the blocks of some shards, in order; stands in for `decoded_blocks`."""
    places = list(cut(job, shards))
    channels, height, width = job.image_shape
    if not places:
        yield iter(())
        return
    room = _room(cpus, gpus)
    most = min(workers or room, len(places))
    names = [
        {"number": number, "labels": job.plan.labels[rows], "indices": job.plan.indices[rows]}
        for number, (_, rows) in enumerate(places)
    ]
    blocks = ray.data.from_items(names, override_num_blocks=len(names))
    blocks.context.execution_options.preserve_order = True
    blocks.context.max_errored_blocks = 0  # one that is left out would leave a hole
    blocks.context.enable_progress_bars = False
    drawn = blocks.map_batches(
        _Drawer,
        batch_size=1,
        fn_constructor_args=(gen, job.seed, job.device),
        compute=ray.data.ActorPoolStrategy(min_size=min(room, most), max_size=most),
        num_cpus=cpus,
        num_gpus=gpus or None,
    )
    with contextlib.closing(iter(drawn.iter_rows())) as rows_drawn:
        yield _in_order(rows_drawn, places, (height, width, channels))


def _in_order(
    drawn: Iterator[dict[str, Any]], places: list[tuple[Shard, slice]], shape: tuple[int, int, int]
) -> Iterator[Block]:
    """Yield the blocks; each has to be the one whose turn it is, and whole.

    Raises:
        RuntimeError: If it is not: samples would get the labels of others.
    """
    for number, (shard, rows) in enumerate(places):
        row = next(drawn, None)
        size = (rows.stop - rows.start) * math.prod(shape)
        if row is None or row["number"] != number or len(row["images"]) != size:
            got = "nothing more" if row is None else f"block {row['number']} of {len(row['images'])} bytes"
            raise RuntimeError(f"expected block {number} of {size} bytes from Ray, but got {got}. Run it again.")
        yield Block(shard, rows.start, np.frombuffer(row["images"], np.uint8).reshape(-1, *shape))


def _room(cpus: float, gpus: float) -> int:
    """Return how many workers fit into the cluster, node by node.

    Raises:
        ConfigError: If none does.
    """
    if not ray.is_initialized():
        ray.init()
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    wanted = [(kind, each) for kind, each in (("CPU", cpus), ("GPU", gpus)) if each]
    room = sum(min(int(node.get(kind, 0) / each) for kind, each in wanted) for node in nodes)
    if not room:
        there = "; ".join(f"{node.get('CPU', 0):g} CPU and {node.get('GPU', 0):g} GPU" for node in nodes)
        raise ConfigError(
            f"expected a cluster with room for a worker of {cpus:g} CPU and {gpus:g} GPU, but its machines have "
            f"{there}. Lower cpus_per_worker or gpus_per_worker."
        )
    return room
