from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
import torch
from accelerate import Accelerator

from synthaug.data import ImageDataset
from synthaug.errors import DivergenceError, TrainingInterrupted
from synthaug.generators import make_generator
from synthaug.training import TrainingConfig
from synthaug.training.loop import Trainer
from synthaug.training.watcher import Watcher

SCRIPT = """
import os, pathlib, sys, synthaug
def tell(kind, digest):  # in files: lines of two processes run into each other
    pathlib.Path(f"{sys.argv[2]}.{kind}{os.environ['RANK']}").write_text(digest)
data = synthaug.ImageDataset.load("digits").few_shot(5, seed=0)
generator = synthaug.fit(data, sys.argv[1], steps=3, out=sys.argv[2], width=8, batch_size=8, progress=False)
tell("saved", generator.digest)
alone = synthaug.fit(data, sys.argv[1], steps=3, width=8, batch_size=8, progress=False)  # each its own weights
tell("alone", alone.digest)
"""


@pytest.mark.slow
@pytest.mark.parametrize("family", ["vae", "gan"])
def test_two_processes_train_one_generator(family: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(tmp_path / "script.py")]
    subprocess.run([*command, family, str(tmp_path / "run")], capture_output=True, text=True, check=True)
    digests = {path.name: path.read_text() for path in tmp_path.glob("run.*")}
    assert sorted(digests) == ["run.alone0", "run.alone1", "run.saved0", "run.saved1"]
    assert len(set(digests.values())) == 1, "the processes' weights drift apart"
    assert json.loads((tmp_path / "run" / "run.json").read_text())["processes"] == 2
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1, "both processes wrote"


STOPPED = """
import os, pathlib, signal, sys, synthaug
from synthaug.training.loop import Trainer
step = Trainer._train_step
def told_to_stop(trainer):
    if trainer.step == 1 and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGTERM)
    return step(trainer)
Trainer._train_step = told_to_stop
data = synthaug.ImageDataset.load("digits").few_shot(5, seed=0)
try:
    synthaug.fit(data, steps=300, out=sys.argv[1], width=8, batch_size=8, progress=False)
except synthaug.errors.TrainingInterrupted as error:
    pathlib.Path(f"{sys.argv[1]}.{os.environ['RANK']}").write_text(str(error))
"""


@pytest.mark.slow
def test_where_one_process_is_told_to_stop_all_do(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(STOPPED)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(tmp_path / "script.py")]
    subprocess.run([*command, str(tmp_path / "run")], capture_output=True, text=True, check=True, timeout=120)
    for path in (tmp_path / "run.0", tmp_path / "run.1"):
        assert "after step 2 of 300" in path.read_text()


class _Pair:
    """Stands for the accelerator of one of two processes; the other one casts the given votes."""

    num_processes, process_index, is_main_process = 2, 0, True
    device = torch.device("cpu")

    def __init__(self, *others: bool) -> None:
        self.others = torch.tensor(others, dtype=torch.float32)

    def reduce(self, values: torch.Tensor, reduction: str) -> torch.Tensor:
        return values + self.others if reduction == "sum" and values.shape == self.others.shape else values

    def wait_for_everyone(self) -> None:
        pass


@pytest.mark.parametrize(
    ("votes", "error", "message"),
    [
        ((False, True), TrainingInterrupted, "after step 1 of 3"),
        ((True,), DivergenceError, "at step 0: the loss of vae diverged in another process"),
    ],
)
def test_what_another_process_votes_for_is_done(
    votes: tuple[bool, ...], error: type[Exception], message: str, digits: ImageDataset
) -> None:
    generator = make_generator("vae", digits.classes, digits.image_shape, options={"width": 4})
    trainer = Trainer(generator, digits, TrainingConfig(steps=3, batch_size=4), cast(Accelerator, _Pair(*votes)))
    with Watcher(None, 3, 4, shown=False) as watcher, pytest.raises(error, match=message):
        trainer.run(watcher, lambda: False)
