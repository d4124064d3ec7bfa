"""A search raises what it is asked to raise, keeps labels, and reproduces."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from synthaug.classifiers import fit_classifier
from synthaug.devices import seeded_on_host
from synthaug.errors import ConfigError, LabelError
from synthaug.generators import make_generator
from synthaug.latent.searching.evolution import SeparableCMA
from synthaug.latent.searching.scores import (
    BlackBox,
    brightness,
    class_logits,
    classifier_uncertainty,
    find_score,
    keeps_label,
    property_predictor,
    stroke_width,
)
from synthaug.latent.searching.search import search


@pytest.fixture(scope="module")
def classifier(digits):
    data = digits.only("0", "1", "7")
    return fit_classifier(data, steps=150, batch_size=16, model="test_resnet", augmentation="none", seed=0)[1]


@pytest.mark.parametrize("method", ["gradient", "cma", "random"])
def test_scores_rise_and_results_reproduce(trained, method) -> None:
    found = search(trained, brightness, {"0": 3, "7": 2}, steps=8, seed=3, method=method)
    samples = trained.sample_named(np.array([0, 0, 0, 2, 2]), np.array([0, 1, 2, 0, 1]), seed=3)
    np.testing.assert_array_equal(found.start_images, samples)
    assert (found.scores >= found.start_scores).all()
    assert found.scores.mean() > found.start_scores.mean() + 0.01
    np.testing.assert_allclose(found.scores, (found.images / 255).mean(axis=(1, 2, 3)), atol=1e-4)
    np.testing.assert_array_equal(found.images, trained.decode_codes(found.codes, found.labels))
    assert found.history.shape == (9, 5)
    again = search(trained, brightness, {"0": 3, "7": 2}, steps=8, seed=np.int64(3), method=method)
    assert json.dumps(again.bank().provenance)  # NumPy's seeds can be written
    np.testing.assert_array_equal(again.codes, found.codes)
    fewer = search(trained, brightness, ["7"], steps=8, seed=3, method=method)
    np.testing.assert_allclose(fewer.codes[0], found.codes[3], atol=1e-3)


def test_hard_examples_are_unsure_and_keep_their_label(trained, classifier) -> None:
    found = search(
        trained,
        classifier_uncertainty(classifier),
        {"0": 6, "1": 6, "7": 6},
        steps=30,
        keep=keeps_label(classifier, 0.5),
    )
    kept = found.holds
    assert kept.mean() > 0.6
    np.testing.assert_array_equal(classifier.logits(found.images[kept]).argmax(1), found.labels[kept])
    assert found.scores[kept].mean() > found.start_scores[kept].mean() + 0.2
    bank = found.bank()
    assert len(bank) == kept.sum()
    np.testing.assert_allclose(bank.table["score"].to_numpy(), found.scores[kept])
    assert bank.provenance["search"]["method"] == "gradient"


def test_a_constraint_on_a_black_box_search(trained, classifier) -> None:
    lacking = keeps_label(classifier, 0.8)
    found = search(trained, BlackBox(stroke_width), {"0": 3}, steps=6, method="cma", keep=lacking)
    assert found.holds.any()
    probabilities = torch.softmax(torch.from_numpy(classifier.logits(found.images[found.holds])), 1)
    assert (probabilities[:, 0] >= 0.799).all()


def test_a_search_that_goes_on_in_one_direction_widens_in_it() -> None:
    searches = SeparableCMA(searches=2, size=3, population=4, spread=0.5)
    for step in range(6):
        noise = np.zeros((2, 4, 3))
        noise[0, :2, 0] = 0.8
        noise[1, :2, 0] = 0.8 * (-1) ** step
        searches.tell(searches.ask(noise), np.array([[1, 1, 0, 0]] * 2))
    scale = searches.ask(np.ones((2, 1, 3)))[:, 0] - searches.mean
    onwards, back_and_forth = scale[:, 0] / scale[:, 1]
    assert onwards > 1.3 * back_and_forth, "the same moves, but for their signs"
    np.testing.assert_allclose(scale[:, 1], scale[:, 2])


def test_distance_costs(trained) -> None:
    far, near = (search(trained, brightness, {"0": 4}, steps=20, distance_penalty=p) for p in (0.0, 10.0))
    assert near.distances.mean() < 0.5 * far.distances.mean()
    assert near.scores.mean() < far.scores.mean()


def test_every_family_can_be_searched(family, tiny) -> None:
    gen = make_generator(family, ["boot", "bag"], (3, 8, 8), options=tiny).eval()
    found = search(gen, brightness, {"bag": 1}, steps=2)
    assert found.scores[0] >= found.start_scores[0]


def test_toward_a_target() -> None:
    with seeded_on_host(0):
        gen = make_generator("gan", ["a"], (1, 8, 8), options={"width": 4}).eval()
        torch.nn.init.normal_(gen.network.head.weight, std=1.0)
    wanted = property_predictor(brightness, target=0.6)
    found = search(gen, wanted, {"a": 4}, steps=60, distance_penalty=0.0)
    assert found.scores.mean() > found.start_scores.mean()
    np.testing.assert_allclose((found.images / 255).mean(axis=(1, 2, 3)), 0.6, atol=0.05)


def test_uncertainty_is_that_of_the_probabilities() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0]]).view(2, 1, 1, 3)
    assert classifier_uncertainty(torch.nn.Flatten())(logits).tolist() == [-1.0, 0.0]
    entropy = classifier_uncertainty(torch.nn.Flatten(), "entropy")(logits)
    assert entropy[1].item() == pytest.approx(1)
    lacking = keeps_label(torch.nn.Flatten(), 0.5)(logits, torch.tensor([0, 0]))
    assert lacking[0] < 0 < lacking[1]


def test_what_cannot_be_done_is_said(trained) -> None:
    cases = [
        (BlackBox(stroke_width), {"0": 1}, {}, "--method cma"),
        (lambda images: images.detach().mean((1, 2, 3)), {"0": 1}, {}, "no gradient"),
        (lambda images: images.mean(), {"0": 1}, {}, "a number for each"),
        (lambda images: images.mean((1, 2, 3)) / 0, {"0": 1}, {}, "finite"),
        (brightness, {"0": 1}, {"method": "newton"}, "'gradient'"),
        (brightness, {"0": 1}, {"steps": 0}, "steps"),
        (brightness, {}, {}, "one image or more"),
    ]
    for score, what, options, message in cases:
        with pytest.raises(ConfigError, match=message):
            search(trained, score, what, **options)
    with pytest.raises(LabelError, match="expected one of"):
        search(trained, brightness, {"8": 1})
    with pytest.raises(ConfigError, match="Did you mean 'brightness'"):
        find_score("brightnes", gradient=True)
    with pytest.raises(ConfigError, match="nowhere"):
        find_score("nowhere:score", gradient=True)


def test_nothing_holds(trained) -> None:
    found = search(trained, brightness, {"0": 2}, steps=1, keep=lambda images, labels: torch.ones(len(images)))
    assert not found.holds.any()
    assert found.summary().startswith("None of 2")
    with pytest.raises(ConfigError, match="none of the 2"):
        found.bank()


def test_a_module_may_be_on_another_device_than_the_images() -> None:
    with FakeTensorMode():  # tensors that say they are on a GPU, on machines without one
        there = nn.Sequential(nn.Flatten(), nn.Linear(16, 2, device="cuda"))
        here = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
        images = torch.zeros(3, 1, 4, 4)
        assert class_logits(there)(images).device.type == "cpu"
        assert class_logits(here)(images.cuda()).device.type == "cuda"
        assert class_logits(nn.Flatten())(images.cuda()).device.type == "cuda"  # without weights it is anywhere
