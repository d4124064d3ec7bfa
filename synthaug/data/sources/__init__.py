"""One file for each kind of source, and one place that tells which kind a user's source is.

A source lists its rows cheaply and names its content (`base.Source`); decoding and caching are the same for
all.
"""

from __future__ import annotations
