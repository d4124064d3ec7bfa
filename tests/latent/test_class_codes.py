from __future__ import annotations

import numpy as np
import pytest

from synthaug.generators import Generator, make_generator
from synthaug.latent import class_codes
from synthaug.latent.class_codes import class_means


def small() -> Generator:
    return make_generator("vae", ["a", "b", "c"], (1, 8, 8), options={"width": 8, "latent_dim": 4})


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The labels whose codes were drawn, from nothing remembered on."""
    seen: list[int] = []
    plain = class_codes._draw

    def watched(gen: Generator, label: int) -> np.ndarray:
        seen.append(label)
        return plain(gen, label)

    monkeypatch.setattr(class_codes, "_draw", watched)
    class_codes._KNOWN.clear()
    return seen


def test_means_are_drawn_once_and_by_generator(drawn: list[int]) -> None:
    gen = small()
    first = class_means(gen, [0, 2])
    expected = gen.draw_codes(np.full(2048, 2), np.arange(2048), seed=0).mean(axis=0)
    assert np.array_equal(first[2], expected)
    again = class_means(gen, [2, 1])
    assert drawn == [0, 2, 1]
    assert np.array_equal(again[2], first[2])
    class_means(gen.with_sampling(temperature=0.5), [2])
    class_means(small(), [2])  # other weights
    assert drawn == [0, 2, 1, 2, 2]


def test_only_the_latest_generators_are_remembered(drawn: list[int]) -> None:
    gen = small()
    class_means(gen, [0])
    for number in range(8):
        class_means(gen.with_sampling(temperature=0.1 + number / 10), [0])
    assert len(class_codes._KNOWN) == 8
    class_means(gen, [0])
    assert len(drawn) == 10
