"""Training a timm classifier on real images and samples: the yardstick of every gain."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from synthaug.augmentation import Augmentation
from synthaug.classifiers.feed import Batch, Feed, SampleSource
from synthaug.classifiers.models import create_classifier, pretrained_scale, zero_head
from synthaug.classifiers.policy import Policy
from synthaug.classifiers.scores import Scores, score
from synthaug.classifiers.settings import ClassifierConfig, ClassifierResult
from synthaug.devices import own_random_state, resolve_device, seed_random_state
from synthaug.errors import DataError, DivergenceError, LabelError
from synthaug.sampling import SampleBank
from synthaug.seeds import check_seed
from synthaug.spread import evenly_within

if TYPE_CHECKING:
    from synthaug.data import ImageDataset

_STATISTICS_IMAGES, _STATISTICS_BYTES = 10_000, 1 << 27
_EVALUATION_BATCH = 512


class Classifier:
    """A trained classifier with the scaling that it was trained with.

    Args:
        model: Takes normalised images (B, C, H, W), gives logits (B, K).
        mean: Of the training images, (C,), in [0, 255].
        std: Of the training images, (C,).
        size: (H, W) to which images are resized, or `None`.
        device: Where the model runs.
        precision: ``"fp32"`` or ``"bf16"``.
    """

    def __init__(
        self,
        model: nn.Module,
        mean: Tensor,
        std: Tensor,
        size: tuple[int, int] | None,
        device: torch.device,
        precision: Literal["fp32", "bf16"],
    ) -> None:
        self.model, self.size, self.device, self.precision = model, size, device, precision
        self._mean, self._std = mean.view(-1, 1, 1).to(device), std.view(-1, 1, 1).to(device)

    def prepare(self, images: Tensor) -> Tensor:
        """Scale uint8 images (B, C, H, W) as the model wants them."""
        scaled = (images.to(self.device).float() - self._mean) / self._std
        if self.size is not None and self.size != tuple(images.shape[-2:]):
            scaled = F.interpolate(scaled, self.size, mode="bilinear", antialias=True, align_corners=False)
        return scaled.contiguous(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Return float32 logits (B, K) of prepared images."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits: Tensor = self.model(images)
        return logits.float()

    @torch.inference_mode()
    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return logits (N, K) of uint8 images (N, H, W, C)."""
        self.model.eval()
        parts = [
            self.forward(self.prepare(torch.from_numpy(np.array(part)).permute(0, 3, 1, 2))).cpu().numpy()
            for part in _slices(images)  # copied, since the maps of banks are read-only
        ]
        return np.concatenate(parts)

    def dataset_logits(self, data: ImageDataset) -> NDArray[np.float32]:
        """Return logits (N, K) of the images of a dataset, read part by part."""
        return np.concatenate([self.logits(data.take(part)) for part in _slices(np.arange(len(data)))])

    def predictions(self, data: ImageDataset) -> NDArray[np.int64]:
        """Return the predicted label of each image of a dataset, (N,)."""
        found: NDArray[np.int64] = self.dataset_logits(data).argmax(axis=1)
        return found

    def scores(self, data: ImageDataset) -> Scores:
        """Compare the predictions for a dataset with its labels."""
        return score(self.predictions(data), np.asarray(data.labels), len(data.classes))


def _slices(array: NDArray[Any]) -> list[NDArray[Any]]:
    return [array[start : start + _EVALUATION_BATCH] for start in range(0, len(array), _EVALUATION_BATCH)]


def train_classifier(
    train: ImageDataset,
    test: ImageDataset | None = None,
    *,
    bank: SampleSource | str | PathLike[str] | None = None,
    policy: Policy | None = None,
    validation: ImageDataset | None = None,
    seed: int = 0,
    device: str = "auto",
    model_options: Mapping[str, Any] | None = None,
    **settings: Any,
) -> ClassifierResult:
    """Train a timm classifier on real images and samples, then score it.

    Two calls with the same seed take the same number of steps, start from the same weights and (unless the policy
    adds samples) see real images in the same order; same seed and settings give the same numbers.

    Args:
        train: Real training images.
        test: Read once, after the last step.
        bank: Samples of a generator that has seen ``train`` alone, or the folder of a bank.
        policy: How the samples enter; `Policy()` if left out.
        validation: What choices are made on; scored after the last step.
        seed: Decides weights, order, replacements and augmentation.
        device: ``"auto"`` (a GPU if there is one) or a torch device.
        model_options: Further arguments of `timm.create_model`, such as ``pretrained=True``.
        **settings: Fields of `ClassifierConfig`, such as model, pretrained, augmentation, steps, batch_size and
            learning_rate.

    Raises:
        ConfigError: On an unknown or bad setting, or a model that cannot take such images.
        DataError: If there are no training images, or those of the bank or another split have another shape.
        LabelError: If the splits name other classes.
        DivergenceError: If the loss is no longer finite.

    Example:
        >>> data = synthaug.ImageDataset.load("digits")  # doctest: +SKIP
        >>> train, test = data.split(0.8, seed=0)  # doctest: +SKIP
        >>> result = train_classifier(train, test, bank=bank, policy=Policy(replace_probability=0.3))  # doctest: +SKIP
        >>> result.balanced_accuracy, result.recall  # doctest: +SKIP
    """
    result, _ = fit_classifier(
        train,
        test,
        bank=bank,
        policy=policy,
        validation=validation,
        seed=seed,
        device=device,
        model_options=model_options,
        **settings,
    )
    return result


def fit_classifier(
    train: ImageDataset,
    test: ImageDataset | None = None,
    *,
    bank: SampleSource | str | PathLike[str] | None = None,
    policy: Policy | None = None,
    validation: ImageDataset | None = None,
    seed: int = 0,
    device: str = "auto",
    model_options: Mapping[str, Any] | None = None,
    **settings: Any,
) -> tuple[ClassifierResult, Classifier]:
    """Do what `train_classifier` does, and return the trained `Classifier` as well."""
    config = ClassifierConfig.from_dict(settings)
    config = config.resolved(pretrained=bool((model_options or {}).get("pretrained", config.pretrained)))
    for name, split in (("test", test), ("validation", validation)):
        if split is not None and tuple(split.classes) != tuple(train.classes):
            raise LabelError(
                f"expected the {name} split to have the training split's {len(train.classes)} classes in the same "
                f"order, but got {', '.join(split.classes[:10])}."
            )
        if split is not None and not len(split):
            raise DataError(f"expected a {name} split with images, but got an empty one; leave it out instead.")
        if split is not None and split.image_shape != train.image_shape:
            raise DataError(
                f"expected a {name} split of images of shape {train.image_shape} (C, H, W) like the training images, "
                f"but got {split.image_shape}. Load both with the same image_size and channels."
            )
    seed = check_seed(seed)
    if isinstance(bank, (str, PathLike)):
        bank = SampleBank.open(Path(bank))
    start = time.perf_counter()
    place = resolve_device(device)
    policy = (policy or Policy()) if bank is not None else None
    feed = Feed(
        train,
        bank,
        policy or Policy(),
        batch_size=config.batch_size,
        seed=seed,
        balanced=config.balanced_sampling,
    )
    with own_random_state(place):
        seed_random_state(seed, place)
        classifier = _untrained(train, config, place, model_options)
        seed_random_state(seed, place)  # augmentation does not depend on how many numbers the weights took
        _to_training(classifier.model, frozen=bool(config.freeze_statistics))
        loss, synthetic = _optimise(classifier, feed, config, policy or Policy())
    validation_scores = None if validation is None else classifier.scores(validation)
    result = ClassifierResult(
        test=None if test is None else classifier.scores(test),
        validation=validation_scores,
        steps=config.steps,
        images=config.steps * config.batch_size,
        synthetic_images=synthetic,
        loss=loss,
        parameters=sum(parameter.numel() for parameter in classifier.model.parameters()),
        seconds=time.perf_counter() - start,
        precision=classifier.precision,
        seed=seed,
        config=config,
        policy=policy,
    )
    return result, classifier


def _untrained(
    train: ImageDataset, config: ClassifierConfig, device: torch.device, options: Mapping[str, Any] | None
) -> Classifier:
    channels, height, width = train.image_shape
    side = config.input_size
    size = (side, side) if isinstance(side, int) else (height, width) if side is None else side
    options = ({"pretrained": True} if config.pretrained else {}) | dict(options or {})
    model = create_classifier(config.model, classes=len(train.classes), channels=channels, size=size, options=options)
    if config.zero_head:
        zero_head(model)
    model = model.to(device).to(memory_format=torch.channels_last)
    mean, std = pretrained_scale(model, channels) if config.pretrained else _scale_of(train)
    precision: Literal["fp32", "bf16"]
    if config.precision == "auto":
        precision = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    else:
        precision = config.precision
    return Classifier(model, mean, std, None if side is None else size, device, precision)


def _scale_of(train: ImageDataset) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each channel of the training images, on the scale of 0 to 255."""
    rows = evenly_within(len(train), _STATISTICS_IMAGES, int(np.prod(train.image_shape)), _STATISTICS_BYTES)
    sample = torch.from_numpy(train.take(rows)).float()
    return sample.mean(dim=(0, 1, 2)), sample.std(dim=(0, 1, 2)).clamp(min=1.0)


def _to_training(model: nn.Module, *, frozen: bool) -> None:
    """Set the model to training mode; where statistics are frozen, its batch normalisation stays in evaluation mode."""
    model.train()
    if frozen:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def _optimise(classifier: Classifier, feed: Feed, config: ClassifierConfig, policy: Policy) -> tuple[float, int]:
    """Run all steps; return the mean loss of the last tenth and the number of samples seen."""
    from timm.optim import create_optimizer_v2

    peak = float(config.learning_rate or 0)  # resolved: never left out
    optimizer = create_optimizer_v2(
        classifier.model, opt="adamw", lr=peak, weight_decay=config.weight_decay, fused=True
    )
    rise = max(0.2, 2 / (config.steps + 1))  # torch divides by zero where the rise is a single step
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, peak, total_steps=config.steps + 1, pct_start=rise, cycle_momentum=False
    )
    augment, mixer = Augmentation(config.augmentation), Augmentation(policy.mixing)
    corrections = {
        samples: _Correction.of(feed.class_counts(samples), config, classifier.device) for samples in (True, False)
    }
    until = feed.samples_until(config.steps)
    classes = len(feed.class_counts(False))
    reweighted_from = round(config.deferred_reweighting * config.steps)
    longest = _gradient_clip(classifier.model, config)
    losses: list[Tensor] = []
    synthetic = 0
    for step, batch in enumerate(feed.batches(config.steps)):
        synthetic += batch.synthetic_count
        correction = corrections[step < until]
        weights = correction.weights if step >= reweighted_from else torch.ones(classes)
        targets = image_targets(batch, weights, policy.loss_weight, config.label_smoothing).to(classifier.device)
        pixels = augment.pixels(batch.images)
        images = classifier.prepare(pixels)
        if batch.partner is not None:
            # An image that stays as it is has itself as partner, augmented as it is: a mixture of equals is no change.
            others, samples = pixels.clone(), batch.partner.synthetic
            if samples.any():
                others[samples] = augment.pixels(batch.partner.images[samples])
            partners = image_targets(batch.partner, weights, policy.loss_weight, config.label_smoothing)
            images, targets = mix_pairs(mixer, images, classifier.prepare(others), targets, partners)
        images, targets = augment.mix(images, targets)
        loss = weighted_cross_entropy(classifier.forward(images) + correction.adjustment, targets)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if longest > 0:
            torch.nn.utils.clip_grad_norm_(classifier.model.parameters(), longest)
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
        if (step % 50 == 49 or step == config.steps - 1) and not bool(torch.isfinite(losses[-1])):
            raise DivergenceError(
                f"the classifier's loss was no longer finite by step {step + 1}; lower learning_rate (now {peak:g})."
            )
    return float(torch.stack(losses[-max(1, config.steps // 10) :]).mean()), synthetic


@dataclasses.dataclass(frozen=True)
class _Correction:
    """What corrects the imbalance of the labels that batches are made of.

    Attributes:
        adjustment: Added to the logits, (K,).
        weights: Of the images of each class, once they are re-weighted, (K,).
    """

    adjustment: Tensor
    weights: Tensor

    @classmethod
    def of(cls, counts: NDArray[np.float64], config: ClassifierConfig, device: torch.device) -> _Correction:
        numbers = torch.from_numpy(counts).float().clamp(min=1)
        adjustment = config.logit_adjustment * (numbers / numbers.sum()).log()
        return cls(adjustment.to(device), effective_number_weights(numbers))


def _gradient_clip(model: nn.Module, config: ClassifierConfig) -> float:
    if config.gradient_clip is not None:
        return config.gradient_clip
    normalised = any(isinstance(part, nn.BatchNorm2d) and part.training for part in model.modules())
    return 0.0 if normalised else 1.0


def image_targets(batch: Batch, class_weights: Tensor, synthetic_weight: float, smoothing: float) -> Tensor:
    """Return the weight of each class for each image, (B, K); a row sums to the weight of its image.

    Args:
        batch: Images, of which only labels, weights and what are samples count.
        class_weights: Weight of the images of each class, (K,).
        synthetic_weight: Of a sample, on top of the bank's.
        smoothing: Share of an image's weight that is spread over all classes.
    """
    classes = len(class_weights)
    targets = F.one_hot(batch.labels, classes).float() * (1 - smoothing) + smoothing / classes
    weights = torch.where(batch.synthetic, synthetic_weight, 1.0) * batch.weights * class_weights[batch.labels]
    return targets * weights[:, None]


def mix_pairs(
    mixer: Augmentation, images: Tensor, partners: Tensor, targets: Tensor, partner_targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Mix each image with its partner, and their targets in the same proportions.

    Args:
        mixer: A MixUp, a CutMix, or both.
        images: float, (B, C, H, W).
        partners: The same shape.
        targets: Weight of each class for each image, (B, K).
        partner_targets: Of the partners, (B, K).

    Returns:
        The mixed images and targets, of the same shapes.

    Example:
        >>> one, other = torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 4)
        >>> mixed, targets = mix_pairs(Augmentation("mixup"), one, other, torch.eye(2)[[0, 0]], torch.eye(2)[[1, 1]])
        >>> bool(torch.isclose(mixed[0].mean(), targets[0, 1]))
        True
    """
    # torchvision mixes each image with the one before it, so partners stand before their images.
    both = torch.stack([partners, images], dim=1).flatten(0, 1)
    every = torch.stack([partner_targets.to(both.device), targets.to(both.device)], dim=1).flatten(0, 1)
    mixed, mixed_targets = mixer.mix(both, every)
    return mixed[1::2].contiguous(memory_format=torch.channels_last), mixed_targets[1::2]


def effective_number_weights(counts: Tensor, beta: float = 0.9999) -> Tensor:
    """Return the weight of each class, the inverse of its effective number of images; their mean is 1.

    Source: Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019.

    Args:
        counts: Images of each class, 1 or more, (K,).
        beta: Below 1; the nearer, the more a class's size counts.

    Example:
        >>> [round(weight, 1) for weight in effective_number_weights(torch.tensor([900.0, 100.0])).tolist()]
        [0.2, 1.8]
    """
    weights = (1 - beta) / (1 - beta ** counts.double())
    return (weights / weights.mean()).float()


def weighted_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of logits (B, K) with weighted soft targets (B, K): the mean by weight.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0], [0.0, 9.0]])
        >>> alone = weighted_cross_entropy(logits[:1], torch.tensor([[1.0, 0.0]]))
        >>> bool(torch.isclose(alone, weighted_cross_entropy(logits, torch.tensor([[1.0, 0.0], [0.0, 0.0]]))))
        True
    """
    return -(targets * F.log_softmax(logits, dim=1)).sum() / targets.sum().clamp(min=1e-8)
