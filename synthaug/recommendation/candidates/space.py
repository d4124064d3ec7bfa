"""What can be recommended: ways of making samples, and ways of using them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from synthaug.classifiers.policy import Policy
from synthaug.config import Config
from synthaug.generators import family_class

RATIOS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Samples for each real image; 0, real images alone, is always in the race beside these."""

Mode = Literal["replace", "add", "mix", "weight", "first"]
ClassSet = Literal["all", "rarest", "hardest"]
MODES: tuple[Mode, ...] = get_args(Mode)
CLASS_SETS: tuple[ClassSet, ...] = get_args(ClassSet)

UNLABELLED = "unlabelled"
"""Family of a candidate that takes real images without labels, labelled by classifiers, in place of samples."""

_WEIGHT = 0.3
_FIRST = 0.5


@dataclasses.dataclass(frozen=True)
class Arm(Config):
    """A kind of generator.

    Attributes:
        family: Its family.
        conditioning: ``"shared"`` or ``"per_class"``.
    """

    family: str = "vae"
    conditioning: Literal["shared", "per_class"] = "shared"


@dataclasses.dataclass(frozen=True)
class Candidate(Config):
    """One way of making and using samples.

    Attributes:
        family: Of the generator; or `UNLABELLED`.
        conditioning: Of the generator.
        sampling: Sampling setting and its value, such as ``"temperature=0.7"``; empty for the family's own.
        curated: Whether only samples that pass curation are used.
        ratio: Samples for each real image. They are spread evenly over all classes; with ``classes`` other than
            ``"all"`` only those of some classes are used.
        mode: ``"replace"``, ``"add"`` or ``"mix"`` as in `synthaug.classifiers.Policy`; ``"weight"`` adds samples that
            weigh 0.3; ``"first"`` adds them for the first half of the steps.
        classes: ``"all"``, ``"rarest"`` or ``"hardest"``.
    """

    family: str = "vae"
    conditioning: Literal["shared", "per_class"] = "shared"
    sampling: str = ""
    curated: bool = False
    ratio: float = 1.0
    mode: Mode = "add"
    classes: ClassSet = "all"

    @property
    def arm(self) -> Arm:
        """The generator that it takes."""
        return Arm(self.family, self.conditioning)

    @property
    def sampling_settings(self) -> dict[str, float]:
        """Settings for `Generator.with_sampling`."""
        name, equals, value = self.sampling.partition("=")
        return {name: float(value)} if equals else {}

    def policy(self, class_names: tuple[str, ...] | None = None) -> Policy:
        """Return how samples enter training; the bank holds just those that are wanted.

        Args:
            class_names: The classes that ``classes`` stands for; `None` for all.

        Example:
            >>> Candidate(ratio=1, mode="weight").policy().loss_weight
            0.3
        """
        return Policy(
            mode=self.mode if self.mode in ("replace", "mix") else "add",
            replace_probability=self.ratio / (1 + self.ratio),
            loss_weight=_WEIGHT if self.mode == "weight" else 1.0,
            real_only_after=_FIRST if self.mode == "first" else 1.0,
            classes=class_names,
        )


def sampling_widths(family: str) -> tuple[str, ...]:
    """Return the family's own sampling, a narrower one, and a wider or guided one."""
    guided = "guidance" in family_class(family).sampling_class.field_names()
    return ("", "guidance=2", "temperature=0.8") if guided else ("", "temperature=0.7", "temperature=1.3")


@dataclasses.dataclass(frozen=True)
class ClassSets:
    """Sets of classes that samples may be restricted to; `None` where a set makes no sense.

    Attributes:
        rarest: Classes with the fewest images; `None` when classes are of about one size.
        hardest: Classes that the real-only arm finds least often.
    """

    rarest: tuple[str, ...] | None
    hardest: tuple[str, ...] | None

    def names(self, which: str) -> tuple[str, ...] | None:
        """Return the names of ``"all"`` (`None`), ``"rarest"`` or ``"hardest"``."""
        return None if which == "all" else self.rarest if which == "rarest" else self.hardest

    @property
    def available(self) -> tuple[ClassSet, ...]:
        """The sets there are."""
        return tuple(which for which in CLASS_SETS if which == "all" or self.names(which))


def class_sets(classes: Sequence[str], counts: Sequence[int], recalls: Sequence[float | None]) -> ClassSets:
    """Find the rarest and the hardest classes that have images: four, or half of fewer than eight.

    Args:
        classes: Names of the classes.
        counts: Real training images of each.
        recalls: Validation recall of the real-only arm for each class; `None` where unknown.

    Example:
        >>> class_sets(["a", "b", "c", "d"], [90, 5, 40, 60], [0.9, 0.5, 0.4, 0.8])
        ClassSets(rarest=('b', 'c'), hardest=('b', 'c'))
    """
    present = np.flatnonzero(counts)
    number = min(4, len(present) // 2)
    if number == 0:
        return ClassSets(None, None)
    sizes = np.asarray(counts)[present]
    rarest = np.sort(present[np.argsort(sizes, kind="stable")[:number]])
    uneven = sizes.max() >= 2 * sizes.min()
    found = np.array([1.0 if recall is None else recall for recall in recalls] or [1.0] * len(classes))[present]
    hardest = np.sort(present[np.argsort(found, kind="stable")[:number]])
    even = bool((found == found[0]).all())
    return ClassSets(
        tuple(classes[label] for label in rarest) if uneven else None,
        None if even else tuple(classes[label] for label in hardest),
    )


def candidates(
    number: int,
    arms: Sequence[Arm],
    sets: ClassSets,
    *,
    ratios: Sequence[float] = RATIOS,
    curation: bool = True,
    unlabelled: bool = False,
    seed: int = 0,
) -> list[Candidate]:
    """Choose that many candidates of the whole grid: the usual ones first, then others at random.

    Args:
        number: How many; fewer if there are not as many.
        arms: Kinds of generators.
        sets: Classes that samples may be restricted to.
        ratios: Ratios above 0.
        curation: Whether curated samples are to be had.
        unlabelled: Whether there are images without labels. Beside few labelled ones they gained more than samples.
        seed: Of the choice.
    """
    offered = [ratio for ratio in ratios if ratio > 0]
    if number < 1 or not offered or not arms:
        return []
    half, one = (min(offered, key=lambda ratio: abs(ratio - wanted)) for wanted in (0.5, 1))
    some = sets.available[1] if len(sets.available) > 1 else "all"
    # First what gained most often beside tuned augmentation: real images mixed with samples, a third of each batch, and
    # in a long tail half of the images of the rarest classes alone, all as the generator draws them
    # (benchmarks/results/downstream/summary.json). Curated samples, mixed, gained a point less
    # (benchmarks/results/recommendation_curated.json). Samples that are added are curated where there is
    # time for it: of a generator that had little time they cost a classifier five points on average as they came, and
    # about nothing when curated (benchmarks/results/recommendation_4_minutes.json).
    in_a_tail = [{"mode": "replace", "classes": "rarest", "curated": False}] if sets.rarest else []
    usual: list[dict[str, Any]] = [
        {"mode": "mix", "curated": False},
        {"mode": "replace", "ratio": half, "curated": False},
        *in_a_tail,
        {"mode": "mix"},
        {"mode": "add"},
        {"mode": "replace"},
        {"mode": "add", "classes": some},
        {"mode": "first"},
        {"mode": "weight", "ratio": max(offered)},
        {"mode": "replace", "ratio": min(offered), "sampling": "narrow"},
        {"mode": "add", "ratio": max(offered), "classes": some},
    ]
    modes: tuple[Mode, ...] = ("replace", "mix")
    chosen = []
    if unlabelled:
        chosen = [Candidate(UNLABELLED, ratio=one, mode=mode) for mode in modes]
    # The kinds of generators take turns, until each has had every usual setting.
    for turn, (position, settings) in itertools.product(range(len(arms)), enumerate(usual)):
        arm = arms[(position + turn) % len(arms)]
        if settings.get("sampling"):
            settings = settings | {"sampling": sampling_widths(arm.family)[1]}
        chosen.append(Candidate.from_dict({"ratio": one, "curated": curation, **settings, **arm.to_dict()}))
    if number > len(dict.fromkeys(chosen)):
        grid = [
            Candidate(arm.family, arm.conditioning, width, curated, ratio, mode, classes)
            for arm in arms
            for width, curated, ratio, mode, classes in itertools.product(
                sampling_widths(arm.family),
                (False, True) if curation else (False,),
                offered,
                MODES,
                sets.available,
            )
        ]
        if unlabelled:
            grid += [Candidate(UNLABELLED, ratio=ratio, mode=mode) for ratio in offered for mode in modes]
        chosen += [grid[position] for position in np.random.default_rng([seed, 0x5ACE]).permutation(len(grid))]
    return list(dict.fromkeys(chosen))[:number]
