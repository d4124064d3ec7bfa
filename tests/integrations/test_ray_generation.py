"""Generation by Ray, on a cluster of this machine's; in a process of its own, as Ray leaves much to be collected."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import synthaug
from synthaug.errors import ConfigError, LabelError, MissingExtraError, OutputExistsError
from synthaug.generators import Generator, make_generator, save
from synthaug.sampling.job import Shard

SCRIPT = """
import json
import sys

import ray

import synthaug
from synthaug.errors import SynthaugError
from synthaug.integrations.ray import generate_distributed
from synthaug.sampling.writers import Writer, writer_class

run, out = sys.argv[1:]
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 << 20)
said = {}

bank = generate_distributed(run, counts={"boot": 200, "bag": 130}, seed=3, shard_size=64, workers=2, out=out + "/bank")
said["samples"] = len(bank)

class Killed(Exception):
    pass

parquet = writer_class("parquet")
write, written = parquet.write, []

def killed_on_the_third(self, shard, blocks):
    if len(written) == 2:
        raise Killed
    written.append(shard.number)
    write(self, shard, blocks)

more = {"counts": {"boot": 200, "bag": 130}, "seed": 3, "shard_size": 64, "format": "parquet", "out": out + "/parquet"}
more["workers"] = 1
parquet.write = killed_on_the_third
try:
    generate_distributed(synthaug.load(run), **more)
except Killed:
    said["before"] = list(written)
written.clear()

def watched(self, shard, blocks):
    written.append(shard.number)
    write(self, shard, blocks)

parquet.write = watched
generate_distributed(synthaug.load(run), **more)
said["after"] = written

class Torn(synthaug.load(run).__class__):
    # it fails on the second block of the first class

    def sample_named(self, labels, indices, seed=0):
        if indices[0] == 64:
            raise ValueError("torn")
        return super().sample_named(labels, indices, seed)

ray.data.DataContext.get_current().max_errored_blocks = 3
torn = synthaug.load(run)
torn.__class__ = Torn
try:
    generate_distributed(torn, 200, seed=3, shard_size=64, workers=1, out=out + "/torn")
except Exception as error:
    said["torn"] = str(error)

refused = {"gpu": {"gpus_per_worker": 1}, "cpus": {"cpus_per_worker": 64}, "one": {"workers": 1, "gpus_per_worker": 1}}
for name, settings in refused.items():
    try:
        generate_distributed(run, 1, out=out + "/" + name, **settings)
    except SynthaugError as error:
        said[name] = str(error)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def gen() -> Generator:
    options = {"width": 8, "latent_dim": 4}
    return make_generator("vae", ["boot", "sneaker", "bag"], (1, 8, 6), options=options)


@pytest.fixture(scope="module")
def said(gen: Generator, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What the script said, and the folder that it wrote."""
    folder = tmp_path_factory.mktemp("ray")
    save(gen, folder / "run")
    words = [sys.executable, "-c", SCRIPT, str(folder / "run"), str(folder)]
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(words, capture_output=True, text=True, timeout=500, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), folder


def content(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_every_byte_is_what_generate_writes(said: tuple[dict[str, Any], Path], gen: Generator, tmp_path: Path) -> None:
    words, folder = said
    plain = {"counts": {"boot": 200, "bag": 130}, "seed": 3, "shard_size": 64}
    synthaug.generate(gen, out=tmp_path / "bank", **plain)
    assert words["samples"] == 330
    assert content(folder / "bank") == content(tmp_path / "bank")
    synthaug.generate(gen, out=tmp_path / "parquet", format="parquet", **plain)
    assert content(folder / "parquet") == content(tmp_path / "parquet")


def test_what_a_kill_left_is_not_made_twice(said: tuple[dict[str, Any], Path]) -> None:
    words, _ = said
    assert words["before"] == [0, 1]
    assert words["after"] == [2, 3, 4, 5]


def test_workers_that_do_not_fit_are_refused(said: tuple[dict[str, Any], Path]) -> None:
    words, folder = said
    assert "room for a worker of 1 CPU and 1 GPU, but its machines have 2 CPU and 0 GPU" in words["gpu"]
    assert "room for a worker of 64 CPU and 0 GPU, but its machines have 2 CPU and 0 GPU" in words["cpus"]
    assert words["one"] == words["gpu"]
    assert not (folder / "gpu").exists()


def test_a_block_that_fails_is_not_left_out(said: tuple[dict[str, Any], Path]) -> None:
    words, folder = said
    assert "torn" in words["torn"]
    assert not (folder / "torn").exists()


def test_images_of_another_block_are_refused() -> None:
    from synthaug.integrations.ray import _in_order

    places = [(Shard(0, 0, 4), slice(0, 2)), (Shard(0, 0, 4), slice(2, 4))]
    rows = [{"number": 0, "images": bytes(2 * 6)}, {"number": 1, "images": bytes(2 * 6)}]
    assert [block.start for block in _in_order(iter(rows), places, (2, 3, 1))] == [0, 2]
    for wrong in (rows[1:], rows[:1], [rows[0], {"number": 1, "images": bytes(6)}]):
        with pytest.raises(RuntimeError, match=r"expected block [01] of 12 bytes from Ray, but got"):
            list(_in_order(iter(wrong), places, (2, 3, 1)))


def test_what_is_wrong_is_said_before_a_cluster_is_started(gen: Generator, tmp_path: Path) -> None:
    import ray
    from synthaug.integrations.ray import generate_distributed

    with pytest.raises(LabelError, match="Did you mean 'boot'"):
        generate_distributed(gen, counts={"boots": 3}, out=tmp_path / "x")
    with pytest.raises(ConfigError, match="Did you mean 'parquet'"):
        generate_distributed(gen, 3, out=tmp_path / "x", format="parket")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError):
        generate_distributed(gen, 3, out=tmp_path / "mine")
    with pytest.raises(ConfigError, match="expected workers of 1 or more"):
        generate_distributed(gen, 3, out=tmp_path / "x", workers=0)
    assert not ray.is_initialized()


def test_without_ray_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "synthaug.integrations.ray", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install 'synthaug\[ray\]'"):
        import synthaug.integrations.ray  # noqa: F401
