from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

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
