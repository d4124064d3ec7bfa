"""Join real and synthetic rows of Hugging Face datasets, with a column that tells them apart."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets.table import cast_table_to_schema

from synthaug.errors import ConfigError, DataError, LabelError, did_you_mean, listed
from synthaug.sampling.bank import SampleBank
from synthaug.sampling.policy_files import BankLike, resolve_bank

from ._dataset_fit import CommonShape, common_shape, encoded, fit_rows

SOURCES = ("real", "synthetic")
"""Names of the column ``source``, in the order of its labels."""

_SOURCE = "source"

Column = tuple[Callable[[pa.Table], Any], Any]
"""From a table to the values of a new column, and the feature of that column."""


def add_synthetic(
    real: Any,
    synthetic: Any,
    *,
    image_column: str | None = None,
    label_column: str | None = None,
    split: str = "train",
) -> Any:
    """Append synthetic rows to real ones, with a column ``source`` (ClassLabel real | synthetic).

    Image and label column take the real dataset's names and types; classes are matched by name, whatever
    their order. Other columns are kept, empty where a row has none; a synthetic one whose name is taken
    becomes ``synthetic_…``.

    Samples are fitted to the real images, as the transforms do: they take size and mode of these if all are of one
    size, and all grey or all RGB. That is judged by a few real images, of a table from all over it, of a stream the
    first ones, which are read for it when this is called; where sizes (or modes) differ, samples keep their own.

    Args:
        real: A Dataset or IterableDataset, or a dictionary of them by split.
        synthetic: A Dataset, an IterableDataset, or a `SyntheticImages` builder; or a `SampleBank`, the path of one, or
            of a ``policy.yaml`` (or its folder) as `synthaug recommend` writes it.
        image_column: Name of the real image column, if there are several.
        label_column: Name of the real label column, if there are several.
        split: The split of a dictionary that gets the synthetic rows; the others only get the columns.

    Returns:
        What ``real`` is. Shuffle it before training: the synthetic rows come last.

    Raises:
        LabelError: If the real classes lack one of the synthetic ones, or have no names.
        DataError: If a column cannot be found, or an iterable dataset is to be added to one that is not.

    Example:
        >>> def rows(names):
        ...     features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=names)}
        ...     columns = {"image": [np.zeros((4, 4), np.uint8)] * 2, "label": [0, 1]}
        ...     return datasets.Dataset.from_dict(columns, features=datasets.Features(features))
        >>> both = add_synthetic(rows(["boot", "sneaker"]), rows(["sneaker", "boot"]))
        >>> both["label"][:], both["source"][:]
        ([0, 1, 1, 0], [0, 0, 1, 1])
    """
    if isinstance(real, dict):
        if split not in real:
            raise DataError(f"split: expected one of {', '.join(real)}, but got {split!r}.{did_you_mean(split, real)}")
        joined = add_synthetic(real[split], synthetic, image_column=image_column, label_column=label_column)
        parts = {name: joined if name == split else _with_features(real[name], joined) for name in real}
        return type(real)(parts)
    if not isinstance(real, (datasets.Dataset, datasets.IterableDataset)):
        raise DataError(
            f"expected a Dataset or IterableDataset, or a dictionary of them, but got a {type(real).__name__}."
        )
    streaming = isinstance(real, datasets.IterableDataset)
    if not streaming and isinstance(synthetic, datasets.IterableDataset):
        raise DataError(
            "expected a synthetic Dataset for a real Dataset, but got an IterableDataset; "
            "use real.to_iterable_dataset()."
        )
    form = _stream_format(real) if streaming else None
    real = _known(real)
    image, label = find_columns(real.features, image_column, label_column)
    shape = common_shape(real, image)
    if isinstance(synthetic, (SampleBank, str, os.PathLike)):
        synthetic = _from_bank(synthetic, shape)
    if isinstance(synthetic, datasets.DatasetBuilder):
        synthetic = _from_builder(synthetic, streaming=streaming)
    if streaming:
        if isinstance(synthetic, datasets.Dataset):
            if not len(synthetic):  # a policy that says no; the library makes no stream of nothing
                return _with_source(real, "real").with_format(form)
            synthetic = synthetic.to_iterable_dataset()
        synthetic = _known(synthetic)
    synthetic = _with_source(_align(synthetic, real.features, image, label, shape), "synthetic")
    real_rows = _with_source(real, "real")
    if streaming:
        # Rows of both are laid out alike, else they cannot be shuffled: shuffling takes blocks of them as one table.
        features = datasets.Features({**synthetic.features, **real_rows.features})
        real_rows, synthetic = _laid_out(real_rows, features), _laid_out(synthetic, features)
        # The steps above read a stream as Arrow tables.
        return datasets.concatenate_datasets([real_rows, synthetic]).with_format(form)
    return _formatted(datasets.concatenate_datasets([real_rows, synthetic]), real)


def _stream_format(rows: Any) -> str | None:
    return rows._formatting.format_type if rows._formatting else None


def _known(rows: Any) -> Any:
    """Return rows whose features are known; those of a stream may have to be read off its first rows.

    Raises:
        DataError: If the stream has been split between processes, or its rows do not tell.
    """
    if isinstance(rows, datasets.Dataset):
        return rows
    if rows._distributed:
        raise DataError("expected a whole stream, but got a part of one: add samples before split_dataset_by_node.")
    try:
        return rows._resolve_features()
    except pa.ArrowInvalid as error:
        raise DataError(
            f"expected a stream that tells its features, but its rows cannot be read as a table ({error}). Add samples "
            "before map, or pass features= to it (or to from_generator)."
        ) from error


def _laid_out(rows: Any, features: Any) -> Any:
    """Give a stream's rows all these columns, in this order and layout, empty where it has none."""
    schema = features.arrow_schema

    def lay_out(table: pa.Table) -> pa.Table:
        return cast_table_to_schema(table, schema)

    return rows.with_format("arrow").map(lay_out, batched=True, features=features).with_format(None)


def _formatted(joined: Any, real: Any) -> Any:
    """Give the joined dataset the format of the real one, or its transform; all columns where that shows all."""
    form = real.format
    columns = None if form["columns"] == real.column_names else form["columns"]
    return joined.with_format(
        form["type"], columns=columns, output_all_columns=form["output_all_columns"], **form["format_kwargs"]
    )


def find_columns(features: Any, image_column: str | None, label_column: str | None) -> tuple[str, str]:
    """Return the names of image and label column: those given, else the only ones that may be meant.

    Raises:
        DataError: If there is none, or more than one; the message names them.
    """
    for name in (image_column, label_column):
        if name is not None and name not in features:
            raise DataError(
                f"expected a column among {', '.join(features)}, but got {name!r}.{did_you_mean(name, features)}"
            )
    images = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
    labels = [
        name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel) and name != _SOURCE
    ] or [name for name in ("label", "labels") if name in features]
    return (
        image_column or _only(images, "image", features),
        label_column or _only(labels, "label", features),
    )


def _only(found: Sequence[str], kind: str, features: Any) -> str:
    if len(found) == 1:
        return found[0]
    if "label" in found and kind == "label":
        return "label"
    raise DataError(
        f"expected one {kind} column, but got {', '.join(found) or 'none'} among {', '.join(features)}; "
        f"name it with {kind}_column."
    )


def _from_builder(builder: Any, *, streaming: bool) -> Any:
    if streaming:
        return builder.as_streaming_dataset(split="train")
    builder.download_and_prepare()
    return builder.as_dataset(split="train")


def _from_bank(bank: BankLike, shape: CommonShape) -> Any:
    found, _ = resolve_bank(bank)
    opened = found if isinstance(found, SampleBank) else SampleBank.open(os.fspath(found))
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(opened.classes))})
    images = [{"bytes": png, "path": None} for png in encoded(np.asarray(opened.images), shape)]
    return datasets.Dataset.from_dict({"image": images, "label": opened.labels.tolist()}, features=features)


def _align(synthetic: Any, features: Any, image: str, label: str, shape: CommonShape) -> Any:
    """Give synthetic rows the real dataset's column names, label numbers, image feature and images' shape."""
    # Samples of several label columns have them named as the real rows do.
    kinds = {image: datasets.Image, label: datasets.ClassLabel}
    same = [name if isinstance(synthetic.features.get(name), kind) else None for name, kind in kinds.items()]
    own_image, own_label = find_columns(synthetic.features, *same)
    taken = [name for name in synthetic.column_names if name not in (own_image, own_label, _SOURCE)]
    renamed = {name: f"synthetic_{name}" for name in taken if name in features or name in (image, label)}
    pairs = {own_image: image, own_label: label}
    synthetic = _renamed(synthetic, renamed)
    synthetic = _renamed(synthetic, {old: new for old, new in pairs.items() if old != new})
    translate = _translation(synthetic.features[label], features[label])
    if translate is not None:
        synthetic = _set_columns(
            synthetic, {label: (lambda table: translate[table.column(label).to_numpy()], features[label])}
        )
    synthetic = fit_rows(synthetic, image, shape)
    if synthetic.features[image] != features[image]:
        synthetic = synthetic.cast_column(image, features[image])
    return synthetic


def _renamed(rows: Any, names: dict[str, str]) -> Any:
    if not names or isinstance(rows, datasets.Dataset):
        return rows.rename_columns(names) if names else rows
    # The library's own way with streams decodes the images and encodes them anew.
    features = datasets.Features({names.get(name, name): feature for name, feature in rows.features.items()})

    def rename(table: pa.Table) -> pa.Table:
        return table.rename_columns([names.get(name, name) for name in table.column_names])

    return rows.with_format("arrow").map(rename, batched=True, features=features).with_format(None)


def _translation(own: Any, wanted: Any) -> Any:
    """Return an array from synthetic labels to real ones (numbers or names), or ``None`` if they are equal.

    `Dataset.align_labels_with_mapping` would do, but it takes names that differ by case for the same.
    """
    if not isinstance(own, datasets.ClassLabel):
        raise LabelError(f"expected a ClassLabel as the synthetic label column, but got {own}.")
    if isinstance(wanted, datasets.Value) and wanted.dtype in ("string", "large_string"):
        return np.array(own.names, dtype=object)
    if isinstance(wanted, datasets.Value) and wanted.dtype.startswith(("int", "uint")):
        try:  # what was learnt from such a column has its numbers for names
            return np.array([int(name) for name in own.names], dtype=np.int64)
        except ValueError:
            pass
    if not isinstance(wanted, datasets.ClassLabel):
        raise LabelError(
            f"expected a real label column with class names, but got {wanted}. Name the classes first, those of the "
            f"samples ({listed(own.names)}) as their numbers are in the "
            "real data: real.cast_column(column, datasets.ClassLabel(names=[...]))."
        )
    if own.names == wanted.names:
        return None
    unknown = [name for name in own.names if name not in wanted.names]
    if unknown:
        raise LabelError(
            f"expected synthetic classes among the real ones, but {unknown[0]!r} is not "
            f"({len(unknown)} of {len(own.names)} are unknown).{did_you_mean(unknown[0], wanted.names)}"
        )
    return np.array([wanted.names.index(name) for name in own.names], dtype=np.int64)


def _with_source(rows: Any, source: str) -> Any:
    wanted = datasets.ClassLabel(names=list(SOURCES))
    if _SOURCE in rows.features:
        if rows.features[_SOURCE] == wanted:
            return rows
        raise ConfigError(
            f"expected no column {_SOURCE!r} but ours, but the {source} dataset has one of "
            f"{rows.features[_SOURCE]}; rename it first with rename_column."
        )
    number = SOURCES.index(source)
    return _set_columns(rows, {_SOURCE: (lambda table: np.full(len(table), number, np.int64), wanted)})


def _with_features(rows: Any, joined: Any) -> Any:
    """Give the rows of another split the columns of the joined one: real, and empty for the rest."""
    form = _stream_format(rows) if isinstance(rows, datasets.IterableDataset) else None
    rows = _with_source(_known(rows), "real")
    missing = {name: feature for name, feature in joined.features.items() if name not in rows.features}
    empty = {name: (lambda table: [None] * len(table), feature) for name, feature in missing.items()}
    rows = _set_columns(rows, empty) if empty else rows
    return rows if isinstance(rows, datasets.Dataset) else rows.with_format(form)


def _set_columns(rows: Any, columns: dict[str, Column]) -> Any:
    """Add or replace columns without touching the others: images stay encoded as they are."""
    if isinstance(rows, datasets.Dataset):
        for name, (values, feature) in columns.items():
            table: Any = range(len(rows))
            if name in rows.features:
                table = rows.select_columns([name]).with_format("arrow")[:]
                rows = rows.remove_columns([name])
            rows = rows.add_column(name, values(table), feature=feature)
        return rows
    features = rows.features.copy()
    features.update({name: feature for name, (_, feature) in columns.items()})

    def change(table: pa.Table) -> pa.Table:
        for name, (values, feature) in columns.items():
            kind = datasets.Features({name: feature}).arrow_schema.field(0).type
            array = pa.array(values(table), type=kind)
            position = table.schema.get_field_index(name)
            table = table.append_column(name, array) if position < 0 else table.set_column(position, name, array)
        return table

    return rows.with_format("arrow").map(change, batched=True, features=features).with_format(None)
