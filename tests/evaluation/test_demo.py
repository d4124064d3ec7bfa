from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import synthaug
from synthaug.errors import ConfigError, OutputExistsError
from synthaug.evaluation.demo import run_demo
from synthaug.evaluation.demo_page import verdict
from synthaug.evaluation.report import Report
from synthaug.evaluation.statistics import paired_difference
from synthaug.storage import read_json

SMALLEST = {"seeds": 2, "generator_steps": 3, "steps": 2, "samples_per_class": 4}


@pytest.mark.slow
def test_demo_writes_everything_and_says_what_it_found(tmp_path):
    console = Console(record=True, width=120)
    out = tmp_path / "demo"
    result = run_demo(out, console=console, command="synthaug demo --out demo", **SMALLEST)
    assert {path.name for path in out.iterdir()} == {
        "report.html", "results.json", "reals.png", "samples.png", "generator", "bank", "dataset",
    }  # fmt: skip
    assert synthaug.load(out / "generator").classes == tuple("0123456789")
    assert len(synthaug.SampleBank.open(out / "bank")) == 40
    assert list((out / "dataset").glob("*.parquet"))
    with Image.open(out / "samples.png") as picture:
        assert picture.size[0] > 100

    stored = read_json(out / "results.json")
    assert [run["real only"]["steps"] for run in stored["runs"]] == [2, 2]
    assert [run["real + samples"]["steps"] for run in stored["runs"]] == [2, 2]
    assert stored["gain"]["differences"] == pytest.approx(
        np.subtract(stored["accuracy"]["real + samples"], stored["accuracy"]["real only"]).tolist()
    )
    page = (out / "report.html").read_text(encoding="utf-8")
    assert result.verdict in page
    assert page.count("src='data:image/png;base64,") == 3
    assert not re.search(r"src|href|url\(|@import|https?:", re.sub(r"src='data:[^']*'", "", page))
    assert str(tmp_path) not in page
    printed = console.export_text()
    assert result.verdict in printed.replace("\n", " ")
    assert "real + samples" in printed

    with pytest.raises(OutputExistsError, match="overwrite"):
        run_demo(out, **SMALLEST)
    assert len(run_demo(out, overwrite=True, **SMALLEST | {"seeds": 1}).accuracy["real only"]) == 1


def test_demo_refuses_numbers_below_one(tmp_path):
    with pytest.raises(ConfigError, match="seeds"):
        run_demo(tmp_path / "demo", seeds=0)
    assert not list(tmp_path.iterdir())


def test_the_answer_is_plain_whatever_its_sign():
    assert verdict(paired_difference([0.92, 0.93, 0.92], [0.9, 0.9, 0.9])).startswith("Yes")
    assert verdict(paired_difference([0.9, 0.9, 0.9], [0.92, 0.93, 0.92])).startswith("No, not for your data")
    assert verdict(paired_difference([0.9, 0.93], [0.92, 0.9])).startswith("No, not for your data, as far as")
    assert "no answer" in verdict(paired_difference([0.9], [0.8]))


def test_reports_escape_what_users_name():
    page = Report("<script>", "a & b")
    page.table("t", ["<b>"], [["<i>"]])
    page.code("c", "a < b")
    text = page.render()
    assert "<script>" not in text
    assert "&lt;i&gt;" in text
    assert "a &amp; b" in text
