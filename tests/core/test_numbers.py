"""NumPy's numbers are taken wherever Python's are, and become Python's, so that results can be written as JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import Literal

import numpy as np
import pytest

from synthaug import ImageDataset
from synthaug.config import Config
from synthaug.errors import ConfigError
from synthaug.sampling.draw import check_probability
from synthaug.seeds import check_sample_seed, check_seed
from synthaug.training.config import TrainingConfig

INTEGERS = [np.int64(1), np.int32(1), np.uint8(1), np.arange(2)[1]]


@dataclasses.dataclass(frozen=True)
class Sizes(Config):
    width: int = 32
    rate: float = 0.5
    widths: tuple[int, ...] = ()
    most: int | float | None = None
    kind: Literal["a", "b"] = "a"


@pytest.mark.parametrize("integer", INTEGERS, ids=lambda integer: type(integer).__name__)
def test_settings_take_numpys_integers(integer) -> None:
    found = Sizes(width=integer, rate=integer, widths=(integer, 2), most=integer)
    assert found == Sizes(width=1, rate=1.0, widths=(1, 2), most=1)
    assert json.loads(json.dumps(found.to_dict()))["widths"] == [1, 2]
    assert type(TrainingConfig(seed=integer).seed) is int


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_settings_take_numpys_floats(kind: type) -> None:
    found = Sizes(rate=kind(0.25), most=kind(0.25))
    assert (found.rate, found.most) == (0.25, 0.25)
    assert {type(found.rate), type(found.most)} == {float}
    with pytest.raises(ConfigError, match=r"Sizes\.width: expected int, but got"):
        Sizes(width=kind(2))


@pytest.mark.parametrize("wrong", [True, np.bool_(True), np.array([1, 2]), "1.5", None, 1j])
def test_settings_still_refuse_what_is_no_number(wrong) -> None:
    for name in ("width", "rate"):
        with pytest.raises(ConfigError, match=f"Sizes.{name}: expected"):
            Sizes(**{name: wrong})


@pytest.mark.parametrize("integer", INTEGERS, ids=lambda integer: type(integer).__name__)
def test_seeds_may_be_numpys_and_become_python_integers(integer) -> None:
    for check in (check_seed, check_sample_seed):
        assert check(integer) == 1
        assert type(check(integer)) is int
    assert check_sample_seed(np.int64(-(1 << 63))) == -(1 << 63)


@pytest.mark.parametrize(
    "wrong", [True, np.bool_(True), 1.0, np.float64(1), "1", None, np.int64(-1), np.uint64(1 << 32)]
)
def test_seeds_out_of_range_or_of_another_kind_are_refused(wrong) -> None:
    with pytest.raises(ConfigError, match="seed: expected an integer from 0"):
        check_seed(wrong)


def test_seeds_of_samples_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="seed: expected an integer of 64 bits"):
        check_sample_seed(np.uint64(1 << 63))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_probabilities_may_be_numpys(kind: type) -> None:
    assert check_probability(kind(0.5)) == 0.5
    assert type(check_probability(kind(0.5))) is float
    assert check_probability(np.int64(1)) == 1.0
    for wrong in (kind(1.5), kind("nan"), np.bool_(True), True, "0.5"):
        with pytest.raises(ConfigError, match="p: expected a probability"):
            check_probability(wrong)


def test_splits_take_numpys_numbers() -> None:
    data = ImageDataset.from_arrays(np.zeros((40, 2, 2), np.uint8), [0, 1] * 20)
    one, two = np.int64(1), np.int64(2)
    assert data.few_shot(two, seed=one).digest == data.few_shot(2, seed=1).digest
    assert data.long_tail(np.float32(4), seed=one).digest == data.long_tail(4, seed=1).digest
    assert data.split(np.float32(0.5), seed=one)[0].digest == data.split(0.5, seed=1)[0].digest
    assert data.folds(two, seed=one)[0][1].digest == data.folds(2, seed=1)[0][1].digest
