"""Evenly spread positions: the first and the last are in, none twice, and gaps differ by one at most."""

from __future__ import annotations

import numpy as np
import pytest

from synthaug.spread import evenly_spread, evenly_within


@pytest.mark.parametrize("total", [1, 2, 7, 100, 12_406])
@pytest.mark.parametrize("most", [1, 2, 3, 99, 100, 10_000])
def test_positions_are_spread_from_the_first_to_the_last(total: int, most: int) -> None:
    rows = evenly_spread(total, most)
    assert len(rows) == min(total, most)
    assert rows[0] == 0
    if len(rows) > 1:
        assert rows[-1] == total - 1
        gaps = np.diff(rows)
        assert gaps.min() >= 1
        assert gaps.max() - gaps.min() <= 1


def test_of_nothing_there_is_nothing() -> None:
    assert len(evenly_spread(0, 5)) == 0


def test_large_images_are_fewer_but_one_at_least() -> None:
    assert evenly_within(10, 100, each=10, most_bytes=35).tolist() == [0, 4, 9]
    assert evenly_within(10, 100, each=1000, most_bytes=35).tolist() == [0]
