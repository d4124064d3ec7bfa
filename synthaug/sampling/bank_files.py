"""The files of a bank's folder: how they are written, read and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synthaug.errors import FormatError
from synthaug.storage import BANK, new_file, partial_path, read_json, write_json

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = "synthaug.bank"
FORMAT_VERSION = 1
HEADER, IMAGES, LABELS, TABLE = BANK, "images.npy", "labels.npy", "table.parquet"
WEIGHT = "weight"
"""Column of the table that weighs samples in the loss."""
REJECTED = "rejected.parquet"
"""Only in curated banks."""


def write_all_but_images(
    folder: Path,
    labels: NDArray[np.int64],
    classes: Sequence[str],
    image_shape: tuple[int, int, int],
    table: pa.Table,
    provenance: Mapping[str, Any],
    name: str,
    rejected: pa.Table | None = None,
) -> None:
    """Write a bank's files beside ``images.npy``; ``bank.json`` comes last, so it marks a whole bank."""
    import pyarrow.parquet as pq

    with new_file(folder / LABELS) as temporary, temporary.open("wb") as stream:
        np.lib.format.write_array(stream, np.asarray(labels), allow_pickle=False)
    with new_file(folder / TABLE) as temporary:
        pq.write_table(table, temporary)
    if rejected is not None and rejected.num_rows:
        with new_file(folder / REJECTED) as temporary:
            pq.write_table(rejected, temporary)
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "count": len(labels),
        "classes": list(classes),
        "image_shape": list(image_shape),
        "digest": name,
        "provenance": dict(provenance),
    }
    write_json(folder / HEADER, header)


def read_header(folder: Path) -> dict[str, Any]:
    """Read and check ``bank.json``, and that the other files are there.

    Raises:
        FormatError: If a file is missing or damaged, or the bank is of another version.
    """
    if not (folder / HEADER).is_file():
        raise FormatError(
            f"expected a sample bank in {folder}, but {_what_is_there(folder)}. "
            "Make one with synthaug.generate(..., format='bank')."
        )
    header: dict[str, Any] = read_json(folder / HEADER)
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise FormatError(f"expected {folder / HEADER} to describe a sample bank, but it says something else.")
    if header.get("format_version") != FORMAT_VERSION:
        raise FormatError(
            f"expected a sample bank of format version {FORMAT_VERSION} in {folder}, "
            f"but got version {header.get('format_version')!r}; update synthaug or make the bank anew."
        )
    missing_keys = {"count", "classes", "image_shape", "digest", "provenance"} - header.keys()
    if missing_keys:
        raise FormatError(f"{folder / HEADER} is damaged: {', '.join(sorted(missing_keys))} missing.")
    for name in (IMAGES, LABELS, TABLE):
        if not (folder / name).is_file():
            raise FormatError(f"the sample bank in {folder} is incomplete: the file {name} is missing.")
    return header


def _what_is_there(folder: Path) -> str:
    if not folder.exists():
        if partial_path(folder).is_dir():
            return "its generation was not finished (run the same command again to go on)"
        return "there is no such folder"
    if (folder / "config.json").is_file():
        return "that is a generator folder"
    return f"the file {HEADER} is missing there"


def map_array(path: Path, dtype: type[np.generic]) -> NDArray[Any]:
    """Map an array read-only.

    Raises:
        FormatError: If the file is cut short, no array or of another type.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise FormatError(f"{path} cannot be read: {error}") from error
    if array.dtype != dtype:
        raise FormatError(f"{path} is damaged: expected {np.dtype(dtype)}, but got {array.dtype}.")
    return array
