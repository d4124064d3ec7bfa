"""Where outputs go: nothing of the user's is deleted, and what cannot be written is known before the work begins."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import synthaug
from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, FormatError, OutputExistsError, SynthaugError
from synthaug.evaluation.comparison import compare
from synthaug.generators import make_generator
from synthaug.sampling import SampleBank
from synthaug.storage import Contents, new_directory, output_folder, read_json, refuse_existing, set_aside, write_json

NOTES = Contents("notes", ("notes.json",), ("page.html", "pictures", "*/[0-9].png"))
QUICK = {"family": "vae", "width": 4, "latent_dim": 3, "components": 1, "progress": False}


@pytest.fixture(scope="module")
def gen() -> synthaug.Generator:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options = {"width": 4, "latent_dim": 3, "class_dim": 2, "components": 1}
        return make_generator("vae", ["boot", "bag"], (1, 8, 8), options=options)


@pytest.fixture(scope="module")
def data() -> ImageDataset:
    return ImageDataset.from_arrays(np.zeros((60, 8, 8, 1), np.uint8), [0, 1] * 30, ["boot", "bag"])


def write(path: Path, text: str = "x", *, overwrite: bool = False) -> None:
    with new_directory(path, overwrite=overwrite, contents=NOTES) as folder:
        (folder / "notes.json").write_text(text)


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def content(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text(errors="replace") for path in files}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["thesis.txt"], "holds thesis.txt, but no notes of synthaug"),
        (["1", "2", "3", "4", "5"], "1, 2, 3 and 2 more, but no notes"),
        (["pictures/1.png", "page.html"], "but no notes"),
        (["notes.json", "thesis.txt"], "holds thesis.txt beside the notes of synthaug. Move that away"),
        (["notes.json", "boot/1.png", "boot/mine.png"], "holds boot/mine.png beside"),
        (["notes.json", "backup/old/1.png"], "holds backup/old beside"),
        (["notes.json", ".git/HEAD", ".thesis.old/1"], r"holds \.git/HEAD, \.thesis\.old/1 beside"),
    ],
)
def test_overwriting_deletes_nothing_of_the_users(tmp_path: Path, names: list[str], message: str) -> None:
    before = content(fill(tmp_path / "out", *names))
    for overwrite in (False, True):
        with pytest.raises(OutputExistsError, match=message):
            write(tmp_path / "out", overwrite=overwrite)
    assert content(tmp_path / "out") == before


@pytest.mark.parametrize(
    "names",
    [
        ["notes.json", "page.html", "pictures/any.gif", "boot/1.png", "cli.yaml"],
        ["notes.json", ".DS_Store", "boot/.DS_Store", ".page.html.77.tmp", ".pictures.new/1.png", ".pictures.old/1"],
        [".DS_Store"],
    ],
)
def test_an_earlier_output_is_overwritten(tmp_path: Path, names: list[str]) -> None:
    fill(tmp_path / "out", *names)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        write(tmp_path / "out")
    write(tmp_path / "out", "new", overwrite=True)
    assert content(tmp_path / "out") == {"notes.json": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ('{"digest": 1, "names": []}', True),
        ('{"digest": 1}', False),
        ("[]", False),
        ("no JSON", False),
        ("\udc80", False),
    ],
)
def test_a_mark_of_a_common_name_is_told_by_its_keys(tmp_path: Path, text: str, own: bool) -> None:
    data = Contents("data", ("data.json", "*/other.json"), ("pictures",), {"data.json": ("digest", "names")})
    fill(tmp_path, "pictures/holiday.png")
    (tmp_path / "data.json").write_bytes(text.encode(errors="surrogateescape"))
    assert data.marked(tmp_path) == own
    assert data.strangers(tmp_path) == ([] if own else ["data.json", "pictures"])
    fill(tmp_path, "sub/other.json")
    assert data.marked(tmp_path), "a mark that needs no proof"


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to("disk")
    for text in ("first", "second"):
        write(tmp_path / "out", text, overwrite=True)
        assert (tmp_path / "out").is_symlink()
        assert content(tmp_path / "disk") == {"notes.json": text}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "out"]


def test_a_kill_between_two_renames_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    write(out, "first")
    rename = Path.rename

    def killed(self: Path, target: Path) -> Path:
        if target == out:
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            write(out, "second", overwrite=True)
    assert not out.exists()
    with pytest.raises(OutputExistsError, match="--overwrite"):
        write(out, "third")
    assert content(out) == {"notes.json": "first"}
    write(out, "third", overwrite=True)
    assert content(out) == {"notes.json": "third"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failed_rename_puts_the_old_one_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "out", "first")
    rename = Path.rename

    def fails(self: Path, to: Path) -> Path:
        if self.suffix == ".new":
            raise OSError("no space left")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="no space"):
        write(tmp_path / "out", "second", overwrite=True)
    assert content(tmp_path / "out") == {"notes.json": "first"}


def test_what_a_kill_left_of_an_old_output_is_cleared_away(tmp_path: Path) -> None:
    """A kill while the replaced one is deleted leaves a part of it, which nobody may take for an output."""
    write(tmp_path / "out")
    fill(tmp_path / ".out.gone", "rest")
    with pytest.raises(OutputExistsError):
        write(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    fill(tmp_path / ".other.gone", "rest")
    write(tmp_path / "other")
    assert content(tmp_path / "other") == {"notes.json": "x"}


@pytest.mark.parametrize("ask", [output_folder, lambda path: refuse_existing(path, True, "x")])
def test_a_parent_that_is_a_file_is_known_before_the_work(tmp_path: Path, ask: Callable[[Path], object]) -> None:
    fill(tmp_path, "file")
    with pytest.raises(OutputExistsError, match=r"cannot write .*file/a/b: .*file is a file"):
        ask(tmp_path / "file" / "a" / "b")


def test_a_file_is_no_folder_and_a_folder_no_file(tmp_path: Path) -> None:
    fill(tmp_path, "thesis.txt")
    with pytest.raises(OutputExistsError, match="expected a folder"):
        output_folder(tmp_path / "thesis.txt", overwrite=True)
    with pytest.raises(OutputExistsError, match="expected a file"):
        refuse_existing(tmp_path, True, "x")
    assert (tmp_path / "thesis.txt").is_file()


def test_permission_is_asked_for_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "locked" / "mine").mkdir(parents=True)
    access = os.access  # tests may run as root, whom nothing is locked for
    locked = tmp_path / "locked"
    monkeypatch.setattr(os, "access", lambda path, mode: access(path, mode) and not (path == locked and mode & os.W_OK))
    with pytest.raises(ConfigError, match=r"no permission to write in .*locked"):
        output_folder(locked / "a" / "b")
    with pytest.raises(ConfigError, match="no permission"):
        output_folder(locked / "mine")
    assert output_folder(locked / "mine", in_place=True) == locked / "mine"


def test_the_current_folder_is_written_into_but_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    for path in (".", "..", tmp_path / "inside", "/"):
        with pytest.raises(OutputExistsError, match="Name a folder in it"):
            output_folder(path, overwrite=True, contents=NOTES)
    assert output_folder(".", in_place=True) == tmp_path / "inside"


def everything_that_overwrites() -> dict[str, Callable[..., object]]:
    def bank(gen: synthaug.Generator) -> SampleBank:
        return SampleBank.from_arrays(np.zeros((2, 8, 8, 1), np.uint8), [0, 1], gen.classes)

    return {
        "bank": lambda gen, data, out: bank(gen).save(out, overwrite=True),
        "generate": lambda gen, data, out: synthaug.generate(gen, 2, out=out, overwrite=True),
        "parquet": lambda gen, data, out: synthaug.generate(gen, 2, out=out, overwrite=True, format="parquet"),
        "imagefolder": lambda gen, data, out: synthaug.generate(gen, 2, out=out, overwrite=True, format="imagefolder"),
        "webdataset": lambda gen, data, out: synthaug.generate(gen, 2, out=out, overwrite=True, format="webdataset"),
        "fit": lambda gen, data, out: synthaug.fit(data, steps=1, out=out, overwrite=True, **QUICK),
    }


def early_refusals() -> dict[str, Callable[..., object]]:
    return {
        "curate": lambda gen, data, out: synthaug.curate("none", data, out=out, overwrite=True),
        "generate_curated": lambda gen, data, out: synthaug.generate_curated(gen, data, 2, out=out, overwrite=True),
        "evaluate": lambda gen, data, out: synthaug.evaluate(gen, data, out=out, overwrite=True),
        "compare": lambda gen, data, out: compare(data, ["vae"], held_out=data, samples=12, out=out, overwrite=True),
        "recommend": lambda gen, data, out: synthaug.recommend(data, "test_resnet", 0.1, out=out, overwrite=True),
    }


@pytest.mark.parametrize("name", everything_that_overwrites())
def test_every_output_overwrites_its_own_alone(
    name: str, gen: synthaug.Generator, data: ImageDataset, tmp_path: Path
) -> None:
    write_output, out = everything_that_overwrites()[name], tmp_path / "out"
    fill(out, "thesis.txt")
    with pytest.raises(OutputExistsError, match=r"holds thesis\.txt, but no"):
        write_output(gen, data, out)
    assert content(out) == {"thesis.txt": "thesis.txt"}
    (out / "thesis.txt").unlink()
    write_output(gen, data, out)
    write_output(gen, data, out)
    before = content(fill(out, "boot/mine.png", "thesis.txt", "cli.yaml"))
    with pytest.raises(OutputExistsError, match=r"holds boot/mine\.png, thesis\.txt beside"):
        write_output(gen, data, out)
    assert content(out) == before


@pytest.mark.parametrize("name", [*everything_that_overwrites(), *early_refusals()])
def test_every_output_refuses_what_it_cannot_write_to(
    name: str, gen: synthaug.Generator, data: ImageDataset, tmp_path: Path
) -> None:
    write_output = (everything_that_overwrites() | early_refusals())[name]
    photos = fill(tmp_path / "photos", "boot/1.jpg", "data/train/boot/1.jpg", "runs/diary.txt")
    for out in (tmp_path / "photos", tmp_path / "photos" / "runs" / "diary.txt", photos / "boot" / "1.jpg" / "x"):
        with pytest.raises(SynthaugError, match=r"photos.* (holds|is a file)"):
            write_output(gen, data, out)
    assert sorted(content(photos)) == ["boot/1.jpg", "data/train/boot/1.jpg", "runs/diary.txt"]


def test_a_bank_may_replace_samples_of_another_format(gen: synthaug.Generator, tmp_path: Path) -> None:
    for kind in ("imagefolder", "parquet", "bank", "webdataset"):
        synthaug.generate(gen, 2, out=tmp_path / "out", format=kind, overwrite=True)
    everything_that_overwrites()["bank"](gen, None, tmp_path / "out")
    assert len(SampleBank.open(tmp_path / "out")) == 2
    assert not list((tmp_path / "out").glob("*.tar"))


def test_generate_follows_a_link_and_puts_back(gen: synthaug.Generator, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "bank").symlink_to("disk")
    for number in (2, 3):
        assert len(synthaug.generate(gen, number, out=tmp_path / "bank", overwrite=True)) == 2 * number
        assert (tmp_path / "bank").is_symlink()
    set_aside(tmp_path / "disk")
    with pytest.raises(OutputExistsError, match="already holds"):
        synthaug.generate(gen, 3, out=tmp_path / "bank")


def test_the_home_folder_is_meant_everywhere(
    gen: synthaug.Generator, data: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    trained = synthaug.fit(data, steps=1, out="~/run", **QUICK)
    assert synthaug.load("~/run").digest == trained.digest
    assert synthaug.save(gen, "~/gen") == tmp_path / "gen"
    assert synthaug.load("~/gen").digest == gen.digest
    bank = synthaug.generate("~/gen", 2, out="~/bank").save("~/copy")
    assert SampleBank.open("~/copy").digest == bank.digest
    with pytest.raises(FormatError, match="does not exist"):
        synthaug.load("~/nothing")
    assert not list((tmp_path / "here").iterdir())


def test_threads_write_one_file_without_disturbing_each_other(tmp_path):
    failures = []

    def write(number):
        try:
            for _ in range(40):
                write_json(tmp_path / "one.json", {"by": number, "more": list(range(200))})
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert read_json(tmp_path / "one.json")["by"] in range(3)
    assert [path.name for path in tmp_path.iterdir()] == ["one.json"]


def test_files_have_the_modes_of_the_process_whoever_made_them(tmp_path):
    gen = make_generator("gan", ["a"], (1, 8, 8), options={"width": 4})
    synthaug.save(gen, tmp_path / "gen")
    (tmp_path / "plain").touch()
    modes = {path.stat().st_mode for path in (tmp_path / "gen").iterdir()}
    assert modes == {(tmp_path / "plain").stat().st_mode}
