"""Work is done once, and what an earlier call did is charged to the time."""

from __future__ import annotations

import numpy as np

from synthaug.data import ImageDataset
from synthaug.recommendation.bookkeeping.clock import Clock, Costs
from synthaug.recommendation.bookkeeping.journal import Journal
from synthaug.recommendation.candidates.maker import GeneratorMaker
from synthaug.recommendation.candidates.space import Candidate


def journal(folder, now=lambda: 0.0):
    clock, costs = Clock(100.0, now), Costs()
    return Journal(folder, clock, costs), clock, costs


def test_an_earlier_calls_work_is_taken_over_once_and_charged(tmp_path):
    time = iter(range(0, 1000, 5))
    first, _, _ = journal(tmp_path, lambda: float(next(time)))
    first.once("trial", {"number": 1}, lambda: {"value": 3}, "classifier")
    again, clock, costs = journal(tmp_path)
    for _ in range(2):
        found = again.once("trial", {"number": 1}, lambda: {"value": 4}, "classifier")
    assert found == {"value": 3, "seconds": 5.0}
    assert clock.left == 95.0
    assert costs.expected("classifier") == 5.0


def test_a_maker_that_goes_on_knows_and_charges_its_generators(tmp_path):
    """Also those whose trials are all done, so that nobody asks for them again."""
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), dtype=np.uint8)
    data = ImageDataset.from_arrays(images, np.arange(20) % 2)
    settings = {"vae": {"width": 4, "latent_dim": 2, "components": 1, "batch_size": 4}}
    arguments = {"seconds_each": 60.0, "seed": 0, "settings": settings, "steps": 3}
    time = iter(np.arange(0.0, 1000.0, 2.0))
    first, _, _ = journal(tmp_path / "trials", lambda: float(next(time)))
    GeneratorMaker(tmp_path / "generators", first, **arguments).generator(data, Candidate())

    again, clock, costs = journal(tmp_path / "trials")
    maker = GeneratorMaker(tmp_path / "generators", again, **arguments)
    assert clock.left == 98.0
    assert costs.expected(str(Candidate().arm)) == 2.0
    assert maker.seconds(data, Candidate()) == 0.0
    assert [record["kind"] for record in again.records] == ["generator"]
