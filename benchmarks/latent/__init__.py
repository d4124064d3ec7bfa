"""Uses of the latent space, measured."""

from __future__ import annotations

from typing import Any

from synthaug.generators import Generator


def describe_generator(gen: Generator) -> dict[str, Any]:
    """Return what tells a generator from others, as JSON-able values."""
    return {"family": gen.family, "digest": gen.digest, "settings": gen.config.to_dict()}
