"""What `synthaug.latent.search` can raise: ready scores, and how to bring one's own.

A score is a function from images, float tensors (B, C, H, W) in [-1, 1], to numbers (B,); gradients flow through it if
they can. A function of uint8 arrays is wrapped in `BlackBox`.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from synthaug.errors import ConfigError, did_you_mean
from synthaug.pixels import to_uint8


@dataclasses.dataclass(frozen=True)
class BlackBox:
    """A score that takes uint8 images (N, H, W, C) and gives numbers (N,), without gradients.

    Attributes:
        function: What computes it.
    """

    function: Callable[[NDArray[np.uint8]], NDArray[np.floating]]


Score = Callable[[Tensor], Tensor] | BlackBox

Constraint = Callable[[Tensor, Tensor], Tensor]
"""From images (B, C, H, W) in [-1, 1] and labels (B,) to numbers (B,): 0 or less where what must hold does."""


class TrainedClassifier(Protocol):
    """What a `synthaug.classifiers.Classifier` has."""

    model: nn.Module

    def prepare(self, images: Tensor) -> Tensor:
        """Scale images (B, C, H, W) from 0 … 255 as the model wants them."""

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, K) of prepared images."""


def class_logits(classifier: TrainedClassifier | nn.Module) -> Callable[[Tensor], Tensor]:
    """Return the function from images in [-1, 1] to logits (B, K); the classifier is set to evaluation mode.

    Args:
        classifier: A `synthaug.classifiers.Classifier`, or a module that takes images in [-1, 1].
    """
    if isinstance(classifier, nn.Module):
        return _of_module(classifier.eval())
    classifier.model.eval()

    def logits(images: Tensor) -> Tensor:
        return classifier.forward(classifier.prepare((images + 1) * 127.5)).to(images.device)

    return logits


def _of_module(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """Let a module see images wherever it is, and give its values where the images are."""

    def values(images: Tensor) -> Tensor:
        weight = next(module.parameters(), images)
        found: Tensor = module(images.to(weight.device)).to(images.device)
        return found

    return values


def classifier_uncertainty(
    classifier: TrainedClassifier | nn.Module, kind: Literal["margin", "entropy"] | str = "margin"
) -> Callable[[Tensor], Tensor]:
    """Make the score of how unsure a classifier is.

    Args:
        classifier: A `synthaug.classifiers.Classifier`, or a module from images in [-1, 1] to logits.
        kind: ``"margin"`` (Scheffer et al. 2001), as the log-odds of the second most likely class against the most
            likely one: 0 on the boundary between them, and lower the surer the classifier is. Unlike probabilities
            it does not level off where the classifier is sure, so that a gradient leads out of there. ``"entropy"``:
            that of all classes over its maximum, from 0 to 1.

    Raises:
        ConfigError: On another kind.

    Example:
        >>> score = classifier_uncertainty(nn.Flatten())  # a picture of two pixels is its own logits
        >>> score(torch.tensor([[[[1.0, 1.0]]], [[[1.0, -1.0]]]])).tolist()
        [0.0, -2.0]
    """
    if kind not in ("margin", "entropy"):
        raise ConfigError(f"kind: expected 'margin' or 'entropy', but got {kind!r}.")
    logits = class_logits(classifier)

    def margin(images: Tensor) -> Tensor:
        best, second = logits(images).topk(2, dim=1).values.unbind(1)
        return second - best

    def entropy(images: Tensor) -> Tensor:
        log_probabilities = F.log_softmax(logits(images), dim=1)
        total = -(log_probabilities.exp() * log_probabilities).sum(1)
        return total / float(np.log(log_probabilities.shape[1]))

    return margin if kind == "margin" else entropy


def keeps_label(classifier: TrainedClassifier | nn.Module, threshold: float = 0.5) -> Constraint:
    """Make the constraint that a classifier gives an image's own class a probability of ``threshold`` or more.

    From 0.5 on the class is also the most likely one.

    Raises:
        ConfigError: If the threshold is not between 0 and 1.
    """
    if not 0 < threshold < 1:
        raise ConfigError(f"threshold: expected a probability between 0 and 1, but got {threshold}.")
    logits = class_logits(classifier)

    def lacking(images: Tensor, labels: Tensor) -> Tensor:
        own = F.log_softmax(logits(images), dim=1).gather(1, labels[:, None])[:, 0]
        return float(np.log(threshold)) - own

    return lacking


def property_predictor(predict: Callable[[Tensor], Tensor], target: float | None = None) -> Callable[[Tensor], Tensor]:
    """Make the score of a predicted property: the more the better, or the nearer to a target.

    Args:
        predict: From images (B, C, H, W) in [-1, 1] to the property, (B,) or (B, 1): a trained regressor, say.
        target: What it should be; left out, as much as possible.

    Example:
        >>> property_predictor(brightness, target=0.25)(torch.zeros(1, 1, 8, 8)).tolist()
        [-0.25]
    """

    def score(images: Tensor) -> Tensor:
        values = predict(images).flatten()
        return values if target is None else -(values - target).abs()

    return score


def brightness(images: Tensor) -> Tensor:
    """Return the mean brightness of images, from 0 (black) to 1 (white)."""
    return (images.flatten(1).mean(1) + 1) / 2


def stroke_width(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the mean width, in pixels, of light strokes on dark: twice their area over the length of their outline.

    Example:
        >>> bar = np.zeros((1, 28, 28, 1), np.uint8)
        >>> bar[:, 4:24, 12:15] = 255
        >>> stroke_width(bar).round(1).tolist()
        [2.6]
    """
    ink = np.pad(images.mean(axis=3) > 127.5, ((0, 0), (1, 1), (1, 1))).astype(np.int8)
    outline = sum(np.abs(np.diff(ink, axis=axis)).sum(axis=(1, 2)) for axis in (1, 2))
    width: NDArray[np.float64] = 2 * ink.sum(axis=(1, 2)) / np.maximum(outline, 1)
    return width


READY: dict[str, Score] = {"brightness": brightness, "stroke-width": BlackBox(stroke_width)}
"""Scores by name that need nothing but the images."""


def find_score(name: str, *, gradient: bool) -> Score:
    """Return a ready score by name, or a function by ``module:function``.

    Args:
        name: One of `READY`, or where to import a function from; modules in the working directory are found.
        gradient: Whether such a function takes tensors (see `Score`), or uint8 arrays as a `BlackBox` does.

    Raises:
        ConfigError: If there is no such score, module or function.
    """
    if name in READY:
        return READY[name]
    module, colon, function = name.partition(":")
    if not colon:
        raise ConfigError(
            f"expected a score ({', '.join(('uncertainty', *READY))}) or module:function, but got {name!r}."
            f"{did_you_mean(name, ('uncertainty', *READY))}"
        )
    found = _imported(module, function)
    return found if gradient else BlackBox(found)


def _imported(module: str, function: str) -> Callable[[Any], Any]:
    sys.path.insert(0, str(Path.cwd()))  # a console script's path lacks it
    try:
        found: object = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"cannot take the score {function!r} from the module {module!r}: {error}.") from error
    finally:
        sys.path.pop(0)
    if not callable(found):
        raise ConfigError(f"expected {module}:{function} to be a function, but it is a {type(found).__name__}.")
    return found


def evaluate(score: Score, images: Tensor) -> Tensor:
    """Return the scores (B,) of images (B, C, H, W) in [-1, 1], as float32 on their device, and check them.

    Raises:
        ConfigError: If the score gives something else than a finite number for each image.
    """
    if isinstance(score, BlackBox):
        pixels = to_uint8(images.detach())
        array = np.asarray(score.function(pixels.permute(0, 2, 3, 1).cpu().numpy()), dtype=np.float32)
        values = torch.from_numpy(array)
    else:
        values = score(images)
    if not isinstance(values, Tensor) or values.shape != (len(images),):
        got = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ConfigError(f"expected the score to give a number for each of {len(images)} images, but got {got}.")
    if not bool(torch.isfinite(values).all()):
        raise ConfigError("expected the score to give finite numbers, but some are infinite or not a number.")
    return values.float().to(images.device)
