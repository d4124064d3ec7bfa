"""The README of an output: what the images are, what made them, how to read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from synthaug import __version__
from synthaug.sampling.job import Job
from synthaug.storage import new_file

_MOST_CLASSES = 50


def write_card(folder: Path, job: Job, data_files: str, how_to_read: str) -> None:
    """Write ``README.md``, a dataset card with the provenance of the samples.

    Args:
        folder: The output.
        job: What was made.
        data_files: Pattern of the files of data. Said outright, since `datasets` takes a folder of a class called
            "train" or "test" for a split.
        how_to_read: A line of Python that reads the output.
    """
    channels, height, width = job.image_shape
    numbers = np.bincount(job.plan.labels, minlength=len(job.classes))
    rows = [f"| {label} | {_cell(job.classes[label])} | {numbers[label]} |" for label in range(len(job.classes))]
    if len(rows) > _MOST_CLASSES:
        rows = [*rows[:_MOST_CLASSES], f"| … | {len(rows) - _MOST_CLASSES} more | |"]
    part = f"\n- part: {job.part[0]} of {job.part[1]}" if job.part else ""
    text = f"""---
tags:
- synthetic
- synthaug
task_categories:
- image-classification
configs:
- config_name: default
  data_files:
  - split: train
    path: "{data_files}"
---

# Synthetic images

{len(job.plan):,} images of {height}×{width} pixels and {channels} channel{"s" if channels > 1 else ""}, drawn from a
class-conditional generator. **No image is a photograph**; keep them out of validation and test sets.

- generator: family `{job.family}`, digest `{job.generator}`
- seed: {job.seed}{part}
- made with: synthaug {__version__}, on {job.device}

A sample is a pure function of its name: generator digest, seed, class and index, which stand beside each image. The
same names give the same pixels again.

```python
{how_to_read}
```

| label | class | images |
| --- | --- | --- |
{chr(10).join(rows)}
"""
    with new_file(folder / "README.md") as temporary:
        temporary.write_text(text, encoding="utf-8")


def _cell(text: str) -> str:
    shown = text if text.isprintable() else text.encode("unicode_escape").decode()
    return shown.replace("|", "\\|")
