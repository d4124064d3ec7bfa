"""A direction's generator is named by what decides its codes: settings that only draw codes are left out, no others."""

from __future__ import annotations

import dataclasses
import typing

import numpy as np
import pytest
import torch

from synthaug.errors import ConfigError, OutputExistsError
from synthaug.generators import family_class, make_generator
from synthaug.latent.editing.directions import METHODS, Direction, attribute_direction

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
LABELS = np.array([0, 1, 1])


def make(family, options):
    torch.manual_seed(0)
    gen = make_generator(family, ["a", "b"], (1, 8, 8), options=options)
    for parameter in gen.parameters():  # layers that start at zero would hide what they should pass on
        torch.nn.init.normal_(parameter, std=0.2)
    return gen.eval()


def settings_of(family):
    """Each sampling setting of a family, with another value than its default."""
    cls = family_class(family).sampling_class
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        choices = typing.get_args(hints[field.name])
        others = [choice for choice in choices if choice != field.default]
        yield field.name, others[0] if others else not field.default if hints[field.name] is bool else field.default + 1


def test_settings_left_out_of_the_digest_move_no_codes(family, tiny):
    gen = make(family, tiny)
    if not gen.has_encoder:
        pytest.skip("has no codes of images")
    codes, digest = gen.encode_images(IMAGES, LABELS)[0], Direction.digest_of(gen)
    made = gen.decode_codes(codes, LABELS)
    for name, value in settings_of(family):
        other = gen.with_sampling(**{name: value})
        if Direction.digest_of(other) == digest:
            np.testing.assert_array_equal(other.encode_images(IMAGES, LABELS)[0], codes, err_msg=name)
            np.testing.assert_array_equal(other.decode_codes(codes, LABELS), made, err_msg=name)


@pytest.mark.parametrize(("name", "value"), [("steps", 4), ("guidance", 2.0), ("solver", "heun")])
def test_a_direction_of_diffusion_is_refused_where_codes_are_others(name, value):
    gen = make("diffusion", {"widths": (4, 8)}).with_sampling(steps=3)
    other = gen.with_sampling(**{name: value})
    codes, moved = (one.encode_images(IMAGES, LABELS)[0] for one in (gen, other))
    assert np.abs(moved - codes).max() > 1e-3
    direction = attribute_direction(gen, IMAGES[1:2], IMAGES[2:], [1], [1])
    direction.require(gen.with_sampling(temperature=0.5))
    with pytest.raises(ConfigError, match="encodes with other settings"):
        direction.require(other)


def test_settings_that_only_draw_codes_are_left_out():
    gen = make("vae", {"width": 4, "latent_dim": 4, "components": 1})
    narrow = gen.with_sampling(temperature=0.5, prior="normal")
    assert Direction.digest_of(narrow) == Direction.digest_of(gen) == gen.digest
    narrow.provenance = {"privacy": {"epsilon": 1.0}}  # a private generator draws from no other prior
    assert Direction.digest_of(narrow) == gen.digest


@pytest.fixture
def encodes(monkeypatch):
    """Make a generator whose images' codes are given: first those with the attribute, then those without."""

    def make_encoder(codes):
        gen = make("vae", {"width": 4, "latent_dim": codes.shape[1], "components": 1})
        left = iter((codes[: len(codes) // 2], codes[len(codes) // 2 :]))
        monkeypatch.setattr(gen, "encode_images", lambda *_: (next(left), None))
        return gen

    return make_encoder


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("number", "dimensions"), [(3, 20), (20, 40), (50, 10)])
def test_noise_is_no_attribute(encodes, method, number, dimensions):
    found = []
    random = np.random.default_rng(0)
    images, labels = np.zeros((number, 8, 8, 1), np.uint8), np.arange(number) % 2
    for _ in range(1 if number > 20 else 12):
        codes = random.normal(size=(2 * number, dimensions)).astype(np.float32)
        found.append(attribute_direction(encodes(codes), images, images, labels, labels, method=method).accuracy)
    assert np.mean(found) == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("method", METHODS)
def test_an_attribute_that_the_codes_know_is_found_in_images_left_out(encodes, method):
    codes = np.random.default_rng(1).normal(size=(40, 5)).astype(np.float32)
    codes[:20, 0] += 6
    images, labels = np.zeros((20, 8, 8, 1), np.uint8), np.arange(20) % 2
    direction = attribute_direction(encodes(codes), images, images, labels, labels, method=method)
    assert direction.accuracy > 0.95
    assert direction.summary().startswith(f"{direction.accuracy:.0%} of them")


def test_one_image_a_group_does_not_tell(encodes, tmp_path):
    codes = np.eye(2, 3, dtype=np.float32)
    direction = attribute_direction(encodes(codes), IMAGES[:1], IMAGES[:1], 0, 0)
    assert direction.accuracy is None
    assert "too few" in direction.summary()
    direction.save(tmp_path / "one.json")
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        direction.save(tmp_path / "one.json")
    direction.save(tmp_path / "one.json", overwrite=True)
    assert Direction.load(tmp_path / "one.json").accuracy is None
