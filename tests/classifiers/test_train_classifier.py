from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from synthaug.classifiers import (
    ClassifierConfig,
    Policy,
    fit_classifier,
    score,
    selection,
    train_classifier,
    tune_classifier,
)
from synthaug.classifiers.classifier import Classifier, effective_number_weights, weighted_cross_entropy
from synthaug.classifiers.feed import Feed
from synthaug.classifiers.models import create_classifier, zero_head
from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, DataError, LabelError
from synthaug.networks.pretrained import bundled_weights
from synthaug.sampling import SampleBank

TINY = {"model": "test_resnet", "steps": 6, "batch_size": 16, "augmentation": "none", "input_size": 16}


def numbers(result) -> dict[str, object]:
    """A result without its time."""
    return result.to_dict() | {"seconds": 0}


def noise_bank() -> SampleBank:
    classes = [str(digit) for digit in range(10)]
    labels = np.repeat(np.arange(10), 8)
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 8, 8, 1), dtype=np.uint8)
    return SampleBank.from_arrays(images, labels, classes)


@pytest.fixture(scope="module")
def splits(digits):
    return digits.split(0.5, seed=0)


def test_learns_real_digits(splits):
    result = train_classifier(*splits, **(TINY | {"steps": 80, "learning_rate": 5e-3}))
    assert result.accuracy > 0.7
    assert result.balanced_accuracy == pytest.approx(np.mean(result.recall))


def test_same_seed_same_numbers_and_the_global_random_state_is_left_alone(splits):
    settings = TINY | {"augmentation": "affine+mixup"}
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = train_classifier(*splits, seed=3, **settings)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    assert numbers(train_classifier(*splits, seed=3, **settings)) == numbers(first)
    assert train_classifier(*splits, seed=4, **settings).loss != first.loss


@pytest.mark.parametrize(
    ("model", "setting", "norms"),
    [("test_resnet", {}, set()), ("test_vit", {}, {1.0}), ("test_vit", {"gradient_clip": 0}, set()),
     ("test_resnet", {"gradient_clip": 0.5}, {0.5}), ("test_resnet", {"freeze_statistics": True}, {1.0})],
)  # fmt: skip
def test_long_gradients_are_cut_where_no_batch_normalisation_holds_them(splits, monkeypatch, model, setting, norms):
    cut, real = [], torch.nn.utils.clip_grad_norm_
    monkeypatch.setattr(
        torch.nn.utils, "clip_grad_norm_", lambda parameters, longest: (cut.append(longest), real(parameters, longest))
    )
    train_classifier(*splits, **(TINY | {"model": model, "steps": 2} | setting))
    assert set(cut) == norms


@pytest.mark.parametrize(
    "policy", [Policy(), Policy(mode="mix"), Policy(mode="add"), Policy(mode="add", ratio=0.2, loss_weight=0.1)]
)
def test_samples_never_add_steps_or_images(splits, policy):
    without = train_classifier(*splits, **TINY)
    with_samples = train_classifier(*splits, bank=noise_bank(), policy=policy, **TINY)
    assert (without.steps, without.images) == (with_samples.steps, with_samples.images) == (6, 96)
    assert without.synthetic_images == 0 < with_samples.synthetic_images


def test_a_policy_that_uses_no_sample_equals_training_without_a_bank(splits):
    without = train_classifier(*splits, **TINY)
    unused = train_classifier(*splits, bank=noise_bank(), policy=Policy(replace_probability=0), **TINY)
    assert unused.test == without.test
    assert unused.loss == without.loss


def test_loss_weight_changes_training(splits):
    losses = {
        weight: train_classifier(*splits, bank=noise_bank(), policy=Policy(loss_weight=weight), **TINY).loss
        for weight in (0.0, 0.5, 1.0)
    }
    assert len(set(losses.values())) == 3


def test_weighted_cross_entropy_is_the_mean_by_weight():
    logits = torch.randn(3, 4, generator=torch.manual_seed(0))
    labels, weights = torch.tensor([0, 3, 1]), torch.tensor([1.0, 0.25, 0.5])
    each = F.cross_entropy(logits, labels, reduction="none")
    ours = weighted_cross_entropy(logits, F.one_hot(labels, 4) * weights[:, None])
    assert ours.item() == pytest.approx(((each * weights).sum() / weights.sum()).item())


def test_logit_adjustment_raises_the_recall_of_rare_classes():
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], [190, 10])
    values = 110 + 30 * labels + random.normal(0, 25, len(labels))  # the classes overlap, so the prior decides
    noise = random.normal(0, 5, (len(labels), 8, 8, 1))
    images = np.clip(values[:, None, None, None] + noise, 0, 255).astype(np.uint8)
    train = ImageDataset.from_arrays(images, labels, ("common", "rare"))
    settings = TINY | {"steps": 40, "learning_rate": 3e-3}
    recall = {tau: train_classifier(train, train, logit_adjustment=tau, **settings).recall for tau in (0.0, 1.0)}
    assert recall[1.0][1] > recall[0.0][1]


def test_logit_adjustment_starts_from_the_adjusted_loss(splits):
    """With one step the reported loss is that of the first weights: cross-entropy of logits + τ log share."""
    train, _ = splits
    tail = train.long_tail(imbalance=5, seed=0)
    plain = TINY | {"steps": 1, "batch_size": 32, "learning_rate": 1e-12}
    _, classifier = fit_classifier(tail, **plain)
    adjusted = train_classifier(tail, logit_adjustment=1.0, **plain)
    batch = next(Feed(tail, None, Policy(), batch_size=32, seed=0).batches(1))
    classifier.model.train()
    with torch.no_grad():
        logits = classifier.forward(classifier.prepare(batch.images))
    shares = torch.from_numpy(tail.class_counts / tail.class_counts.sum()).float()
    assert adjusted.loss == pytest.approx(F.cross_entropy(logits + shares.log(), batch.labels).item(), rel=1e-4)


def test_the_correction_is_that_of_the_images_that_batches_are_drawn_from(splits):
    """In the last step, when samples that evened the classes out are gone, it is that of the real images."""
    train, _ = splits
    tail = train.long_tail(imbalance=5, seed=0)
    missing = tail.class_counts.max() - tail.class_counts
    labels = np.repeat(np.arange(len(tail.classes)), missing)
    bank = SampleBank.from_arrays(np.zeros((len(labels), *tail.images.shape[1:]), np.uint8), labels, tail.classes)
    plain = TINY | {"batch_size": 16, "learning_rate": 1e-12, "logit_adjustment": 1.0}

    def loss(steps, until, tau=1.0):
        policy = Policy(mode="add", real_only_after=until)
        found = train_classifier(tail, bank=bank, policy=policy, **(plain | {"steps": steps, "logit_adjustment": tau}))
        return found.loss

    assert loss(1, 1.0) == pytest.approx(loss(1, 1.0, tau=0.0), rel=1e-4), "samples even out: nothing to correct"
    assert abs(loss(2, 0.5) - loss(2, 0.5, tau=0.0)) > 0.01, "only real images are left"


def test_nothing_but_the_training_split_is_looked_at_before_the_end(splits):
    """A test split that must not be read in training raises when it is."""
    train, test = splits
    seen = []

    class Watched:
        classes, labels, image_shape = test.classes, test.labels, test.image_shape

        def __len__(self):
            return len(test)

        def take(self, rows):
            seen.append(len(rows))
            return test.take(rows)

    watched = train_classifier(train, Watched(), **TINY)
    assert sum(seen) == len(test)
    other = test.subset(np.arange(20))
    assert train_classifier(train, other, **TINY).loss == watched.loss


def test_scores_are_optional_and_say_so(splits):
    train, rest = splits
    result = train_classifier(train, validation=rest, **TINY)
    assert result.test is None
    assert result.validation.count == len(rest)
    assert json.loads(json.dumps(result.to_dict()))["config"]["model"] == "test_resnet"
    with pytest.raises(ConfigError, match="without a test split"):
        _ = result.accuracy


def test_splits_with_other_classes_are_refused(splits):
    train, test = splits
    other = ImageDataset.from_arrays(test.images, test.labels, tuple("abcdefghij"))
    with pytest.raises(LabelError, match="same order"):
        train_classifier(train, other, **TINY)


def test_score_counts_each_class_alike():
    result = score(np.array([0, 0, 0, 0]), np.array([0, 0, 0, 1]), classes=3)
    assert (result.accuracy, result.balanced_accuracy, result.recall) == (0.75, 0.5, (1.0, 0.0, None))
    with pytest.raises(DataError):
        score(np.array([]), np.array([]), classes=2)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(28, 28), (32, 24)])
@pytest.mark.parametrize("model", ["test_resnet", "test_efficientnet", "test_vit"])
def test_models_take_small_grey_and_colour_images(model, size, channels):
    made = create_classifier(model, classes=4, channels=channels, size=size)
    assert made(torch.zeros(2, channels, *size)).shape == (2, 4)


@pytest.mark.parametrize(
    ("size", "patch"), [((28, 28), 4), ((8, 8), 1), ((32, 32), 4), ((64, 64), 8), ((112, 112), 16)]
)
def test_transformers_get_patches_that_cover_the_image(size, patch):
    embed = create_classifier("test_vit", classes=2, channels=1, size=size).patch_embed
    assert tuple(embed.patch_size) == (patch, patch)
    assert embed.grid_size == (size[0] // patch, size[1] // patch)


def test_patches_that_would_cut_borders_off_are_refused():
    with pytest.raises(ConfigError, match="divisor of the image's sides 28×28, but got 16"):
        create_classifier("test_vit", classes=2, channels=1, size=(28, 28), options={"patch_size": 16})
    with pytest.raises(ConfigError, match="input_size"):
        create_classifier("test_vit", classes=2, channels=1, size=(29, 29))


def test_unknown_models_and_sizes_too_small_are_refused_with_a_way_out():
    with pytest.raises(ConfigError, match="Did you mean 'resnet18'"):
        create_classifier("resnet_18", classes=2, channels=1, size=(32, 32))
    with pytest.raises(ConfigError, match="input_size"):
        create_classifier("test_convnext", classes=2, channels=1, size=(8, 8))


def test_pretrained_weights_are_the_bundled_ones_for_grey_and_colour():
    colour, grey = (
        create_classifier(
            "efficientnet_lite0", classes=3, channels=channels, size=(32, 32), options={"pretrained": True}
        )
        for channels in (3, 1)
    )
    known = bundled_weights()
    for name, value in colour.state_dict().items():
        assert "classifier" in name or torch.equal(value, known[name]), name
    assert grey.conv_stem.weight.shape[1] == 1
    assert torch.allclose(
        grey.conv_stem.weight[:, 0], known["conv_stem.weight"].sum(dim=1)
    )  # a grey image is R = G = B
    assert torch.equal(grey.blocks[-1][0].conv_pwl.weight, known["blocks.6.0.conv_pwl.weight"])


@pytest.mark.parametrize(("setting", "frozen"), [(None, True), (True, True), (False, False)])
def test_pretrained_statistics_stay_as_they_came_unless_told_otherwise(splits, setting, frozen):
    train, _ = splits
    settings = TINY | {"model": "efficientnet_lite0", "pretrained": True, "input_size": 32, "steps": 2}
    _, classifier = fit_classifier(train, freeze_statistics=setting, **settings)
    known = bundled_weights()
    state = classifier.model.state_dict()
    same = [torch.equal(state[name], known[name]) for name in known if name.endswith("running_mean")]
    assert all(same) == frozen
    assert not torch.equal(state["conv_head.weight"], known["conv_head.weight"])  # all weights learn


@pytest.mark.parametrize(
    ("settings", "pretrained", "expected"),
    [({}, False, (False, False, 2e-3)), ({}, True, (True, True, 3e-4)),
     ({"freeze_statistics": False}, True, (False, True, 2e-3)),
     ({"learning_rate": 5e-4, "zero_head": False}, True, (True, False, 5e-4))],
)  # fmt: skip
def test_what_is_left_out_suits_models_that_are_pretrained_or_not(settings, pretrained, expected):
    config = ClassifierConfig.from_dict(settings).resolved(pretrained=pretrained)
    assert (config.freeze_statistics, config.zero_head, config.learning_rate) == expected


@pytest.mark.parametrize(("setting", "zero"), [(None, True), (False, False)])
def test_a_pretrained_model_says_nothing_of_classes_before_it_has_learnt(splits, setting, zero, monkeypatch):
    train, _ = splits
    first: list[torch.Tensor] = []
    forward = Classifier.forward
    monkeypatch.setattr(Classifier, "forward", lambda self, images: first.append(out := forward(self, images)) or out)
    settings = TINY | {"model": "efficientnet_lite0", "pretrained": True, "input_size": 32, "steps": 2}
    result = train_classifier(train, zero_head=setting, **settings)
    assert bool((first[0] == 0).all()) == zero
    assert first[-1].abs().sum() > 0
    assert result.config.zero_head == zero


@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "deit_tiny_distilled_patch16_224"])
def test_a_head_of_zeros_gives_zeros_whatever_the_model(name):
    model = create_classifier(name, classes=3, channels=3, size=(32, 32)).eval()
    image = torch.randn(1, 3, 32, 32)
    assert model(image).abs().sum() > 0
    zero_head(model)
    assert model(image).abs().sum() == 0


def test_other_models_learn_their_statistics_unless_told_otherwise(splits):
    train, _ = splits
    models = [fit_classifier(train, freeze_statistics=setting, **TINY)[1].model for setting in (None, True)]
    moved = [bool(model.state_dict()["bn1.running_mean"].any()) for model in models]
    assert moved == [True, False]


def test_pretrained_models_get_images_on_the_scale_of_their_training(splits):
    train, _ = splits
    settings = TINY | {"input_size": 32, "steps": 1}
    black = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    _, pretrained = fit_classifier(train, **settings | {"model": "efficientnet_lite0", "pretrained": True})
    assert torch.allclose(pretrained.prepare(black), torch.tensor(-1.0))
    _, fresh = fit_classifier(train, **settings)
    assert not torch.allclose(fresh.prepare(black), torch.tensor(-1.0))


def test_deferred_reweighting_favours_rare_classes_from_its_step_on(splits):
    train, _ = splits
    keep = np.concatenate([np.flatnonzero(train.labels == label)[: 40 if label == 0 else 2] for label in range(10)])
    tail = train.subset(keep)
    settings = {**TINY, "steps": 6, "learning_rate": 1e-12}  # weights stay, so losses are those of the same model
    plain = train_classifier(tail, **settings)
    assert train_classifier(tail, **settings, deferred_reweighting=1.0).loss == plain.loss
    late = train_classifier(tail, **settings, deferred_reweighting=5 / 6)  # the reported loss is that of the last step
    assert late.loss == train_classifier(tail, **settings, deferred_reweighting=0.0).loss != plain.loss
    *_, batch = Feed(tail, None, Policy(), batch_size=TINY["batch_size"], seed=0).batches(6)
    _, classifier = fit_classifier(tail, **settings)
    classifier.model.train()
    with torch.no_grad():
        logits = classifier.forward(classifier.prepare(batch.images))
    rare = effective_number_weights(torch.from_numpy(tail.class_counts).float())
    assert late.loss == pytest.approx(F.cross_entropy(logits, batch.labels, weight=rare).item(), rel=1e-3)
    weights = effective_number_weights(torch.tensor([40.0, 2.0]))
    assert weights[1] / weights[0] == pytest.approx(20, rel=0.01)  # β near 1: nearly the inverse number of images
    assert weights.mean() == pytest.approx(1)


@pytest.mark.parametrize(
    "bad",
    [
        {"steps": 0},
        {"deferred_reweighting": 1.5},
        {"gradient_clip": -1.0},
        {"batch_size": 1},
        {"augmentation": "mixpu"},
        {"learning_rat": 1e-3},
        {"balanced_sampling": True, "logit_adjustment": 1.0},
        {"balanced_sampling": True, "deferred_reweighting": 0.8},
        {"logit_adjustment": 1.0, "deferred_reweighting": 0.8},
    ],
)
def test_bad_settings_are_refused_before_any_work(splits, bad):
    with pytest.raises(ConfigError):
        train_classifier(*splits, **(TINY | bad))


def test_tuning_sees_the_training_split_alone_and_prefers_what_learns(splits):
    train, _ = splits
    settings = {key: TINY[key] for key in ("model", "batch_size", "augmentation", "input_size")} | {"steps": 40}
    choice = tune_classifier(train, [{"learning_rate": 1e-7}, {"learning_rate": 5e-3}], splits=1, **settings)
    assert choice.best == {"learning_rate": 5e-3}
    bad, good = choice.to_dict()["candidates"]
    assert good["probability"][0] > bad["probability"][0]
    assert good["balanced_accuracy"][0] > bad["balanced_accuracy"][0]


@pytest.mark.parametrize("bad", [{"splits": 0}, {"holdout": 1.0}, {"candidates": []}])
def test_tuning_refuses_what_leaves_nothing_to_choose(splits, bad):
    with pytest.raises(ConfigError, match="expected candidates"):
        tune_classifier(splits[0], **({"candidates": [{}]} | bad))


@pytest.mark.parametrize("leak", ["bank", "test", "validation", "policy"])
def test_tuning_takes_no_samples_and_no_test_images(splits, leak):
    with pytest.raises(ConfigError, match=f"settings of a classifier, .* but got '{leak}'"):
        tune_classifier(splits[0], [{}], **{leak: None})
    with pytest.raises(ConfigError, match=leak):
        tune_classifier(splits[0], [{leak: None}])


def test_tuning_takes_the_surer_of_classifiers_that_find_the_same(splits, monkeypatch):
    """Both find every image; one hardly."""

    class Found:
        def __init__(self, sure: float) -> None:
            self.sure = sure

        def dataset_logits(self, data):
            labels = np.asarray(data.labels)
            right = np.eye(10)[labels]
            unsure = np.random.default_rng(0).random((len(labels), 10)) * 0.9
            return np.where(right > 0, 1, unsure * (1 - self.sure))

    monkeypatch.setattr(selection, "fit_classifier", lambda part, seed, label_smoothing: (None, Found(label_smoothing)))
    choice = tune_classifier(splits[0], [{"label_smoothing": 0.0}, {"label_smoothing": 0.9}])
    assert choice.best == {"label_smoothing": 0.9}
    assert choice.accuracies == ((1.0, 1.0, 1.0),) * 2


@pytest.mark.parametrize("steps", [1, 2, 4, 9])
def test_any_number_of_steps_trains(splits, steps):
    assert train_classifier(splits[0], **(TINY | {"steps": steps})).steps == steps


def test_results_are_frozen(splits):
    with pytest.raises(dataclasses.FrozenInstanceError):
        train_classifier(splits[0], **(TINY | {"steps": 1})).loss = 0.0


def test_a_bank_may_be_a_path(splits, tmp_path):
    train, test = splits
    bank = SampleBank.from_arrays(train.images[:20], train.labels[:20], train.classes).save(tmp_path / "bank")
    found = [
        train_classifier(train, test, bank=one, **TINY) for one in (bank, tmp_path / "bank", str(tmp_path / "bank"))
    ]
    assert len({one.loss for one in found}) == 1
    assert found[0].synthetic_images > 0


@pytest.mark.parametrize("name", ["test", "validation"])
def test_an_empty_split_is_refused_before_any_work(splits, name):
    with pytest.raises(DataError, match=f"expected a {name} split with images"):
        train_classifier(splits[0], **{name: splits[1].subset(np.arange(0))}, **TINY)


def test_seeds_are_checked(splits):
    with pytest.raises(ConfigError, match="seed: expected an integer from 0"):
        train_classifier(splits[0], seed=-1, **TINY)


@pytest.mark.parametrize("name", ["test", "validation"])
def test_splits_of_another_shape_are_refused_before_training(splits, name):
    train, other = splits
    coloured = ImageDataset.from_arrays(np.repeat(other.images[:4], 3, axis=3), other.labels[:4], other.classes)
    with pytest.raises(DataError, match=rf"{name} split of images of shape \(1, 8, 8\).*but got \(3, 8, 8\)"):
        train_classifier(train, **{name: coloured}, **TINY)


def test_tuning_needs_a_class_of_which_something_can_be_held_out():
    single = ImageDataset.from_arrays(np.zeros((3, 8, 8), np.uint8), [0, 1, 2])
    with pytest.raises(DataError, match=r"two images or more.*\[1, 1, 1\]"):
        tune_classifier(single, [{}], model="test_resnet", steps=1)
