"""docs/settings.md names every setting, and says what the docstrings say."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from synthaug.generators import family_class, list_families
from synthaug.training import TrainingConfig

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def make_settings() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_settings", DOCS / "make_settings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_docstrings_say_now(make_settings: ModuleType) -> None:
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == make_settings.page(), "python docs/make_settings.py"


@pytest.mark.parametrize("config", [TrainingConfig, *(family_class(name).config_class for name in list_families())])
def test_every_setting_is_described_those_that_are_inherited_too(make_settings: ModuleType, config: type) -> None:
    known = make_settings.descriptions(config)
    assert {field.name for field in dataclasses.fields(config)} <= set(known)
    assert all(known.values())
