"""Output formats, one file each: a `Writer` gets shards of decoded samples and writes each one whole.

A new format is one new file with a class that `register_writer` decorates.
"""

from __future__ import annotations

from synthaug.sampling.writers.base import Writer, list_formats, register_writer, writer_class

__all__ = ["Writer", "list_formats", "register_writer", "writer_class"]
