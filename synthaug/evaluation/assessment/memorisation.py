"""What samples give away of the training images: copies, nearness, and who was in the training set."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthaug.curation.copies import CopyDetector
from synthaug.data import ImageDataset
from synthaug.evaluation.assessment.chances import Chance, area_under_curve, nearer
from synthaug.evaluation.assessment.features import Features
from synthaug.evaluation.assessment.inputs import Reals, Samples
from synthaug.evaluation.matching import matched_rows
from synthaug.generators import Generator
from synthaug.latent.inputs import relabelled

_MOST_SAMPLES = 1000
_FEWEST_PAIRS = 20


@dataclasses.dataclass(frozen=True)
class Copy:
    """A sample that is a near-copy of a training image.

    Attributes:
        sample: Its name.
        nearest_training_image: Name of the training image.
        distance: Between them; 1 is the threshold.
        sample_position: Which sample, from 0.
        training_position: Which training image, from 0.
    """

    sample: str
    nearest_training_image: str
    distance: float
    sample_position: int
    training_position: int

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Membership:
    """How well an attacker who has the samples tells training images from held-out ones.

    Attributes:
        attack: What the attacker goes by.
        auc: Probability that a training image looks more like one; 0.5 is a guess.
        members: Training images attacked.
        others: Held-out images attacked; as many of each class.
    """

    attack: str
    auc: Chance
    members: int
    others: int

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Memorisation:
    """What was found.

    Attributes:
        copies: Near-copies of training images, the nearest first.
        share: Share of copies among the samples.
        held_out_share: Share of held-out real images that the detector takes for copies: what is to be expected without
            any copying. `None` without held-out images.
        nearest: Nearest training image of each sample, (N,).
        distances: How far it is, (N,); 1 is the threshold of copies.
        nearer_to_training: Probability that a sample's nearest training image is nearer than its nearest held-out one,
            of equally many; `None` without held-out images.
        membership: Membership-inference attacks; none without held-out images.
        control: The first attack with real training images in place of samples. It knows nothing of a generator, so
            more than 0.5 means that held-out images differ from training images anyway.
    """

    copies: tuple[Copy, ...]
    share: float
    held_out_share: float | None
    nearest: NDArray[np.int64]
    distances: NDArray[np.float64]
    nearer_to_training: Chance | None = None
    membership: tuple[Membership, ...] = ()
    control: Chance | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values, but for the copies, which have a place of their own."""
        return {
            "copies_share": self.share,
            "copies_share_of_held_out": self.held_out_share,
            "nearer_to_training": None if self.nearer_to_training is None else self.nearer_to_training.to_dict(),
            "membership": [attack.to_dict() for attack in self.membership],
            "membership_control": None if self.control is None else self.control.to_dict(),
        }


def measure_memorisation(samples: Samples, reals: Reals, features: Features, seed: int = 0) -> Memorisation:
    """Look for copies, compare distances, and attack.

    Args:
        samples: The samples.
        reals: Training images, and held-out ones where there are any.
        features: What distances are measured in, except those of copies.
        seed: Of what is chosen among many.
    """
    detector = CopyDetector(reals.train, seed=seed)
    found = detector.find(samples.images)
    copies = tuple(
        Copy(
            samples.names[row],
            reals.training_image(int(found.nearest[row])),
            float(found.distance[row]),
            int(row),
            int(found.nearest[row]),
        )
        for row in np.argsort(found.distance.round(3), kind="stable").tolist()  # exact ones in the samples' order
        if found.is_copy[row]
    )
    share = None if reals.held_out is None else detector.find(reals.held_out.images).share
    close = Memorisation(copies, found.share, share, found.nearest, found.distance)
    if reals.held_out is None:
        return close
    members, others = matched_rows([reals.train, reals.held_out], seed)
    if len(members) < _FEWEST_PAIRS:
        return close
    some = _choice(len(samples.labels), _MOST_SAMPLES, seed)
    of_members, of_others = (
        features(data.take(rows), True) for data, rows in ((reals.train, members), (reals.held_out, others))
    )
    to_members, to_others = _distances(features(samples.images[some], False), of_members, of_others)
    attacks = [
        Membership(
            "distance to the nearest sample",
            area_under_curve(-to_members.min(axis=0), -to_others.min(axis=0)),
            len(members),
            len(others),
        )
    ]
    gen = samples.generator
    if gen is not None and gen.has_encoder and set(reals.train.classes) <= set(gen.classes):
        errors = [_errors(gen, data.subset(rows)) for data, rows in ((reals.train, members), (reals.held_out, others))]
        auc = area_under_curve(-errors[0], -errors[1])
        attacks.append(Membership("reconstruction error, which takes the generator", auc, len(members), len(others)))
    return dataclasses.replace(
        close,
        nearer_to_training=nearer(to_members, to_others, seed=seed),
        membership=tuple(attacks),
        control=_control(reals.train, members, of_members, of_others, len(some), features, seed),
    )


def _choice(number: int, most: int, seed: int) -> NDArray[np.int64]:
    return np.sort(np.random.default_rng([seed, 0x11C]).permutation(number)[:most])


def _distances(
    points: NDArray[np.float32], first: NDArray[np.float32], second: NDArray[np.float32]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    from sklearn.metrics import pairwise_distances

    return pairwise_distances(points, first), pairwise_distances(points, second)


def _control(
    train: ImageDataset,
    members: NDArray[np.int64],
    of_members: NDArray[np.float32],
    of_others: NDArray[np.float32],
    number: int,
    features: Features,
    seed: int,
) -> Chance:
    """Attack with training images that are no members here, as a generator that copies nothing would."""
    free = np.setdiff1d(np.arange(len(train)), members)
    attacked = np.arange(len(members))
    if len(free) < number // 4:  # too few to stand for the samples: give up half of the members
        attacked = _choice(len(members), len(members) // 2, seed)
        free = np.concatenate([free, np.delete(members, attacked)])
    stand_in = features(train.take(np.sort(free[_choice(len(free), number, seed)])), True)
    to_members, to_others = _distances(stand_in, of_members[attacked], of_others)
    return area_under_curve(-to_members.min(axis=0), -to_others.min(axis=0))


def _errors(gen: Generator, data: ImageDataset) -> NDArray[np.float64]:
    """Return the mean square error of each image's reconstruction, (N,)."""
    known = relabelled(data, gen)
    codes, _ = gen.encode_images(known.images, known.labels)
    back = gen.decode_codes(codes, known.labels)
    errors: NDArray[np.float64] = ((back.astype(np.float64) - known.images) ** 2).mean(axis=(1, 2, 3))
    return errors
