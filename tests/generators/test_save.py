"""Where generators are saved to."""

from __future__ import annotations

from pathlib import Path

import pytest

from synthaug.errors import OutputExistsError
from synthaug.generators import Generator, load, make_generator, save


def gan() -> Generator:
    return make_generator("gan", ["a", "b"], (1, 8, 8), options={"width": 4})


@pytest.mark.parametrize("name", ["config.json", "README.md", "classes.json", "model.safetensors"])
def test_files_of_others_are_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"model_type": "bert"}')
    with pytest.raises(OutputExistsError, match=f"holds {name}, but no generator of synthaug"):
        save(gan(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == '{"model_type": "bert"}'


def test_a_generator_is_replaced_and_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    first, second = gan(), gan()
    save(first, tmp_path)
    save(second, tmp_path)
    assert load(tmp_path).digest == second.digest != first.digest
    assert (tmp_path / "notes.txt").read_text() == "mine"
