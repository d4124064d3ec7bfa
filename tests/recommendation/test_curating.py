from __future__ import annotations

import types

import numpy as np
import pytest

from synthaug.recommendation.candidates.curating import draw_curated
from synthaug.recommendation.candidates.maker import GeneratorMaker
from synthaug.recommendation.candidates.space import Candidate

CLASSES = ("a", "b", "c")


class Numbered:
    """A sample is filled with its index."""

    classes, digest, family = CLASSES, "0" * 8, "fake"

    def sample_named(self, labels, indices, seed=0):
        return np.broadcast_to(indices[:, None, None, None], (len(labels), 2, 2, 1)).astype(np.uint8)


class Part:
    """What a curation says of candidates; accepted ones are known to the next round."""

    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def joined(self, others):
        return Part(np.concatenate([self.images, others.images]), np.concatenate([self.labels, others.labels]))


class Picky:
    """Accepts the samples whose index is a multiple of ``every`` (b: none at all)."""

    def __init__(self, every):
        self.every = every
        self.reference = types.SimpleNamespace(candidates=Part)
        self.known = []

    def judge(self, candidates, earlier=None):
        self.known.append(0 if earlier is None else len(earlier.images))
        accepted = (candidates.images[:, 0, 0, 0] % self.every == 0) & (candidates.labels != 1)
        alive = Part(candidates.images[accepted], candidates.labels[accepted])
        weights = np.where(candidates.labels == 2, 0.25, 1.0).astype(np.float32)
        return types.SimpleNamespace(accepted=accepted, alive=alive, weights=weights)


@pytest.mark.parametrize(("every", "expected"), [(1, [0, 1, 2, 3]), (2, [0, 2, 4, 6]), (8, [0, 8])])
def test_draws_until_enough_pass_and_gives_up_after_four_times_as_many(every, expected):
    curation = Picky(every)
    bank = draw_curated(Numbered(), curation, {"a": 4, "b": 4, "c": 4}, seed=0)
    assert bank.counts.tolist() == [len(expected), 0, len(expected)]
    assert bank.images[bank.indices_of("c"), 0, 0, 0].tolist() == expected
    assert bank.labels.tolist() == sorted(bank.labels.tolist())
    assert bank.weights.tolist() == np.where(bank.labels == 2, 0.25, 1.0).tolist(), "as curate weighs them"
    assert curation.known == [0, *sorted(curation.known[1:])]
    assert all(number > 0 for number in curation.known[1:])  # later rounds know what was accepted before


def test_other_classes_get_no_samples():
    assert draw_curated(Numbered(), Picky(1), {"c": 3}, seed=0).counts.tolist() == [0, 0, 3]


def test_filters_are_fitted_once_a_part(digits, tmp_path, monkeypatch):
    from synthaug.recommendation.bookkeeping.clock import Clock, Costs
    from synthaug.recommendation.bookkeeping.journal import Journal
    from synthaug.recommendation.candidates import maker

    fitted = []

    def fit_curation(part, steps, seed, device):
        fitted.append((part.digest, steps))
        return Picky(1)

    monkeypatch.setattr(maker, "fit_curation", fit_curation)
    tiny = {"vae": {"width": 8, "latent_dim": 6, "class_dim": 4, "components": 2}}
    journal = Journal(tmp_path / "trials", Clock(1e9), Costs())
    made = GeneratorMaker(tmp_path / "g", journal, seconds_each=9, seed=0, settings=tiny, steps=1)
    made.curation_steps = 60
    parts = digits.split(0.5, seed=0)
    before = made.seconds(parts[0], Candidate(curated=True))
    assert before == 9 + 4.5
    for ratio in (0.5, 1.0):
        for part in parts:
            bank = made.bank(part, Candidate(curated=True, ratio=ratio), None)
            assert bank.counts[1] == 0
    assert fitted == [(part.digest, 60) for part in parts]
    assert made.seconds(parts[0], Candidate(curated=True)) < before
