"""Promise 1, a sample is a pure function of its name, and promise 5, nothing half-written."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from synthaug.errors import ConfigError, GenerationInterrupted, OutputExistsError
from synthaug.generators import make_generator, save
from synthaug.sampling import SampleBank, generate, list_formats

FORMATS = ["bank", "imagefolder", "parquet", "webdataset"]


def tree(folder: Path) -> dict[str, str]:
    """Digest of each file of a folder, hidden ones too."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def break_after(gen, samples: int, error: BaseException) -> None:
    """Let the generator fail once it has decoded so many samples."""
    whole, left = gen.sample_named, [samples]

    def sample_named(labels, indices, seed=0):
        if left[0] <= 0:
            raise error
        left[0] -= len(labels)
        return whole(labels, indices, seed)

    gen.sample_named = sample_named


def test_all_formats_are_known():
    assert list_formats() == FORMATS


def test_bank_holds_the_samples_of_these_names(gen, tmp_path):
    bank = generate(gen, counts={"bag": 70, "boot": 30}, seed=3, out=tmp_path / "bank")
    asked = gen.sample({"boot": 30, "bag": 70}, seed=3).permute(0, 2, 3, 1).numpy()
    assert (bank.images == asked).all()
    assert len(np.unique(bank.images.reshape(100, -1), axis=0)) == 100
    alone = gen.sample_named(np.array([2]), np.array([41]), seed=3)
    assert (bank.images[30 + 41] == alone[0]).all()


def test_a_folder_is_loaded_onto_the_device_that_is_there(tmp_path):
    gen = make_generator("vae", ["a", "b"], (1, 8, 8), options={"width": 4}).eval()
    save(gen, tmp_path / "run")
    there = generate(tmp_path / "run", per_class=2, seed=3, out=tmp_path / "auto", device="auto", progress=False)
    assert there.digest == generate(gen, per_class=2, seed=3, out=tmp_path / "bank", progress=False).digest


def test_shard_size_changes_no_sample(gen, tmp_path):
    banks = [generate(gen, per_class=70, out=tmp_path / str(size), shard_size=size) for size in (64, 128, 8192)]
    for bank in banks[1:]:
        assert (bank.images == banks[0].images).all()
        assert bank.digest == banks[0].digest


def test_shards_concatenate_to_one_run(gen, tmp_path):
    whole = generate(gen, per_class=50, out=tmp_path / "whole")
    parts = [generate(gen, per_class=50, out=tmp_path / f"part{k}", shard=(k, 4)) for k in range(1, 5)]
    assert (np.concatenate([part.images for part in parts]) == whole.images).all()
    names = [row for part in parts for row in part.table.to_pylist()]
    assert names == whole.table.to_pylist()
    assert len({part.digest for part in (*parts, whole)}) == 5


def test_other_seeds_and_sampling_settings_give_other_samples(gen, tmp_path):
    first = generate(gen, per_class=5, out=tmp_path / "a")
    second = generate(gen, per_class=5, seed=1, out=tmp_path / "b")
    third = generate(gen.with_sampling(temperature=0.5), per_class=5, out=tmp_path / "c")
    assert (first.images != second.images).any()
    assert (first.images != third.images).any()
    assert len({first.digest, second.digest, third.digest}) == 3


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("after", [0, 128])
def test_resume_after_a_failure_gives_the_same_bytes(make_gen, tmp_path, format, after):
    request = {"per_class": 80, "format": format, "shard_size": 64}
    generate(make_gen(), out=tmp_path / "whole", **request)
    broken = make_gen()
    break_after(broken, after, RuntimeError("out of memory"))
    with pytest.raises(RuntimeError, match="out of memory"):
        generate(broken, out=tmp_path / "cut", **request)
    assert not (tmp_path / "cut").exists()
    second = make_gen()
    left = []
    whole = second.sample_named
    second.sample_named = lambda labels, indices, seed=0: (left.append(len(labels)), whole(labels, indices, seed))[1]
    generate(second, out=tmp_path / "cut", **request)
    assert sum(left) == 240 - after, "finished shards are made again"
    assert tree(tmp_path / "cut") == tree(tmp_path / "whole")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_torn_journal_line_counts_for_nothing(make_gen, tmp_path):
    whole = generate(make_gen(), per_class=400, out=tmp_path / "whole", shard_size=64)
    broken = make_gen()
    break_after(broken, 128, RuntimeError("cut"))
    with pytest.raises(RuntimeError):
        generate(broken, per_class=400, out=tmp_path / "cut", shard_size=64)
    with (tmp_path / ".cut.partial" / ".done").open("a") as journal:
        journal.write("1")
    bank = generate(make_gen(), per_class=400, out=tmp_path / "cut", shard_size=64)
    assert (bank.images == whole.images).all()


def test_interruption_says_how_to_go_on(gen, tmp_path):
    break_after(gen, 64, KeyboardInterrupt())
    with pytest.raises(GenerationInterrupted, match=r"1 of 5 shards.*same command"):
        generate(gen, per_class=100, out=tmp_path / "bank", shard_size=64)


def test_an_existing_output_is_neither_reused_nor_overwritten(gen, tmp_path):
    out = tmp_path / "bank"
    first = generate(gen, per_class=5, out=out)
    with pytest.raises(OutputExistsError, match="already complete"):
        generate(gen, per_class=5, out=out)
    with pytest.raises(OutputExistsError, match="already holds data"):
        generate(gen, per_class=6, out=out)
    before = np.array(first.images)
    assert (SampleBank.open(out).images == before).all()
    assert len(generate(gen, per_class=6, out=out, overwrite=True)) == 18


def test_a_partial_with_other_settings_is_not_continued(make_gen, tmp_path):
    broken = make_gen()
    break_after(broken, 64, RuntimeError("cut"))
    with pytest.raises(RuntimeError):
        generate(broken, per_class=100, out=tmp_path / "bank", shard_size=64)
    with pytest.raises(OutputExistsError, match=r"other settings \(seed\)"):
        generate(make_gen(), per_class=100, seed=1, out=tmp_path / "bank", shard_size=64)
    with pytest.raises(OutputExistsError, match=r"other settings \(generator\)"):
        generate(make_gen(seed=5), per_class=100, out=tmp_path / "bank", shard_size=64)
    bank = generate(make_gen(), per_class=100, seed=1, out=tmp_path / "bank", shard_size=64, overwrite=True)
    fresh = generate(make_gen(), per_class=100, seed=1, out=tmp_path / "fresh")
    assert (bank.images == fresh.images).all()


def test_two_processes_do_not_write_one_output(gen, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    partial = tmp_path / ".bank.partial"
    partial.mkdir()
    with (partial / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(OutputExistsError, match="another process"):
            generate(gen, per_class=5, out=tmp_path / "bank")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"format": "parket"}, "parquet"),
        ({"shard_size": 100}, "multiple of 64"),
        ({"shard_size": 0}, "multiple of 64"),
        ({"seed": 1 << 63}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"shard": (3, 2)}, "shard"),
    ],
)
def test_wrong_requests_leave_nothing_behind(gen, tmp_path, request_, message):
    with pytest.raises(ConfigError, match=message):
        generate(gen, per_class=5, out=tmp_path / "out", **request_)
    assert list(tmp_path.iterdir()) == []


def test_stdout_stays_clean(gen, tmp_path, capsys):
    generate(gen, per_class=5, out=tmp_path / "bank")
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("format", ["bank", "parquet"])
def test_kill_and_go_on(make_gen, tmp_path, format):
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys, time
        import torch
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        torch.set_num_threads(1)
        from conftest import make_tiny
        from synthaug.sampling import generate
        gen = make_tiny()
        whole = gen.sample_named
        gen.sample_named = lambda *a: (time.sleep(0.2), whole(*a))[1]
        generate(gen, per_class=300, out=sys.argv[1], shard_size=64, format={format!r})
        """)
    )
    out = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, str(script), str(out)], stderr=subprocess.PIPE)
    journal = tmp_path / ".killed.partial" / ".done"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (journal.is_file() and len(journal.read_text().split()) >= 3):
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not out.exists()
    for path in (out, tmp_path / "whole"):
        generate(make_gen(), per_class=300, out=path, shard_size=64, format=format)
    assert tree(out) == tree(tmp_path / "whole")


@pytest.mark.parametrize("format", FORMATS)
def test_numpys_seeds_make_the_same_samples(gen, tmp_path, format):
    for seed, name in ((-3, "python"), (np.int64(-3), "numpy")):
        generate(gen, per_class=2, seed=seed, out=tmp_path / name, format=format)
    assert tree(tmp_path / "numpy") == tree(tmp_path / "python")
    assert (gen.sample({"boot": 2}, seed=np.int64(-3)) == gen.sample({"boot": 2}, seed=-3)).all()
