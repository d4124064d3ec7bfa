"""What holds of training for every registered family."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

import synthaug
from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, DataError, DataWarning, DivergenceError, OutputExistsError, TrainingInterrupted
from synthaug.generators import Generator, family_class
from synthaug.training import fit
from synthaug.training.loop import Trainer
from synthaug.training.watcher import Watcher

QUICK = {"batch_size": 12, "progress": False, "preview_every": 0}


@pytest.mark.parametrize("conditioning", ["shared", "per_class"])
def test_resume_is_exact(
    family: str, tiny: dict[str, object], conditioning: str, digits: ImageDataset, tmp_path: Path
) -> None:
    few = digits.labels < 3
    data = ImageDataset.from_arrays(digits.images[few], digits.labels[few], ["0", "1", "2"])
    settings = {"family": family, "conditioning": conditioning, "seed": 4, **QUICK, **tiny}
    whole = fit(data, steps=9, **settings)
    first = fit(data, steps=6, out=tmp_path / "run", **settings)
    assert first.digest != whole.digest
    resumed = fit(data, steps=9, out=tmp_path / "run", resume=True, **settings)
    assert resumed.digest == whole.digest
    assert torch.equal(resumed.sample({"0": 3}), whole.sample({"0": 3}))


def test_killed_run_goes_on_where_it_was(
    family: str, tiny: dict[str, object], digits: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"family": family, "steps": 8, "checkpoint_every": 3, "log_every": 2, **QUICK, **tiny}
    whole = fit(digits, **settings)
    real_step = Trainer._train_step

    def dies_at_five(self: Trainer) -> dict[str, torch.Tensor]:
        if self.step == 5:
            raise MemoryError("killed")
        return real_step(self)

    monkeypatch.setattr(Trainer, "_train_step", dies_at_five)
    with pytest.raises(MemoryError):
        fit(digits, out=tmp_path / "run", **settings)
    with pytest.raises(synthaug.SynthaugError, match="not finished"):
        synthaug.load(tmp_path / "run")
    monkeypatch.setattr(Trainer, "_train_step", real_step)
    assert fit(digits, out=tmp_path / "run", resume=True, **settings).digest == whole.digest
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6, 8], "steps done twice are to be logged once"


def test_a_loss_of_few_steps_is_logged_as_the_mean_of_these(digits: ImageDataset, tmp_path: Path) -> None:
    settings = {**QUICK, "steps": 8, "penalty_every": 4, "width": 8, "discriminator": "resnet"}

    def logged(every: int) -> list[dict[str, float]]:
        out = tmp_path / str(every)
        fit(digits, "gan", out=out, **settings | {"log_every": every})
        return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]

    each, (whole,) = logged(1), logged(8)
    name = next(name for name in whole if name.endswith("penalty"))
    penalties = [row[name] for row in each if name in row]
    assert len(penalties) == 2
    assert whole[name] == pytest.approx(np.mean(penalties), rel=1e-4)


def test_same_seed_same_generator_other_seed_another(
    family: str, tiny: dict[str, object], digits: ImageDataset
) -> None:
    torch.manual_seed(1)
    first = fit(digits, family, steps=2, seed=0, **QUICK, **tiny)
    torch.manual_seed(2)
    assert fit(digits, family, steps=2, seed=0, **QUICK, **tiny).digest == first.digest
    assert fit(digits, family, steps=2, seed=1, **QUICK, **tiny).digest != first.digest


def test_what_is_kept_in_memory_is_what_is_loaded(
    family: str, tiny: dict[str, object], digits: ImageDataset, tmp_path: Path
) -> None:
    """Weights in another order in memory have the same digest, but other kernels and so other samples."""
    made = fit(digits, family, steps=1, **QUICK, **tiny)
    synthaug.save(made, tmp_path)
    loaded = synthaug.load(tmp_path)
    assert torch.equal(made.sample({"3": 2}), loaded.sample({"3": 2}))
    strides = {name: tensor.stride() for name, tensor in made.state_dict().items()}
    assert strides == {name: tensor.stride() for name, tensor in loaded.state_dict().items()}


def test_training_leaves_the_callers_random_state_alone(
    family: str, tiny: dict[str, object], digits: ImageDataset
) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    fit(digits, family, steps=1, **QUICK, **tiny)
    assert torch.equal(torch.get_rng_state(), before)


def test_run_folder_shows_what_happened(
    family: str, tiny: dict[str, object], digits: ImageDataset, tmp_path: Path
) -> None:
    fit(digits, family, steps=6, out=tmp_path / "run", **{**QUICK, "preview_every": 3}, log_every=3, **tiny)
    folder = tmp_path / "run"
    assert (folder / "reals.png").exists()
    assert sorted(path.name for path in (folder / "samples").iterdir()) == ["000003.png", "000006.png"]
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [3, 6]
    assert all(np.isfinite(value) for row in rows for key, value in row.items() if "/" in key)
    assert not [path for path in folder.rglob("*") if path.suffix in (".pt", ".pth", ".pkl", ".bin")]
    assert json.loads((folder / "run.json").read_text())["training"]["steps"] == 6
    assert "trained on" in (folder / "README.md").read_text()


def test_augmentation_reaches_training_and_goes_on_exactly_after_a_stop(
    family: str, tiny: dict[str, object], digits: ImageDataset, tmp_path: Path
) -> None:
    settings = {"family": family, "horizontal_flip": True, **QUICK, **tiny}
    plain = fit(digits, steps=4, **settings)
    changed = fit(digits, steps=4, augmentation="affine+randaugment", **settings)
    assert changed.digest != plain.digest
    fit(digits, steps=2, augmentation="affine+randaugment", out=tmp_path / "run", **settings)
    with pytest.raises(ConfigError, match="another augmentation: it was started with 'affine"):
        fit(digits, steps=4, out=tmp_path / "run", resume=True, **settings)
    resumed = fit(digits, steps=4, augmentation="affine+randaugment", out=tmp_path / "run", resume=True, **settings)
    assert resumed.digest == changed.digest


def test_the_network_sees_augmented_images_and_the_prior_those_as_they_are(
    digits: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synthaug.generators.vae import VAE, VAEObjective

    trained_on: list[torch.Tensor] = []
    fitted_to: list[np.ndarray] = []
    loss, encode_images = VAEObjective.loss, VAE.encode_images

    def watched_loss(self: VAEObjective, images: torch.Tensor, *rest: object) -> dict[str, torch.Tensor]:
        trained_on.append(images)
        return loss(self, images, *rest)

    def watched_encode(self: VAE, images: np.ndarray, labels: np.ndarray) -> object:
        fitted_to.append(images)
        return encode_images(self, images, labels)

    monkeypatch.setattr(VAEObjective, "loss", watched_loss)
    monkeypatch.setattr(VAE, "encode_images", watched_encode)
    dark = ImageDataset.from_arrays(np.full((12, 8, 8, 1), 100, np.uint8), [0, 1] * 6, ["a", "b"])
    fit(dark, "vae", steps=2, width=8, augmentation="contrast", **QUICK)
    grey = torch.cat(trained_on).flatten(1).mean(1)
    assert grey.std() > 0.05
    assert {int(value) for images in fitted_to for value in np.unique(images)} == {100}


def test_the_learning_rate_rises_over_the_warm_up_and_then_stays(digits: ImageDataset) -> None:
    def used(**settings: float) -> list[float]:
        rates: list[float] = []

        def record(optimizer: torch.optim.Optimizer, *_: object) -> None:
            rates.extend(group["lr"] for group in optimizer.param_groups)

        with register_optimizer_step_pre_hook(record):
            fit(digits, "vae", steps=6, width=8, **settings, **QUICK)
        return rates

    rising = used(learning_rate=0.008, learning_rate_warmup=4)
    assert rising == pytest.approx([0.002, 0.004, 0.006, 0.008, 0.008, 0.008])
    assert used(learning_rate_warmup=0) == pytest.approx([1e-3] * 6), "the family's own"


def test_previews_do_not_change_the_result(
    family: str, tiny: dict[str, object], digits: ImageDataset, tmp_path: Path
) -> None:
    settings = {"family": family, "steps": 4, "batch_size": 12, "progress": False, **tiny}
    looked_at = fit(digits, out=tmp_path / "run", preview_every=1, **settings)
    assert looked_at.digest == fit(digits, **settings).digest


def test_ctrl_c_saves_and_says_how_to_go_on(
    family: str, tiny: dict[str, object], digits: ImageDataset, tmp_path: Path
) -> None:
    settings = {"family": family, "steps": 2000, **QUICK, **tiny}

    def press_when_running() -> None:
        while not (tmp_path / "run" / "metrics.jsonl").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    # Where the tests run in the background, the shell has them ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        presser = threading.Thread(target=press_when_running)
        presser.start()
        with pytest.raises(TrainingInterrupted, match="--resume"):
            fit(digits, out=tmp_path / "run", log_every=1, **settings)
        presser.join()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    step = json.loads((tmp_path / "run" / "trainer_state" / "state.json").read_text())["step"]
    assert 1 <= step < 2000
    settings["steps"] = step + 1
    resumed = fit(digits, out=tmp_path / "run", resume=True, log_every=1, **settings)
    assert resumed.digest == fit(digits, **settings).digest


def test_ctrl_c_that_comes_too_late_to_stop_training_still_interrupts(
    digits: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a caller of several steps would go on with the next one."""
    finish = family_class("vae").finish

    def pressed_in_finish(generator: Generator, data: ImageDataset) -> None:
        if data is digits:  # and not the few of a preview: a second one would interrupt at once
            os.kill(os.getpid(), signal.SIGINT)
        finish(generator, data)

    monkeypatch.setattr(family_class("vae"), "finish", pressed_in_finish)
    settings = {"steps": 2, "width": 8, **QUICK}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(TrainingInterrupted, match="The generator is in"):
            fit(digits, "vae", out=tmp_path / "run", **settings)
        with pytest.raises(TrainingInterrupted, match="Nothing was saved"):
            fit(digits, "vae", **settings)
    finally:
        signal.signal(signal.SIGINT, before)
    monkeypatch.setattr(family_class("vae"), "finish", finish)
    assert synthaug.load(tmp_path / "run").digest == fit(digits, "vae", **settings).digest


def test_an_unfinished_run_is_gone_on_with_and_a_finished_one_is_not_shortened(
    digits: ImageDataset, tmp_path: Path
) -> None:
    settings = {"family": "vae", "width": 8, "out": tmp_path / "run", **QUICK}
    fit(digits, steps=4, **settings)
    with pytest.raises(ConfigError, match="it is finished, with 4"):
        fit(digits, steps=2, resume=True, **settings)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["training"]["steps"] == 4
    (tmp_path / "run" / "config.json").unlink()
    with pytest.raises(OutputExistsError, match=r"has not finished.*--resume"):
        fit(digits, steps=4, **settings)
    fit(digits, steps=4, resume=True, **settings)
    assert (tmp_path / "run" / "config.json").exists()


def test_divergence_stops_with_the_cause_and_keeps_the_last_checkpoint(
    family: str, tiny: dict[str, object], digits: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"learning_rate": 1e30, "learning_rate_warmup": 3, **QUICK, **tiny}
    with pytest.raises(DivergenceError, match=r"(not finite|exploded|inf|nan)"):
        fit(digits, family, steps=300, out=tmp_path / "none", **settings)
    assert not (tmp_path / "none" / "model.safetensors").exists()

    settings = {**QUICK, **tiny, "steps": 8, "checkpoint_every": 4, "out": tmp_path / "run"}
    batch = Trainer._batch

    def broken(trainer: Trainer) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = batch(trainer)
        return (images * float("nan") if trainer.step == 5 else images), labels

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_batch", broken)
        with pytest.raises(DivergenceError, match=r"step 5.*The checkpoint of step 4 is in"):
            fit(digits, family, **settings)
    resumed = fit(digits, family, resume=True, **settings)
    assert resumed.digest == fit(digits, family, **{**settings, "out": None}).digest, "what was saved is good"


def test_a_kill_while_a_checkpoint_is_replaced_loses_nothing(digits: ImageDataset, tmp_path: Path) -> None:
    settings = {"family": "vae", "width": 8, **QUICK}
    fit(digits, steps=2, out=tmp_path / "run", **settings)
    state = tmp_path / "run" / "trainer_state"
    state.rename(tmp_path / "run" / ".trainer_state.old")  # between the two renames
    (tmp_path / "run" / "model.safetensors").unlink()
    (tmp_path / "run" / "config.json").unlink()
    resumed = fit(digits, steps=4, out=tmp_path / "run", resume=True, **settings)
    assert state.is_dir()
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [2, 4], "it went on from step 2, and did not start anew"
    assert resumed.digest == fit(digits, steps=4, **settings).digest


def test_nothing_is_overwritten_or_mixed_up(tmp_path: Path, digits: ImageDataset) -> None:
    settings = {"family": "vae", "width": 8, **QUICK}
    first = fit(digits, steps=2, out=tmp_path / "run", **settings)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        fit(digits, steps=2, out=tmp_path / "run", **settings)
    with pytest.raises(ConfigError, match="another width"):
        fit(digits, steps=2, out=tmp_path / "run", resume=True, **{**settings, "width": 12})
    with pytest.raises(ConfigError, match="another dataset"):
        fit(digits.few_shot(5, seed=0), steps=2, out=tmp_path / "run", resume=True, **settings)
    assert synthaug.load(tmp_path / "run").digest == first.digest
    fit(digits, steps=2, out=tmp_path / "run", overwrite=True, **{**settings, "width": 12})
    (tmp_path / "diary").mkdir()
    (tmp_path / "diary" / "monday.txt").write_text("dear diary")
    with pytest.raises(OutputExistsError, match="no run of synthaug"):
        fit(digits, steps=2, out=tmp_path / "diary", overwrite=True, **settings)
    assert (tmp_path / "diary" / "monday.txt").exists()


def test_a_run_goes_on_in_the_precision_it_was_started_in(
    tmp_path: Path, digits: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"family": "vae", "out": tmp_path / "run", "width": 8, **QUICK}
    with monkeypatch.context() as patch:  # as on a GPU that has it
        patch.setattr("synthaug.training.fitting._resolve_precision", lambda *_: "bf16")
        fit(digits, steps=1, **settings)
    with pytest.raises(ConfigError, match=r"another precision.*'bf16', but got 'fp32'.*--precision bf16"):
        fit(digits, steps=2, resume=True, **settings)
    assert fit(digits, steps=2, resume=True, precision="bf16", **settings).precision == "bf16"


def test_dry_run_prints_and_writes_nothing(
    family: str, tiny: dict[str, object], digits: ImageDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(digits, family, steps=5, out=tmp_path / "run", dry_run=True, **tiny)
    printed = json.loads(capsys.readouterr().out)
    assert printed["training"]["steps"] == 5
    assert printed["parameters"]["generator"] > 0
    assert not (tmp_path / "run").exists()


def test_a_run_that_cannot_begin_leaves_the_one_that_it_was_to_replace(digits: ImageDataset, tmp_path: Path) -> None:
    kept = fit(digits, "vae", steps=1, width=8, out=tmp_path / "run", **QUICK).digest
    wrong = {"perceptual": 0.1, "perceptual_network": "efficientnet_lite"}
    with pytest.raises(ConfigError, match="efficientnet_lite"):
        fit(digits, "vae", steps=1, width=8, out=tmp_path / "run", overwrite=True, **wrong, **QUICK)
    assert synthaug.load(tmp_path / "run").digest == kept
    with pytest.raises(ConfigError, match="efficientnet_lite"):
        fit(digits, "vae", steps=1, width=8, out=tmp_path / "new", **wrong, **QUICK)
    assert not (tmp_path / "new").exists()


def test_unknown_settings_name_close_ones(digits: ImageDataset) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'latent_dim'"):
        fit(digits, "vae", latent_dims=3)
    with pytest.raises(ConfigError, match="steps: expected a whole number of 1 or more"):
        fit(digits, "vae", steps=0)
    with pytest.raises(ConfigError, match="batch_size: expected int"):
        fit(digits, "vae", batch_size="12")
    with pytest.raises(ConfigError, match="Did you mean 'affine'"):
        fit(digits, "vae", augmentation="afine")
    with pytest.raises(ConfigError, match="augmentation: expected one without mixup and cutmix"):
        fit(digits, "vae", augmentation="flip+mixup")


def test_a_class_with_one_image_and_one_with_none(
    family: str, tiny: dict[str, object], digits: ImageDataset, tmp_path: Path
) -> None:
    images, labels = digits.images[digits.labels < 2], digits.labels[digits.labels < 2]
    rows = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:1]])
    data = ImageDataset.from_arrays(images[rows], labels[rows], ["zero", "one"])
    for conditioning in ("shared", "per_class"):
        generator = fit(data, family, conditioning=conditioning, steps=4, **QUICK, **tiny)
        assert generator.sample({"one": 3}).shape == (3, 1, 8, 8)
    empty = ImageDataset.from_arrays(images[rows], labels[rows], ["zero", "one", "two"])
    with pytest.raises(DataError, match="1 have none"):
        fit(empty, family, conditioning="per_class", steps=4, **QUICK, **tiny)
    with pytest.warns(UserWarning, match="have no image"):
        unsure = fit(empty, family, steps=4, out=tmp_path / "unsure", **QUICK, **tiny)
    with pytest.warns(DataWarning, match="'two' of the classes had no training image"):
        synthaug.generate(unsure, per_class=1, out=tmp_path / "all", progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        synthaug.generate(tmp_path / "unsure", counts={"zero": 1}, out=tmp_path / "some", progress=False)


def test_collapse_is_warned_of(digits: ImageDataset, tmp_path: Path) -> None:
    from synthaug.training import ModeCollapseWarning

    stuck = fit(digits, "gan", steps=1, width=8, **QUICK).with_sampling(temperature=1e-6)
    with (
        Watcher(tmp_path, 300, 12, shown=False) as watcher,
        pytest.warns(ModeCollapseWarning, match="nearly identical"),
    ):
        watcher.preview(300, stuck, digits)


def test_half_precision_trains_and_is_part_of_the_generator(
    family: str, tiny: dict[str, object], digits: ImageDataset, tmp_path: Path
) -> None:
    settings = {"family": family, "precision": "bf16", **QUICK, **tiny}
    whole = fit(digits, steps=6, **settings)
    assert whole.precision == "bf16"
    fit(digits, steps=3, out=tmp_path / "run", **settings)
    assert fit(digits, steps=6, out=tmp_path / "run", resume=True, **settings).digest == whole.digest
    assert whole.digest != fit(digits, steps=6, **{**settings, "precision": "fp32"}).digest


@pytest.mark.slow
def test_the_vae_learns_digits(digits: ImageDataset) -> None:
    """A nearest-mean classifier made of real digits recognises most samples."""
    generator = fit(digits, "vae", steps=300, batch_size=32, width=24, progress=False)
    means = np.stack([digits.images[digits.labels == label].mean(0).ravel() for label in range(10)])
    samples = generator.sample(dict.fromkeys(range(10), 20)).flatten(1).numpy().astype(float)
    nearest = ((samples[:, None] - means) ** 2).sum(2).argmin(1)
    assert (nearest == np.repeat(np.arange(10), 20)).mean() > 0.75


def test_a_folder_is_trained_in_by_one_at_a_time(
    digits: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"family": "vae", "steps": 4, **QUICK, "width": 8, "out": tmp_path / "run"}
    real_step, refused = Trainer._train_step, []

    def step_beside_others(self: Trainer) -> dict[str, torch.Tensor]:
        if self.step == 2 and not refused:
            for way in ({"resume": True}, {"overwrite": True}):
                with pytest.raises(OutputExistsError, match="another process is writing"):
                    fit(digits, **settings, **way)
                refused.append(way)
        return real_step(self)

    alone = fit(digits, **{**settings, "out": None})
    monkeypatch.setattr(Trainer, "_train_step", step_beside_others)
    trained = fit(digits, **settings)
    assert len(refused) == 2
    assert trained.digest == alone.digest
    assert not list((tmp_path / "run").glob(".lock"))
    assert fit(digits, resume=True, **settings).digest == alone.digest
