"""What goes into the training of a classifier, and what comes out."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, Self

from synthaug.augmentation import Augmentation
from synthaug.classifiers.policy import Policy
from synthaug.classifiers.scores import Scores
from synthaug.config import Config
from synthaug.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class ClassifierConfig(Config):
    """Settings of a classifier's training.

    Attributes:
        model: Any timm model name.
        pretrained: Start from pretrained weights: the bundled ones of ``efficientnet_lite0``, or those that timm
            downloads. Images are then scaled as in its training, else by mean and deviation of the training images.
        augmentation: Parts joined by ``+``; see `synthaug.augmentation.named`.
        steps: Optimiser steps; samples never add any.
        batch_size: Images in a step.
        learning_rate: Peak of the one-cycle schedule (Smith & Topin 2019) of AdamW. `None` is 3e-4 where statistics are
            frozen, and 2e-3 elsewhere.
        weight_decay: Of AdamW; not on biases and norms.
        balanced_sampling: Draw classes evenly.
        logit_adjustment: Strength τ of the logit-adjusted loss (Menon et al. 2021): τ·log(share of the class) is added
            to the logits in training only, so that at test every class counts alike. Classes' shares are those of the
            labels in the loss, samples and what is mixed included.
        deferred_reweighting: Share of the steps after which images weigh by the inverse effective number of their
            class (Cao et al. 2019; Cui et al. 2019, β = 0.9999); 1 never weighs them.
        gradient_clip: Norm to which longer gradients are cut (Pascanu et al. 2013); 0 never cuts. `None` is 1 for
            models without batch normalisation, such as vision transformers, and with frozen statistics, which else may
            collapse at a learning rate that convolutional networks like, and 0 for all others.
        freeze_statistics: Keep the means and variances of batch normalisation that a pretrained model brings, in place
            of those of the batches. `None` keeps them where the model is pretrained: on few images statistics of small
            batches spoil its features.
        zero_head: Start the last layer at zero (Kolesnikov et al. 2020, "Big Transfer"), so that it learns before the
            gradients of random weights reach what lies below. `None` does so where the model is pretrained: with
            random ones EfficientNet-Lite0's first loss was 15, and its features collapsed in some runs.
        label_smoothing: Share of the target spread over all classes (Szegedy et al. 2016).
        input_size: Side to which images are resized for the model, or (H, W); `None` leaves them as they are.
        precision: ``"auto"`` is bf16 on a GPU that has it, fp32 elsewhere: on processors with AVX512-BF16 small
            classifiers trained no faster in bf16 (0.6 to 1.0 times), unlike generators.
    """

    model: str = "resnet10t"
    pretrained: bool = False
    augmentation: str = "flip-crop"
    steps: int = 400
    batch_size: int = 64
    learning_rate: float | None = None
    weight_decay: float = 0.05
    balanced_sampling: bool = False
    logit_adjustment: float = 0.0
    deferred_reweighting: float = 1.0
    gradient_clip: float | None = None
    freeze_statistics: bool | None = None
    zero_head: bool | None = None
    label_smoothing: float = 0.0
    input_size: int | tuple[int, int] | None = None
    precision: Literal["auto", "fp32", "bf16"] = "auto"

    def validate(self) -> None:
        """Check the ranges."""
        self.require(self.steps >= 1, "steps", "1 step or more")
        self.require(self.batch_size >= 2, "batch_size", "2 images or more")
        self.require(self.learning_rate is None or self.learning_rate > 0, "learning_rate", "a rate above 0, or None")
        self.require(self.weight_decay >= 0, "weight_decay", "a decay of 0 or more")
        self.require(
            self.gradient_clip is None or self.gradient_clip >= 0, "gradient_clip", "a norm of 0 or more, or None"
        )
        self.require(0 <= self.label_smoothing < 1, "label_smoothing", "a share from 0 to below 1")
        self.require(self.logit_adjustment >= 0, "logit_adjustment", "a strength of 0 or more")
        self.require(0 <= self.deferred_reweighting <= 1, "deferred_reweighting", "a share of the steps from 0 to 1")
        corrections = {
            "balanced_sampling": self.balanced_sampling,
            "logit_adjustment": self.logit_adjustment > 0,
            "deferred_reweighting": self.deferred_reweighting < 1,
        }
        used = [name for name, on in corrections.items() if on]
        if len(used) > 1:
            raise ConfigError(
                f"expected one of {', '.join(corrections)}, but got {' and '.join(used)}: they correct the same "
                "imbalance, and what one has evened out the next would tip over. Choose one."
            )
        Augmentation(self.augmentation)

    def resolved(self, *, pretrained: bool) -> Self:
        """Return these settings with what was left out, for a model that is pretrained or not.

        Example:
            >>> ClassifierConfig().resolved(pretrained=True).learning_rate
            0.0003
        """
        frozen = pretrained if self.freeze_statistics is None else self.freeze_statistics
        zero = pretrained if self.zero_head is None else self.zero_head
        rate = (3e-4 if frozen else 2e-3) if self.learning_rate is None else self.learning_rate
        return self.replace(pretrained=pretrained, freeze_statistics=frozen, zero_head=zero, learning_rate=rate)


@dataclasses.dataclass(frozen=True)
class ClassifierResult:
    """What a training came to.

    Attributes:
        test: Scores on the test split, read once, after the last step; `None` without a test split.
        validation: Scores on the validation split; `None` without one.
        steps: Optimiser steps taken.
        images: Images seen, real and synthetic; partners that were mixed into them are not counted.
        synthetic_images: Samples seen, as images or as partners.
        loss: Mean training loss over the last tenth of the steps.
        parameters: Number of the model's parameters.
        seconds: Time of training and scoring.
        precision: Number format that was used.
        seed: Seed of weights, order and augmentation.
        config: All settings.
        policy: How samples entered; `None` without a bank.
    """

    test: Scores | None
    validation: Scores | None
    steps: int
    images: int
    synthetic_images: int
    loss: float
    parameters: int
    seconds: float
    precision: str
    seed: int
    config: ClassifierConfig
    policy: Policy | None

    @property
    def accuracy(self) -> float:
        """Accuracy on the test split."""
        return self._test.accuracy

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall on the test split."""
        return self._test.balanced_accuracy

    @property
    def recall(self) -> tuple[float | None, ...]:
        """Recall of each class on the test split."""
        return self._test.recall

    @property
    def _test(self) -> Scores:
        if self.test is None:
            raise ConfigError("this classifier was trained without a test split; pass test=… to train_classifier.")
        return self.test

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name in ("test", "validation", "config", "policy"):
            plain[name] = plain[name] if plain[name] is None else plain[name].to_dict()
        return plain
