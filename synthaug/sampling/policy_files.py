"""Policies on disk, as `synthaug recommend` writes them: where a bank is asked for, such a file may be given instead.

A policy file is YAML beside its bank. It says whether samples are to be used at all; if they are not, it stands for an
empty bank, with which every transform leaves images as they are.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from synthaug.errors import DataWarning, FormatError
from synthaug.sampling.bank import SampleBank
from synthaug.sampling.bank_files import HEADER

POLICY_FILE = "policy.yaml"
FORMAT_VERSION = 1

BankLike = SampleBank | str | os.PathLike[str]

_DEFAULT_PROBABILITY = 0.5


@dataclasses.dataclass(frozen=True)
class PolicyFile:
    """What a policy file says.

    Attributes:
        path: The file.
        recommended: Whether samples are to be used.
        bank: Folder of the bank; `None` where samples are not to be used.
        policy: Settings of `synthaug.classifiers.Policy`.
        classes: Names of the classes.
        image_shape: (C, H, W).
        values: All that the file holds.
    """

    path: Path
    recommended: bool
    bank: Path | None
    policy: dict[str, Any]
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    values: dict[str, Any]

    def open_bank(self) -> SampleBank:
        """Open the bank; an empty one stands for "no samples"."""
        if self.bank is not None:
            return SampleBank.open(self.bank)
        channels, height, width = self.image_shape
        return SampleBank.from_arrays(np.zeros((0, height, width, channels), np.uint8), np.zeros(0, int), self.classes)


def find_policy_file(path: str | os.PathLike[str]) -> Path | None:
    """Return the policy file that a path means: itself, or the one in a folder that is no bank; `None` if none."""
    place = Path(path).expanduser()
    if place.suffix in (".yaml", ".yml"):
        return place
    inside = place / POLICY_FILE
    return inside if inside.is_file() and not (place / HEADER).is_file() else None


def read_policy_file(path: str | os.PathLike[str]) -> PolicyFile:
    """Read a policy file, or the one in a folder.

    Raises:
        FormatError: If it is missing, damaged or of another version.
    """
    file = find_policy_file(path) or Path(path).expanduser() / POLICY_FILE
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
        found = PolicyFile(
            path=file,
            recommended=bool(values["recommended"]),
            bank=file.parent / values["bank"] if values["recommended"] else None,
            policy=dict(values["policy"]),
            classes=tuple(values["classes"]),
            image_shape=tuple(values["image_shape"]),
            values=values,
        )
    except OSError as error:
        raise FormatError(f"expected a policy file, but cannot read {file}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise FormatError(
            f"{file} is no policy as synthaug recommend writes it: {' '.join(str(error).split())}"
        ) from error
    if values.get("format_version") != FORMAT_VERSION:
        raise FormatError(
            f"expected a policy of format version {FORMAT_VERSION}, but {file} has {values.get('format_version')!r}."
        )
    return found


def resolve_bank(bank: BankLike, p: float | None = None, *, mixes: bool = False) -> tuple[BankLike, float]:
    """Return a bank, or the path of one, and the probability of a sample.

    Args:
        bank: A bank, the path of one, or the path of a policy file or of its folder.
        p: Takes precedence over the policy's probability; `None` takes that, or 0.5 with a bank alone.
        mixes: Whether images are mixed with samples, rather than these put in their place or beside them.

    Warns:
        DataWarning: If the policy wants the other of these.

    Example:
        >>> resolve_bank("bank"), resolve_bank("bank", 0.3)
        (('bank', 0.5), ('bank', 0.3))
    """
    file = None if isinstance(bank, SampleBank) else find_policy_file(bank)
    if file is None:
        return bank, _DEFAULT_PROBABILITY if p is None else p
    policy = read_policy_file(file)
    mode = policy.policy.get("mode")
    if policy.recommended and (mode == "mix") != mixes:
        warnings.warn(
            f"{file} was measured in mode {mode!r}, but this {'mixes' if mixes else 'does not mix'} images. "
            f"Take transform() or apply() of synthaug.recommendation.RecommendedPolicy.load({str(file.parent)!r}).",
            DataWarning,
            stacklevel=3,
        )
    if p is None:
        p = policy.policy.get("replace_probability", _DEFAULT_PROBABILITY) if policy.recommended else 0.0
    return policy.bank or policy.open_bank(), p
