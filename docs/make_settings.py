"""``python docs/make_settings.py``: write settings.md, a table of every configuration, from the docstrings."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

from synthaug.classifiers import ClassifierConfig, Policy
from synthaug.config import Config
from synthaug.curation.base import filter_class, list_filters
from synthaug.curation.reference import ReferenceConfig
from synthaug.generators import family_class, list_families
from synthaug.training import TrainingConfig

PAGE = Path(__file__).with_name("settings.md")

_HEAD = """# All settings

What commands take as flags (`latent_dim` is `--latent-dim`) beside those that `synthaug VERB --help` shows, and Python
as keyword arguments. A value that does not fit is refused, with the nearest name where one is unknown. `--config
FILE.yaml` gives defaults for flags and settings alike; what a command used is saved beside its result (`cli.yaml`;
`.cli.yaml` in a folder of samples), and can be given as `--config` again.

Written from the docstrings by `python docs/make_settings.py`.
"""


def page() -> str:
    """Return the whole page."""
    parts = [_HEAD, _section("Training of every family", "`synthaug fit`, `compare`; `synthaug.fit`", TrainingConfig)]
    for name in list_families():
        family = family_class(name)
        parts.append(_section(f"Family `{name}`", f"`synthaug fit --family {name}`", family.config_class))
        where = "`synthaug generate` and `gen.with_sampling(…)`"
        parts.append(_section(f"Sampling of `{name}`", where, family.sampling_class))
    parts.append(
        _section("Classifiers", "`synthaug recommend`, `evaluate`, `search`; `train_classifier`", ClassifierConfig)
    )
    parts.append(_section("How samples enter training", "`synthaug.classifiers.Policy`", Policy))
    where = "`--set reference.NAME=VALUE` of `synthaug curate` and `generate --curate`"
    parts.append(_section("What filters learn from", where, ReferenceConfig))
    for name in list_filters():
        parts.append(_section(f"Filter `{name}`", f"`--set {name}.NAME=VALUE`", filter_class(name)))
    return "\n".join(parts)


def descriptions(config: type[Config]) -> dict[str, str]:
    """Return what the docstrings of a configuration and of those it is made from say of each setting."""
    found: dict[str, str] = {}
    for base in config.__mro__:
        text = inspect.cleandoc(base.__doc__ or "")
        section = re.search(r"^Attributes:\n((?:[ \n].*\n?)*)", text + "\n", re.M)
        for name, words in re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section[1] if section else "", re.M):
            found.setdefault(name, " ".join(words.split()))
    return found


def _section(title: str, where: str, config: type[Config]) -> str:
    known = descriptions(config)
    rows = [
        f"| `{field.name}` | {_default(field)} | {_cell(known[field.name])} |" for field in dataclasses.fields(config)
    ]
    table = ["| setting | default | what it is |", "| --- | --- | --- |", *rows] if rows else ["No settings."]
    return "\n".join([f"## {title}", "", f"{where}.", "", *table, ""])


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
        return ""
    value = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f"`{text}`" if text else "empty"


def _cell(text: str) -> str:
    """Return a docstring's words as Markdown in a table's cell."""
    return text.replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
