"""Decoding ahead: in order, honest about failures, and without traces."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

from synthaug.sampling import generate
from synthaug.threads import map_ahead


def test_results_come_in_order_though_threads_do_not():
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number % 3 == 0 else 0)
        return number

    assert list(map_ahead(slow_first, range(20), threads=3)) == list(range(20))


def test_a_failure_comes_in_its_turn():
    results = map_ahead(lambda number: 10 // number, [5, 2, 0, 1], threads=2)
    assert [next(results), next(results)] == [2, 5]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_closing_early_stops_the_threads():
    begun = []
    results = map_ahead(begun.append, range(1000), threads=2)
    next(results)
    results.close()
    assert len(begun) < 20
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("synthaug-decoder")]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_changes_no_byte_and_is_put_back(gen, tmp_path, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        gen.train()
        bank = generate(gen, per_class=700, out=tmp_path / "bank")
        assert torch.get_num_threads() == threads
        assert gen.training
        labels, indices = np.repeat(np.arange(3), 700), np.tile(np.arange(700), 3)
        assert (bank.images == gen.sample_named(labels, indices)).all()
    finally:
        torch.set_num_threads(before)
