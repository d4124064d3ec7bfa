"""The model card that lies in a generator folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from synthaug import __version__

if TYPE_CHECKING:
    from synthaug.generators.base import Generator

_MOST_CLASSES = 50


def model_card(generator: Generator, digest: str) -> str:
    """Return the card in Markdown, with the front matter that the hub reads; ``digest`` is the generator's."""
    channels, height, width = generator.image_shape
    parameters = sum(parameter.numel() for parameter in generator.parameters())
    shown = [_escaped(name) for name in generator.classes[:_MOST_CLASSES]]
    if len(generator.classes) > _MOST_CLASSES:
        shown.append(f"… {len(generator.classes) - _MOST_CLASSES} more")
    facts = {
        "family": generator.family,
        "conditioning": generator.conditioning,
        "images": f"{height}×{width} pixels, {channels} channel{'s' if channels > 1 else ''}",
        "parameters": f"{parameters:,}",
        "precision": generator.precision,
        "digest": f"`{digest}`",
        "made with": f"synthaug {__version__}",
    }
    data = generator.provenance.get("dataset", {})
    if data:
        digest_of_data = data.get("digest", "withheld")  # for privacy's sake
        facts["trained on"] = (
            f"{_escaped(str(data.get('name')))} ({data.get('images')} images, digest `{digest_of_data}`)"
        )
    if generator.privacy is not None:
        facts["differential privacy"] = (
            f"{describe_privacy(generator.privacy)}; the number of images and the names of the classes are public"
        )
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    return f"""---
library_name: synthaug
tags: [synthaug, image-generation, data-augmentation]
---

# A class-conditional image generator

| | |
| --- | --- |
{rows}

Classes: {", ".join(shown)}

```python
import synthaug

gen = synthaug.load("PATH OR HUB ID OF THIS FOLDER")
images = gen.sample({{gen.classes[0]: 8}}, seed=0)  # uint8, (8, {channels}, {height}, {width})
```

Samples imitate the training images and carry over their biases; they may resemble single training images closely.
Measure whether they help before you use them, and how close they come before you publish them.
"""


def describe_privacy(privacy: Mapping[str, Any]) -> str:
    """Return a generator's ``privacy`` in words.

    Example:
        >>> describe_privacy({"epsilon": 2.996, "delta": 1e-5, "noise": "secret"})
        '(ε, δ) = (3, 1e-05) for one training image, added or removed'
    """
    epsilon = math.ceil(100 * privacy["epsilon"]) / 100  # rounded up, since a guarantee must not be overstated
    text = f"(ε, δ) = ({epsilon:g}, {privacy['delta']:g}) for one training image, added or removed"
    return text if privacy["noise"] == "secret" else f"{text}, against those only who do not know the noise's seed"


def _escaped(text: str) -> str:
    return "".join("\\" + character if character in "\\`*_{}[]<>()#+-.!|" else character for character in text)
