"""Where a number was measured: versions, processor, cores. Goes beside every result."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

_PACKAGES = ("synthaug", "torch", "torchvision", "timm", "accelerate", "torchmetrics", "numpy", "scikit-learn")


def describe_environment() -> dict[str, Any]:
    """Return versions and machine as JSON-able values; names no path, user or host.

    Example:
        >>> sorted(describe_environment())
        ['machine', 'versions']
    """
    import torch

    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "versions": versions,
        "machine": {
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "torch_threads": torch.get_num_threads(),
            "accelerator": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
            "system": f"{platform.system()} {platform.machine()}",
        },
    }


def describe_command(*program: str) -> str:
    """Return the command that is running, as a shell takes it; of absolute paths only the last part is kept.

    Args:
        program: What starts it, such as ``"python", "-m", "benchmarks.speed"``.

    Example:
        >>> import sys
        >>> sys.argv, before = ["x", "--out=/home/me/runs", "/data/photos", "--steps", "5"], sys.argv
        >>> describe_command("synthaug", "fit")
        'synthaug fit --out=runs photos --steps 5'
        >>> sys.argv = before
    """
    return shlex.join([*program, *map(_without_folders, sys.argv[1:])])


def _without_folders(word: str) -> str:
    flag, equals, value = word.rpartition("=")
    return f"{flag}{equals}{Path(value).name}" if value.startswith("/") and len(value) > 1 else word


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
