from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from synthaug.errors import ConfigError
from synthaug.generators import make_generator
from synthaug.generators.noise import sample_noise


def test_noise_is_standard_normal_and_uncorrelated_between_neighbours() -> None:
    noise = sample_noise(0, np.zeros(4000, np.int64), np.arange(4000), size=8)
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(noise[:-1, 0], noise[1:, 0])[0, 1]) < 0.06


def test_classes_and_seeds_share_nothing() -> None:
    indices = np.arange(2000)
    first = sample_noise(0, np.zeros(2000, np.int64), indices, size=8).ravel()
    other_class = sample_noise(0, np.ones(2000, np.int64), indices, size=8).ravel()
    other_seed = sample_noise(1, np.zeros(2000, np.int64), indices, size=8).ravel()
    assert np.abs(np.corrcoef([first, other_class, other_seed]) - np.eye(3)).max() < 0.03


def test_frozen_values() -> None:
    """Samples of old generators must not change with an upgrade, so neither may their noise."""
    noise = sample_noise(7, np.array([2]), np.array([5]), size=3)
    np.testing.assert_allclose(noise, [FROZEN], rtol=1e-6)


FROZEN = [0.7819949388504028, -1.7547014951705933, -1.842233419418335]


def test_long_noise_does_not_run_into_the_next_index() -> None:
    long = sample_noise(0, np.array([0]), np.array([0]), size=100_000)[0]
    following = sample_noise(0, np.array([0]), np.array([1]), size=16)[0]
    assert not np.isin(following, long).any()


def test_negative_and_huge_seeds() -> None:
    one = np.array([0])
    values = {sample_noise(seed, one, one, 2).tobytes() for seed in (-1, 0, 1, 2**63)}
    assert len(values) == 4


@pytest.mark.parametrize("seed", [1 << 63, 1.5, None, "7"])
def test_seeds_that_name_no_samples_are_refused(seed) -> None:
    gen = make_generator("gan", ["a"], (1, 8, 8), options={"width": 4})
    for draw in (lambda: gen.sample({"a": 1}, seed=seed), lambda: gen.draw_codes([0], [0], seed=seed)):
        with pytest.raises(ConfigError, match="seed: expected an integer of 64 bits"):
            draw()
