"""The generator folder: ``config.json``, ``model.safetensors``, ``classes.json`` and ``README.md``.

Everything is JSON or safetensors: loading an untrusted folder runs no code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from synthaug import __version__
from synthaug.errors import ConfigError, FormatError, OutputExistsError
from synthaug.generators.base import Generator, Precision, check_image_shape
from synthaug.generators.card import model_card
from synthaug.generators.per_class import PerClassGenerator
from synthaug.generators.registry import family_class
from synthaug.storage import BANK, Contents, new_file, read_json, write_json
from synthaug.storage import digest as file_digest

FORMAT_VERSION = 1
CONFIG, WEIGHTS, CLASSES, CARD = "config.json", "model.safetensors", "classes.json", "README.md"
GENERATOR = Contents(
    "generator", (CONFIG,), (WEIGHTS, CLASSES, CARD), {CONFIG: ("format_version", "family", "image_shape")}
)


def make_generator(
    family: str,
    classes: Sequence[str],
    image_shape: Sequence[int],
    *,
    conditioning: str = "shared",
    precision: Precision = "fp32",
    options: Mapping[str, Any] | None = None,
) -> Generator:
    """Make an untrained generator.

    Args:
        family: Name of a registered family.
        classes: Names of the classes.
        image_shape: (C, H, W).
        conditioning: ``"shared"`` or ``"per_class"``.
        precision: Number format of the forward pass.
        options: Settings of the family's configuration that differ from the defaults.

    Raises:
        ConfigError: On an unknown family, conditioning, setting or image shape.
    """
    cls = family_class(family)
    config = cls.config_class.from_dict(options or {})
    shape = check_image_shape(image_shape)
    if conditioning == "shared":
        return cls(config, classes, shape, precision)
    if conditioning == "per_class":
        return PerClassGenerator(family, config, classes, shape, precision)
    raise ConfigError(f"expected conditioning 'shared' or 'per_class', but got {conditioning!r}.")


def save(generator: Generator, path: str | Path) -> Path:
    """Write a generator folder. A generator that is already there is replaced; other files of its names are not.

    Returns:
        The folder.

    Raises:
        OutputExistsError: If files of these names are there, but no generator.

    Example:
        >>> synthaug.save(gen, "runs/x")  # doctest: +SKIP
    """
    folder = Path(path).expanduser()
    taken = [name for name in (*GENERATOR.marks, *GENERATOR.others) if (folder / name).exists()]
    if taken and not GENERATOR.marked(folder):
        raise OutputExistsError(
            f"save: {folder} holds {', '.join(taken)}, but no generator of synthaug. Choose another folder."
        )
    return write_generator(generator, folder)


def write_generator(generator: Generator, folder: Path) -> Path:
    """Write a generator into a folder of its own, file by file, the configuration last, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    digest = generator.digest  # computed from all weights at each call
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in generator.state_dict().items()}
    with new_file(folder / WEIGHTS) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    write_json(folder / CLASSES, list(generator.classes))
    with new_file(folder / CARD) as temporary:
        temporary.write_text(model_card(generator, digest), encoding="utf-8")
    description = {"format_version": FORMAT_VERSION, "synthaug_version": __version__, **generator.identity()}
    del description["classes"]  # they have a file of their own
    made = {"digest": digest, "weights_digest": file_digest(folder / WEIGHTS), "provenance": generator.provenance}
    write_json(folder / CONFIG, description | made)
    return folder


def load(path: str | Path, *, device: str = "cpu", revision: str | None = None) -> Generator:
    """Load a generator from a folder or from the Hugging Face hub.

    Args:
        path: A folder, or a hub id such as ``"user/name"`` if there is no such folder.
        device: Where the weights go.
        revision: Branch, tag or commit on the hub.

    Raises:
        FormatError: If a file is missing or damaged, the format version is unknown, or weights do not fit.
        ConfigError: If the configuration names an unknown family or setting.

    Example:
        >>> gen = synthaug.load("runs/x")  # doctest: +SKIP
    """
    folder = _local_folder(path, revision)
    if not (folder / CONFIG).is_file() and (folder / "trainer_state").is_dir():
        raise FormatError(f"training in {folder} has not finished. Go on with resume=True (--resume).")
    if not (folder / CONFIG).is_file() and (folder / BANK).is_file():
        raise FormatError(f"expected a generator, but {folder} is a bank of samples. Open it with SampleBank.open.")
    config = read_json(folder / CONFIG)
    classes = read_json(folder / CLASSES)
    _check(config, classes, folder)
    with torch.random.fork_rng(devices=[]):  # initial weights are overwritten; they shall cost no random numbers
        generator = make_generator(
            config["family"],
            classes,
            config["image_shape"],
            conditioning=config["conditioning"],
            precision=config["precision"],
            options=_offline(config["model"]),
        )
    generator.config = generator.config_class.from_dict(config["model"])
    generator.sampling = generator.sampling_class.from_dict(config["sampling"])
    generator.provenance = config.get("provenance", {})
    try:
        weights_digest = file_digest(folder / WEIGHTS)
        generator.load_state_dict(load_file(folder / WEIGHTS))
    except FileNotFoundError as error:
        raise FormatError(f"expected the file {WEIGHTS} in {folder}, but it is missing.") from error
    except (SafetensorError, RuntimeError) as error:
        raise FormatError(f"the weights in {folder / WEIGHTS} do not fit its {CONFIG}: {error}") from error
    if config.get("weights_digest", weights_digest) != weights_digest:
        raise FormatError(
            f"{folder / WEIGHTS} is damaged, or not the one that {CONFIG} belongs to: its digest is another. Copy the "
            "whole folder again."
        )
    return generator.to(device).eval()


def _offline(options: dict[str, Any]) -> dict[str, Any]:
    """Weights come from the folder, so pretrained ones are not downloaded only to be overwritten."""
    return {name: False if name.endswith("_pretrained") else value for name, value in options.items()}


def _local_folder(path: str | Path, revision: str | None) -> Path:
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or str(path).count("/") != 1 or str(path).startswith((".", "~")):
        raise FormatError(f"expected a generator folder or a hub id like 'user/name', but {path} does not exist.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        patterns = [CONFIG, WEIGHTS, CLASSES, CARD]
        return Path(snapshot_download(str(path), revision=revision, allow_patterns=patterns))
    except (HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError, OSError) as error:
        raise FormatError(
            f"expected a generator folder or a hub id, but there is no folder {path} and the hub answered: {error}"
        ) from error


def _check(config: Any, classes: Any, folder: Path) -> None:
    required = ("format_version", "family", "conditioning", "image_shape", "precision", "model", "sampling")
    missing = [key for key in required if not isinstance(config, dict) or key not in config]
    if missing:
        raise FormatError(f"{folder / CONFIG} is no generator configuration: it lacks {', '.join(missing)}.")
    if config["format_version"] != FORMAT_VERSION:
        raise FormatError(
            f"expected a generator folder of format version {FORMAT_VERSION}, but {folder} has version "
            f"{config['format_version']!r}. It was written by synthaug {config.get('synthaug_version')}."
        )
    if not isinstance(classes, list) or not classes or not all(isinstance(name, str) for name in classes):
        raise FormatError(f"{folder / CLASSES} must hold a list of class names.")
    if config["precision"] not in ("fp32", "bf16"):
        raise FormatError(f"expected precision 'fp32' or 'bf16' in {folder / CONFIG}, but got {config['precision']!r}.")
