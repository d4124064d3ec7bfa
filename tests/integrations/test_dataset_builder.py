from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys

import datasets
import fsspec
import numpy as np
import pytest
import torch
from synthaug.integrations import datasets as module
from synthaug.integrations.datasets import SyntheticImages, synthetic_dataset

from synthaug.errors import ConfigError, FormatError, LabelError, OutputExistsError
from synthaug.generators import make_generator, save

CLASSES = ("boot", "sneaker", "bag")

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")


def make(seed: int = 0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        options = {"latent_dim": 2, "width": 4, "class_dim": 2}
        return make_generator("vae", CLASSES, (1, 8, 12), options=options)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return save(make(), tmp_path_factory.mktemp("run") / "gen")


@pytest.fixture(autouse=True)
def _quiet_and_offline(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hub_cache"))
    datasets.disable_progress_bars()


def builder(run, tmp_path, per_class=10, **options) -> SyntheticImages:
    return SyntheticImages(run, per_class, cache_dir=tmp_path / "cache", **options)


def prepared(run, tmp_path, per_class=10, num_proc=None, **options):
    made = builder(run, tmp_path, per_class, **options)
    made.download_and_prepare(num_proc=num_proc)
    return made.as_dataset(split="train")


def pixels(rows) -> np.ndarray:
    return np.stack([np.array(row["image"]) for row in rows])


def test_rows_are_the_named_samples(run, tmp_path):
    rows = prepared(run, tmp_path, counts={"sneaker": 70, 2: 3}, per_class=None, seed=5)
    gen = make()
    assert rows.features["label"].names == list(CLASSES)
    assert rows.features["source"].names == ["real", "synthetic"]
    assert set(rows["source"][:]) == {1}
    assert set(rows["generator"][:]) == {gen.digest}
    assert set(rows["seed"][:]) == {5}
    labels, indices = np.array(rows["label"][:]), np.array(rows["index"][:])
    assert np.bincount(labels).tolist() == [0, 70, 3]
    assert sorted(indices[labels == 1]) == list(range(70))
    assert np.array_equal(pixels(rows), gen.sample_named(labels, indices, seed=5)[..., 0])


def test_a_generator_on_a_gpu_is_copied_to_the_processor_and_left_alone(run, tmp_path, monkeypatch):
    """Processes of `datasets` are forked, and a GPU cannot be used in those; nor are its bytes the processor's."""
    gen, moved = make(), []
    with monkeypatch.context() as patched:
        patched.setattr(type(gen), "device", property(lambda self: torch.device("cuda")))
        patched.setattr(type(gen), "cpu", lambda self: moved.append(self) or self)
        made = builder(gen, tmp_path)
    assert moved == [made.config.generator]
    assert made.config.generator is not gen
    made.download_and_prepare(num_proc=2)
    assert np.array_equal(pixels(made.as_dataset(split="train")), pixels(prepared(run, tmp_path)))


def test_classes_take_turns_so_that_a_stream_is_mixed(run, tmp_path):
    stream = builder(run, tmp_path, 100).as_streaming_dataset(split="train")
    assert [row["label"] for row in stream.take(6)] == [0, 1, 2] * 2


def test_a_stream_gives_the_same_rows_and_the_threads_back(run, tmp_path):
    before = torch.get_num_threads()
    stream = builder(run, tmp_path, 70).as_streaming_dataset(split="train")
    iterator = iter(stream)
    next(iterator)
    assert torch.get_num_threads() == before  # between rows, training goes on
    rows = list(stream)
    assert np.array_equal(pixels(rows), pixels(prepared(run, tmp_path, 70)))
    assert not (tmp_path / "cache" / "downloads").exists()


def _prepare_with_two_processes(run, cache) -> None:
    os.setsid()  # so that the processes that hang can be ended with this one
    SyntheticImages(run, 70, cache_dir=cache).download_and_prepare(num_proc=2)


def test_processes_neither_hang_after_threads_nor_change_a_byte(run, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.randn(4_000_000).sigmoid_()  # starts torch's thread pool, which a fork does not survive
        process = multiprocessing.get_context("fork").Process(
            target=_prepare_with_two_processes, args=(run, tmp_path / "two")
        )
        process.start()
        process.join(60)
        hung = process.is_alive()
        if hung:
            os.killpg(process.pid, signal.SIGKILL)
        assert not hung, "the forked processes wait for each other"
    finally:
        torch.set_num_threads(threads)
    assert process.exitcode == 0
    forked = SyntheticImages(run, 70, cache_dir=tmp_path / "two").as_dataset(split="train")
    single = prepared(run, tmp_path, 70).cast_column("image", datasets.Image(decode=False))
    forked = forked.cast_column("image", datasets.Image(decode=False))
    assert forked.to_list() == single.to_list()


def test_only_the_shards_are_cut_among_processes(run, tmp_path):
    (split,) = builder(run, tmp_path, 70)._split_generators(None)
    assert [name for name, value in split.gen_kwargs.items() if isinstance(value, list)] == ["shards"]
    assert len(split.gen_kwargs["shards"]) == 2


def test_the_cache_is_named_by_content_not_by_place(run, tmp_path):
    folder = builder(run, tmp_path).cache_dir
    moved = tmp_path / "elsewhere"
    shutil.copytree(run, moved)
    assert builder(moved, tmp_path).cache_dir == folder
    assert builder(make(), tmp_path).cache_dir == folder
    assert builder(run, tmp_path, None, counts={"boot": 10, 1: 10, "bag": 10}).cache_dir == folder
    others = [
        builder(run, tmp_path, seed=1).cache_dir,
        builder(run, tmp_path, 11).cache_dir,
        builder(make(1), tmp_path).cache_dir,
        builder(make().with_sampling(temperature=0.5), tmp_path).cache_dir,
        builder(run, tmp_path, dataset_name="mine").cache_dir,
    ]
    assert len({folder, *others}) == 6


def test_another_generator_at_the_same_path_is_another_dataset(tmp_path):
    path = save(make(0), tmp_path / "gen")
    first = prepared(path, tmp_path)
    shutil.rmtree(path)
    save(make(1), path)
    assert not np.array_equal(pixels(first), pixels(prepared(path, tmp_path)))


def test_a_generator_that_changes_under_the_builder_is_noticed(tmp_path):
    path = save(make(0), tmp_path / "gen")
    stream = builder(path, tmp_path).as_streaming_dataset(split="train")
    shutil.rmtree(path)
    save(make(1), path)
    with pytest.raises(FormatError, match="make the builder anew"):
        next(iter(stream))


def test_the_cache_is_used_again(run, tmp_path, monkeypatch):
    first = prepared(run, tmp_path)
    monkeypatch.setattr(SyntheticImages, "_table", None)
    assert np.array_equal(pixels(prepared(run, tmp_path)), pixels(first))


@pytest.mark.parametrize("file_format", ["arrow", "parquet"])
def test_what_a_killed_run_left_is_not_merged(run, tmp_path, file_format):
    done, out = tmp_path / "done", tmp_path / "out"
    builder(run, tmp_path, 70).download_and_prepare(str(done), file_format=file_format, max_shard_size=1)
    shutil.copytree(done, f"{out}.incomplete")
    made = builder(run, tmp_path)
    made.download_and_prepare(str(out), file_format=file_format)
    assert [file.name for file in out.glob(f"*.{file_format}")] == [f"synthetic_images-train.{file_format}"]
    rows = datasets.load_dataset(file_format, data_files=str(out / f"*.{file_format}"), split="train")
    assert len(rows) == 30


def test_another_dataset_in_the_folder_is_refused_or_replaced(run, tmp_path):
    out = str(tmp_path / "out")
    builder(run, tmp_path).download_and_prepare(out, file_format="parquet")
    builder(run, tmp_path).download_and_prepare(out, file_format="parquet")  # the same one: found
    for other in (builder(run, tmp_path, seed=1), builder(make(1), tmp_path)):
        with pytest.raises(OutputExistsError, match="another dataset"):
            other.download_and_prepare(out, file_format="parquet")
    with pytest.raises(OutputExistsError, match="another dataset"):
        builder(run, tmp_path).download_and_prepare(out)  # as arrow
    other.download_and_prepare(out, file_format="parquet", overwrite=True)
    rows = datasets.load_dataset(out, split="train")
    assert set(rows["generator"][:]) == {make(1).digest}


@pytest.mark.parametrize("overwrite", [False, True])
def test_other_files_in_the_folder_are_kept(run, tmp_path, overwrite):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="did not write"):
        builder(run, tmp_path).download_and_prepare(
            str(tmp_path / "photos"), file_format="parquet", overwrite=overwrite
        )
    assert (tmp_path / "photos" / "a.txt").read_text() == "mine"


def test_parquet_is_read_with_load_dataset(run, tmp_path):
    made = builder(run, tmp_path, 70)
    made.download_and_prepare(str(tmp_path / "out"), file_format="parquet", num_proc=2)
    rows = datasets.load_dataset(str(tmp_path / "out"), split="train")
    assert rows.features == made.info.features
    assert np.array_equal(pixels(rows), pixels(prepared(run, tmp_path, 70)))
    with pytest.raises(FormatError, match="load_dataset"):
        made.as_dataset(split="train")


def test_parquet_to_another_file_system_and_a_killed_run_there(run, tmp_path):
    files = fsspec.filesystem("memory")
    try:
        big = builder(run, tmp_path, 70)
        big.download_and_prepare("memory://bucket/out", file_format="parquet", max_shard_size=1)
        files.rm("/bucket/out/dataset_info.json")  # it comes last, so this is what a kill leaves
        assert len(files.glob("/bucket/out/*.parquet")) == 2
        builder(run, tmp_path).download_and_prepare("memory://bucket/out", file_format="parquet")
        assert len(files.glob("/bucket/out/*.parquet")) == 1
        with pytest.raises(OutputExistsError, match="another dataset"):
            big.download_and_prepare("memory://bucket/out", file_format="parquet")
        big.download_and_prepare("memory://bucket/out", file_format="parquet", overwrite=True)
        (written,) = files.glob("/bucket/out/*.parquet")
        files.get(written, str(tmp_path / "copy.parquet"))
        rows = datasets.load_dataset("parquet", data_files=str(tmp_path / "copy.parquet"), split="train")
        assert np.array_equal(pixels(rows), pixels(prepared(run, tmp_path, 70)))
    finally:
        files.rm("/bucket", recursive=True)


def test_settings_are_checked(run, tmp_path):
    with pytest.raises(ConfigError, match="exactly one"):
        builder(run, tmp_path, 1, counts={"boot": 1})
    with pytest.raises(LabelError, match="Did you mean 'boot'"):
        builder(run, tmp_path, None, counts={"boots": 1})
    for seed in (1 << 63, 1.5, True):
        with pytest.raises(ConfigError, match="seed: expected an integer of 64 bits"):
            builder(run, tmp_path, seed=seed)


def test_takes_the_seeds_that_generate_takes(run, tmp_path):
    for seed in (-7, -(1 << 63), np.int64(3)):
        rows = prepared(run, tmp_path, 2, seed=seed)
        assert set(rows["seed"][:]) == {int(seed)}
        labels, indices = np.array(rows["label"][:]), np.array(rows["index"][:])
        assert np.array_equal(pixels(rows), make().sample_named(labels, indices, seed=int(seed))[..., 0])


def test_the_short_way(run, tmp_path):
    rows = synthetic_dataset(str(run), 2, cache_dir=tmp_path / "cache", seed=3)
    assert (len(rows), set(rows["seed"][:])) == (6, {3})
    # A file for each process; they share out the two shards.
    rows = synthetic_dataset(str(run), 70, num_proc=2, cache_dir=tmp_path / "cache")
    assert len(rows.cache_files) == 2
    assert np.array_equal(pixels(rows), pixels(prepared(run, tmp_path / "other", 70)))


def test_our_module_does_not_hide_the_real_package():
    assert module.datasets is sys.modules["datasets"]
    assert hasattr(module.datasets, "load_dataset")
