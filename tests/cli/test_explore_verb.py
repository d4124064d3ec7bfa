"""`synthaug explore`: a page for a run."""

from __future__ import annotations

from typing import Any

import pytest
from calling import call

from synthaug.latent.exploring import page


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """How the page would be served, and of which generator."""
    seen: dict[str, Any] = {}

    class Page:
        def launch(self, **options: Any) -> None:
            seen.update(options)

    def make(gen: Any) -> Page:
        seen["gen"] = gen
        return Page()

    monkeypatch.setattr(page, "make_page", make)
    monkeypatch.setattr(page, "_theme", lambda: None)
    return seen


def test_flags_and_settings_reach_the_page(run, served) -> None:
    result = call("explore", run, "--port", 7999, "--no-browser", "--temperature", 0.5)
    assert result.exit_code == 0, result.stderr
    assert (served["server_port"], served["inbrowser"], served["share"]) == (7999, False, False)
    assert served["server_name"] == "127.0.0.1"
    assert served["gen"].sampling.temperature == 0.5


def test_what_is_wrong_is_said_before_anything_is_served(run, served, tmp_path) -> None:
    result = call("explore", run, "--temprature", 0.5)
    assert result.exit_code == 2
    assert "Did you mean 'temperature'" in result.stderr
    result = call("explore", tmp_path / "none")
    assert result.exit_code == 2
    assert not served
