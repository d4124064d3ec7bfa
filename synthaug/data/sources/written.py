"""Image folders that ``synthaug generate`` wrote: which classes there are, and which one a class folder holds.

A folder's name is not always its class's (``T-shirt%2Ftop``), and a class without samples has no folder. What the
output says of itself is only compared with names of folders that are there: no path in it is opened.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from synthaug.data.sources.tables import features_of
from synthaug.storage import MANIFEST, METADATA

_COLUMNS = {"file_name", "label", "class_name", "seed", "index", "generator", "family"}


def written_classes(folder: Path) -> list[str] | None:
    """Return the class names of an image folder that ``synthaug generate`` wrote, in the order of their labels.

    The metadata tells them, or, where that is missing, the manifest. None for any other folder.
    """
    for names in (_in_metadata(folder / METADATA), _in_manifest(folder / MANIFEST)):
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
            return names
    return None


def classes_of_folders(folders: Iterable[str], classes: Sequence[str]) -> dict[str, str]:
    """Return the class of each folder, by the folder's name; a folder that stands for none of ``classes`` is left out.

    Undoes what `synthaug.sampling.folder_names` does to class names.

    Example:
        >>> classes_of_folders(["T-shirt%2Ftop", "hat"], ["T-shirt/top", "zero."])
        {'T-shirt%2Ftop': 'T-shirt/top'}
    """
    known = set(classes)
    shortened = {hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:32]: name for name in classes}
    found = ((folder, _decoded(folder, shortened)) for folder in folders)
    return {folder: name for folder, name in found if name in known}


def _decoded(folder: str, shortened: dict[str, str]) -> str | None:
    if folder == "%":
        return ""
    _, cut, digest = folder.rpartition("%-")
    if cut:
        return shortened.get(digest)
    try:
        # Letters are kept composed; macOS may hand them back in parts.
        return unquote(unicodedata.normalize("NFC", folder), errors="surrogatepass")
    except UnicodeDecodeError:
        return None  # percent signs of another's making


def _in_metadata(path: Path) -> Any:
    try:
        with path.open("rb") as stream:
            schema = pq.read_schema(stream)
    except (pa.ArrowException, OSError):
        return None
    return features_of(schema).get("label", {}).get("names") if set(schema.names) >= _COLUMNS else None


def _in_manifest(path: Path) -> Any:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    ours = isinstance(manifest, dict) and manifest.get("format") == "imagefolder"
    return manifest.get("classes") if ours else None
