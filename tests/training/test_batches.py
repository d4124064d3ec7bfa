from __future__ import annotations

import numpy as np
import pytest

from synthaug.training.batches import BatchStream, step_seed

LABELS = np.array([0] * 90 + [1] * 10)


def test_every_image_once_a_pass() -> None:
    stream = BatchStream(np.zeros(100, np.int64), 32, seed=0, balance=0.5)
    drawn = np.concatenate([stream.positions(step) for step in range(25)])
    assert (np.bincount(drawn) == 8).all()


def test_any_step_can_be_asked_for_alone() -> None:
    stream = BatchStream(LABELS, 32, seed=0, balance=0.5)
    in_order = [stream.positions(step) for step in range(10)]
    fresh = BatchStream(LABELS, 32, seed=0, balance=0.5)
    assert np.array_equal(fresh.positions(7), in_order[7])
    assert not np.array_equal(BatchStream(LABELS, 32, seed=1, balance=0.5).positions(7), in_order[7])


@pytest.mark.parametrize(("balance", "share"), [(0.0, 0.1), (0.5, 0.25), (1.0, 0.5)])
def test_balance_draws_rare_classes_more_often(balance: float, share: float) -> None:
    stream = BatchStream(LABELS, 50, seed=0, balance=balance)
    drawn = np.concatenate([LABELS[stream.positions(step)] for step in range(200)])
    assert drawn.mean() == pytest.approx(share, abs=0.03)


def test_fewer_images_than_a_batch() -> None:
    assert len(BatchStream(np.array([0, 1]), 7, seed=0, balance=0).positions(3)) == 7


def test_every_seed_has_an_order_of_its_own() -> None:
    seeds = (0, 1, -1, -2, (1 << 63) + 1, (1 << 63) + 2)
    orders = {tuple(BatchStream(np.zeros(50, np.int64), 50, seed=seed, balance=0).positions(0)) for seed in seeds}
    assert len(orders) == len(seeds)


def test_step_seeds_differ() -> None:
    seeds = {step_seed(seed, step, process) for seed in (0, 1, -1) for step in range(50) for process in (0, 1)}
    assert len(seeds) == 300
