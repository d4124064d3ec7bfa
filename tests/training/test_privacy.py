"""What differentially private training promises, and what it refuses."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator

import synthaug
from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, DivergenceError, MissingExtraError
from synthaug.generators import make_generator, save
from synthaug.training import TrainingConfig, fit, privacy
from synthaug.training.loop import Trainer
from synthaug.training.privacy import PrivacyPlan, default_delta

pytest.importorskip("opacus")

TINY = {"width": 8, "latent_dim": 6, "class_dim": 4, "components": 2, "warmup_steps": 5}
QUICK: dict[str, Any] = {"steps": 6, "batch_size": 12, "progress": False, "preview_every": 0, **TINY}
PRIVATE: dict[str, Any] = {**QUICK, "privacy_epsilon": 3.0}
REPEATABLE: dict[str, Any] = {**PRIVATE, "privacy_seed": 5}


def _trainer(data: ImageDataset, multiplier: float, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Trainer:
    monkeypatch.setattr(privacy, "_noise_multiplier", lambda *_: multiplier)
    config = TrainingConfig(
        **{"steps": 4, "batch_size": len(data), "balance": 0.0, "privacy_epsilon": 1.0, "privacy_seed": 1, **settings}
    )
    torch.manual_seed(0)
    generator = make_generator("vae", data.classes, data.image_shape, options=TINY)
    return Trainer(generator, data, config, Accelerator(cpu=True))


def _noisy_gradient(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    """What the optimiser steps along, times the batch size: the sum of clipped gradients and noise."""
    (phase,), (optimizer,) = trainer.phases, trainer.optimizers.values()
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(
        optimizer.original_optimizer,
        "step",
        lambda: seen.append(torch.cat([parameter.grad.flatten() for parameter in phase.parameters()])),
    )
    trainer._train_step()
    return seen[0] * trainer.private.plan.batch_size


@pytest.fixture
def few(digits: ImageDataset) -> ImageDataset:
    return digits.subset(np.arange(0, 300, 6))


def test_an_extreme_image_moves_the_sum_of_gradients_by_no_more_than_the_clip(
    few: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The posterior's noise depends on the size of the batch, so it would differ between the two.
    monkeypatch.setattr("synthaug.generators.vae.reparameterise", lambda posterior: posterior.mu)
    extreme = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (4, 4))[None, :, :, None]
    more = ImageDataset.from_arrays(
        np.concatenate([few.images, extreme]), np.append(few.labels, 0), few.classes, name="more"
    )

    def moved(clip: float) -> float:
        sums = []
        for data in (few, more):
            trainer = _trainer(data, 0.0, monkeypatch, privacy_clip=clip)
            everything = np.arange(len(data))
            monkeypatch.setattr(trainer.private, "positions", lambda step, everything=everything: everything)
            sums.append(_noisy_gradient(trainer, monkeypatch))
        return float((sums[1] - sums[0]).norm())

    assert moved(1e6) > 10, "unclipped, this image is one to reckon with"
    for clip in (0.5, 2.0):
        assert moved(clip) == pytest.approx(clip, rel=0.01)


def test_noise_is_as_large_as_planned(few: ImageDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = _trainer(few, 2.0, monkeypatch, privacy_clip=3.0)
    monkeypatch.setattr(trainer.private, "positions", lambda step: np.zeros(0, np.int64))
    assert float(_noisy_gradient(trainer, monkeypatch).std()) == pytest.approx(6.0, rel=0.05)


def test_an_image_whose_gradient_is_not_finite_counts_as_none(
    few: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = _trainer(few, 0.0, monkeypatch)
    real = trainer._batch

    def broken() -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = real()
        images[0] = float("nan")
        return images, labels

    monkeypatch.setattr(trainer, "_batch", broken)
    assert _noisy_gradient(trainer, monkeypatch).isfinite().all()


def test_large_batches_are_taken_in_parts(few: ImageDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    # A loss without randomness, so that parts can be compared with the whole.
    monkeypatch.setattr("synthaug.generators.vae.reparameterise", lambda posterior: posterior.mu)
    sums = []
    for together in (64, 7):
        monkeypatch.setattr(privacy, "_TOGETHER", together)
        sums.append(_noisy_gradient(_trainer(few, 0.0, monkeypatch), monkeypatch))
    assert torch.allclose(*sums, rtol=1e-3, atol=1e-4)


def test_batches_are_poisson(digits: ImageDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    private = _trainer(digits, 1.0, monkeypatch, batch_size=15).private
    drawn = [private.positions(step) for step in range(400)]
    sizes = np.array([len(positions) for positions in drawn])
    assert sizes.mean() == pytest.approx(15, rel=0.05)
    assert sizes.var() == pytest.approx(15 * 0.95, rel=0.3), "each image by itself, so sizes vary"
    assert all(len(set(positions.tolist())) == len(positions) for positions in drawn)
    assert np.bincount(np.concatenate(drawn), minlength=300).min() > 5
    assert np.array_equal(private.positions(7), drawn[7])


def test_a_run_spends_no_more_than_asked_and_says_so(digits: ImageDataset, tmp_path: Path) -> None:
    generator = fit(digits, out=tmp_path / "run", **PRIVATE)
    spent = generator.privacy
    assert spent is not None
    assert 2.9 < spent["epsilon"] <= 3.0
    assert spent["delta"] == 1e-3
    assert spent["noise"] == "secret"
    assert generator.sampling.prior == "normal"
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert config["provenance"]["privacy"] == run["privacy"] == spent
    assert "(3, 0.001) for one training image" in (tmp_path / "run" / "README.md").read_text()
    save(synthaug.load(tmp_path / "run"), tmp_path / "copy")
    again = synthaug.load(tmp_path / "copy")
    assert again.privacy == spent
    assert again.digest == generator.digest
    assert torch.equal(again.sample({"3": 2}), generator.sample({"3": 2}))
    assert fit(digits, **QUICK).privacy is None


def test_more_steps_larger_batches_and_smaller_budgets_need_more_noise() -> None:
    def multiplier(**settings: Any) -> float:
        plan = PrivacyPlan.of(
            TrainingConfig(**{"steps": 20, "balance": 0.0, "privacy_epsilon": 2.0, "batch_size": 20, **settings}), 1000
        )
        assert plan is not None
        assert plan.spent(plan.steps) <= plan.epsilon
        assert plan.spent(1) < plan.spent(plan.steps)
        return plan.noise_multiplier

    usual = multiplier()
    for more in ({"steps": 200}, {"batch_size": 100}, {"privacy_epsilon": 1.0}, {"privacy_delta": 1e-6}):
        assert multiplier(**more) > usual, more
    assert multiplier(privacy_clip=5.0) == usual


def test_delta_is_below_one_in_the_number_of_images() -> None:
    for images in (1, 9, 10, 300, 10_000, 60_000):
        assert 0 < default_delta(images) < 1 / images


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"family": "gan"}, "expected family 'vae'"),
        ({"family": "autoencoder"}, "expected family 'vae'"),
        ({"conditioning": "per_class"}, "how many images the class has"),
        ({"encoder": "test_resnet"}, "batch normalisation"),
        ({"balance": 0.5}, "balance: expected 0"),
        ({"minutes": 1}, "minutes: expected None"),
        ({"precision": "bf16"}, "precision: expected fp32"),
        ({"perceptual": 0.1}, "perceptual 0"),
        ({"privacy_delta": 0.01}, "below 1/300"),
        ({"privacy_delta": 2.0}, "between 0 and 1"),
        ({"privacy_clip": 0.0}, "privacy_clip: expected a number above 0"),
        ({"privacy_epsilon": -1.0}, "privacy_epsilon: expected a number above 0"),
        ({"privacy_epsilon": 1e-3, "privacy_delta": 1e-6}, "no noise is enough"),
        ({"privacy_epsilon": None, "privacy_delta": 1e-5}, "without privacy_epsilon"),
    ],
)
def test_what_breaks_the_guarantee_is_refused_and_leaves_nothing(
    settings: dict[str, Any], message: str, digits: ImageDataset, tmp_path: Path
) -> None:
    if settings.get("family", "vae") != "vae":
        asked = {"steps": 1, "privacy_epsilon": 3.0, **settings}
    else:
        asked = {**PRIVATE, **settings}
    with pytest.raises(ConfigError, match=re.escape(message)):
        fit(digits, out=tmp_path / "run", **asked)
    assert not (tmp_path / "run").exists()


def test_no_prior_is_fitted_to_the_images(digits: ImageDataset) -> None:
    generator = fit(digits, **PRIVATE)
    assert not generator.prior.means.any()
    with pytest.raises(ConfigError, match="privately trained"):
        generator.with_sampling(prior="mixture")
    with pytest.raises(ConfigError, match="undo"):
        generator.finish(digits)
    assert generator.with_sampling(temperature=0.7).privacy == generator.privacy


def test_vision_transformers_and_code_maps_train_privately(digits: ImageDataset) -> None:
    for settings in (
        {"encoder": "test_vit"},
        {"code": "map"},
        {"reconstruction": "bernoulli", "horizontal_flip": True},
    ):
        assert fit(digits, **{**PRIVATE, "steps": 1}, **settings).privacy


def test_resume_is_exact_and_spends_once(digits: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit(digits, **REPEATABLE)
    real_step = Trainer._train_step

    def dies_at_five(self: Trainer) -> dict[str, torch.Tensor]:
        if self.step == 5:
            raise MemoryError("killed")
        return real_step(self)

    for name, settings in (("repeatable", REPEATABLE), ("secret", PRIVATE)):
        asked = {**settings, "out": tmp_path / name, "checkpoint_every": 3}
        monkeypatch.setattr(Trainer, "_train_step", dies_at_five)
        with pytest.raises(MemoryError):
            fit(digits, **asked)
        monkeypatch.setattr(Trainer, "_train_step", real_step)
        state = json.loads((tmp_path / name / "trainer_state" / "state.json").read_text())
        secrets = []
        monkeypatch.setattr(
            Trainer, "_train_step", lambda self, s=secrets: s.append(self.private.secret) or real_step(self)
        )
        resumed = fit(digits, resume=True, **asked)
        assert set(secrets) == {state["private"]["secret"]}, "other noise would spend twice"
        assert len(secrets) == 3
        assert resumed.privacy == whole.privacy | {"noise": name}
        if name == "repeatable":
            assert resumed.digest == whole.digest


def test_a_run_cannot_be_prolonged_nor_go_on_with_other_images(
    digits: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(self: Trainer) -> dict[str, torch.Tensor]:
        raise MemoryError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_train_step", dies)
        with pytest.raises(MemoryError):
            fit(digits, out=tmp_path / "run", **PRIVATE)
    with pytest.raises(ConfigError, match="another steps"):
        fit(digits, out=tmp_path / "run", resume=True, **{**PRIVATE, "steps": 7})
    other = ImageDataset.from_arrays(255 - digits.images, digits.labels, digits.classes, name=digits.name)
    with pytest.raises(ConfigError, match="another dataset"):
        fit(other, out=tmp_path / "run", resume=True, **PRIVATE)
    assert fit(digits, out=tmp_path / "run", resume=True, **PRIVATE).privacy


def test_the_folder_holds_no_image_loss_digest_or_secret(
    digits: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.randbits", lambda bits: 8_765_432_109_876_543_210)
    folder = tmp_path / "run"
    fit(digits, out=folder, **{**PRIVATE, "preview_every": 3})
    assert sorted(path.name for path in folder.rglob("*.png")) == ["000003.png", "000006.png"], "samples only"
    texts = {path: path.read_text() for path in folder.rglob("*") if path.suffix in (".json", ".jsonl", ".md", ".yaml")}
    for path, text in texts.items():
        assert digits.digest not in text, path
        assert "8765432109876543210" not in text, path
        assert not {str(number) for number in digits.class_counts} & set(re.findall(r"\d+", text)), path
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [set(row) for row in rows] == [{"step", "images", "images_per_second"}]
    assert json.loads(texts[folder / "trainer_state" / "state.json"])["references"] == {}


def test_noise_is_secret_unless_seeded(digits: ImageDataset) -> None:
    settings = {**PRIVATE, "steps": 1}
    assert fit(digits, **settings).digest != fit(digits, **settings).digest
    seeded = fit(digits, privacy_seed=1, **settings)
    assert fit(digits, privacy_seed=1, **settings).digest == seeded.digest
    assert fit(digits, privacy_seed=2, **settings).digest != seeded.digest
    assert seeded.privacy["noise"] == "repeatable"
    assert seeded.provenance["training"]["privacy_seed"] is None, "it would undo what the card promises its readers"


def test_divergence_is_told_by_the_weights(digits: ImageDataset, tmp_path: Path) -> None:
    with pytest.raises(DivergenceError, match=r"weight.*The checkpoint of step 0"):
        fit(digits, out=tmp_path / "run", learning_rate=1e30, learning_rate_warmup=1, **PRIVATE)
    state = json.loads((tmp_path / "run" / "trainer_state" / "state.json").read_text())
    assert state["step"] == 0


def test_without_opacus_one_line_says_how_to_install_it(digits: ImageDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opacus", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'synthaug\[privacy\]'"):
        fit(digits, **PRIVATE)


def test_runs_begun_before_there_was_privacy_go_on(digits: ImageDataset, tmp_path: Path) -> None:
    whole = fit(digits, **{**QUICK, "steps": 8})
    fit(digits, out=tmp_path / "run", **QUICK)
    for path in (tmp_path / "run" / "run.json", tmp_path / "run" / "trainer_state" / "state.json"):
        text = re.sub(r',\s*"privacy_[a-z]+": [^,}]+?(?=[,\s}])', "", path.read_text())
        assert "privacy" not in text
        json.loads(text)
        path.write_text(text)
    assert fit(digits, out=tmp_path / "run", resume=True, **{**QUICK, "steps": 8}).digest == whole.digest


def test_dry_run_tells_the_noise(digits: ImageDataset, capsys: pytest.CaptureFixture[str]) -> None:
    fit(digits, dry_run=True, **PRIVATE)
    assert json.loads(capsys.readouterr().out)["privacy"]["noise_multiplier"] > 0
