from __future__ import annotations

import contextlib

import pytest
import torch

from synthaug.devices import one_thread, own_random_state, resolve_device, seed_random_state, seeded_on_host
from synthaug.errors import ConfigError


@pytest.mark.parametrize("name", [None, "auto"])
def test_left_out_is_the_gpu_if_there_is_one(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device(name) == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device(name) == torch.device("cpu")


def test_named_devices_are_taken_as_they_are(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    assert resolve_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize(("name", "says"), [("gpu", "expected auto, cpu, cuda"), ("cuda:2", "and 2 GPUs")])
def test_devices_that_are_not_there_are_refused(monkeypatch, name, says):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match=says):
        resolve_device(name)


def test_seeding_the_host_repeats_its_draws_and_leaves_the_gpus_and_the_global_state_alone(monkeypatch):
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    monkeypatch.setattr(torch.cuda, "manual_seed", seeded.append)
    before = torch.get_rng_state()
    with seeded_on_host(3):
        first = torch.rand(4)
    with seeded_on_host(3):
        again = torch.rand(4)
    assert torch.equal(first, again)
    assert torch.equal(before, torch.get_rng_state())
    assert seeded == []


def test_one_thread_gives_back_the_number_there_was_after_an_error_too():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread():
            within = torch.get_num_threads()
        after = torch.get_num_threads()
        with pytest.raises(KeyError), one_thread():
            raise KeyError
        assert (within, after, torch.get_num_threads()) == (1, 2, 2)
    finally:
        torch.set_num_threads(before)


def test_random_numbers_of_a_block_are_not_missed_after_it():
    before = torch.get_rng_state()
    with own_random_state(torch.device("cpu")):
        torch.rand(4)
    assert torch.equal(before, torch.get_rng_state())


def test_seeding_a_device_leaves_all_other_gpus_alone(monkeypatch):
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: seeded.append("all"))
    monkeypatch.setattr(torch.cuda, "manual_seed", lambda seed: seeded.append(seed))
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext(seeded.append(str(device))))
    with own_random_state(torch.device("cpu")):
        seed_random_state(5, torch.device("cpu"))
        first = torch.rand(3)
        assert seeded == []
        seed_random_state(5, torch.device("cuda:1"))
        assert torch.equal(torch.rand(3), first)
    assert seeded == ["cuda:1", 5]
