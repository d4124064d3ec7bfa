"""Columns as Hugging Face `datasets` writes them: features in the schema, images as bytes and path."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from synthaug.sampling.job import Job

PROVENANCE = {
    "class_name": "string",
    "seed": "int64",
    "index": "int64",
    "generator": "string",
    "family": "string",
}
"""Columns that name a sample, with their types."""


def schema(first: dict[str, tuple[pa.DataType, dict[str, Any]]], classes: Sequence[str]) -> pa.Schema:
    """Return the schema of some first columns, then ``label`` as ClassLabel, then the provenance.

    Args:
        first: Arrow type and feature, as `datasets` spells it in JSON, by column name.
        classes: Names of the classes.
    """
    import pyarrow as pa

    fields = [(name, kind) for name, (kind, _) in first.items()]
    features = {name: feature for name, (_, feature) in first.items()}
    fields.append(("label", pa.int64()))
    features["label"] = {"names": list(classes), "_type": "ClassLabel"}
    for name, kind in PROVENANCE.items():
        fields.append((name, pa.type_for_alias(kind)))
        features[name] = {"dtype": kind, "_type": "Value"}
    described = json.dumps({"info": {"features": features}})
    return pa.schema(fields, metadata={"huggingface": described})


def provenance_columns(job: Job, rows: slice) -> list[pa.Array]:
    """Return ``label`` and the provenance of some samples, in the order of `schema`."""
    import pyarrow as pa

    table = job.table(rows)
    columns = [table.column("label").combine_chunks()]
    for name, kind in PROVENANCE.items():
        columns.append(table.column(name).combine_chunks().cast(pa.type_for_alias(kind)))
    return columns


def sample_keys(job: Job, rows: slice) -> list[str]:
    """Return a name for each sample that is unique among all samples of a generator and has no dot."""
    labels, indices = job.plan.labels[rows].tolist(), job.plan.indices[rows].tolist()
    return [f"{label:05d}-{index:08d}-s{job.seed}" for label, index in zip(labels, indices, strict=True)]
