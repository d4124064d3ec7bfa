from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys, synthaug
data = synthaug.ImageDataset.load("digits").few_shot(5, seed=0)
generator = synthaug.fit(data, sys.argv[1], steps=3, out=sys.argv[2], width=8, batch_size=8, progress=False)
print("digest", generator.digest)
alone = synthaug.fit(data, sys.argv[1], steps=3, width=8, batch_size=8, progress=False)  # each its own weights
print("digest", alone.digest)
"""


@pytest.mark.slow
@pytest.mark.parametrize("family", ["vae", "gan"])
def test_two_processes_train_one_generator(family: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(tmp_path / "script.py")]
    done = subprocess.run([*command, family, str(tmp_path / "run")], capture_output=True, text=True, check=True)
    digests = {line for line in done.stdout.splitlines() if line.startswith("digest")}
    assert done.stdout.count("digest") == 4
    assert len(digests) == 1, "the processes' weights drift apart"
    assert json.loads((tmp_path / "run" / "run.json").read_text())["processes"] == 2
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1, "both processes wrote"
