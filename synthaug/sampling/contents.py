"""Names of the files of samples in all formats: by these, earlier samples are told from a folder that is the user's."""

from __future__ import annotations

from synthaug.sampling.bank_files import HEADER, REJECTED
from synthaug.sampling.writers import list_formats, writer_class
from synthaug.storage import LOCK, MANIFEST, Contents

_BESIDE = (REJECTED, "rejected.png", "variations.png", "search.png", "README.md", ".done", LOCK)
"""Beside samples of any format: what curation and other verbs leave, the card, and what a run that goes on has."""


def sample_contents() -> Contents:
    """Return the files of samples, as all formats that are known name them."""
    files = dict.fromkeys(name for format in list_formats() for name in writer_class(format).files)
    return Contents("samples", (HEADER, MANIFEST), (*files, *_BESIDE), {HEADER: ("format", "format_version")})
