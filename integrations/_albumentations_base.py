"""What the albumentations transforms share: labels, randomness that is right in workers, and checks of the targets."""

from __future__ import annotations

import importlib.metadata
import os
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from synthaug.errors import DataError, LabelError, MissingExtraError
from synthaug.sampling.draw import NOTHING, Chooser, check_probability, uniform
from synthaug.storage import digest

# Its import looks the newest version up over the network otherwise.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


if _is_installed("albumentationsx"):
    raise MissingExtraError(
        "expected albumentations 2.0, but got its successor albumentationsx, which takes the same import "
        "name and has another interface. "
        "Use: pip uninstall albumentationsx && pip install 'albumentations>=2.0.5,<3'"
    )
try:
    import albumentations as albumentations
except ImportError as error:
    raise MissingExtraError(
        f"albumentations is not installed ({error}). Install it with: pip install 'albumentations>=2.0.5,<3'"
    ) from error

UINT8, FLOAT32 = np.dtype(np.uint8), np.dtype(np.float32)
_SPATIAL = ("mask", "masks", "mask3d", "masks3d", "bboxes", "keypoints", "volume", "volumes")


class SyntheticTransform(albumentations.ImageOnlyTransform):
    """Base of the transforms: everything but how the new images are made.

    Randomness comes from torch's global state, which differs between DataLoader workers and epochs, and
    reproduces under ``torch.manual_seed``; or, under ``Compose(seed=...)``, from that seed (in a worker mixed
    with the worker's own).

    Args:
        chooser: Decides for each image whether a synthetic one comes, and which.
        source: What tells this transform's randomness from that of others.
        p: Probability for each image.
        label_key: Name under which the label is passed.
    """

    _siblings: ClassVar[tuple[Any, int]] = (None, 0)

    def __init__(self, chooser: Chooser, source: str, p: float, label_key: str) -> None:
        super().__init__(p=check_probability(p))
        self.label_key = label_key
        self._chooser, self._source = chooser, source
        self._spatial_keys, self._image_keys = set(_SPATIAL), {"image"}
        self._position = 0
        self._batched = self._forced = False

    @abstractmethod
    def make(self, image: NDArray[Any], row: int, label: int) -> NDArray[np.uint8]:
        """Make the new image, uint8 (H, W, C), of an image (H, W, C) with its label; ``row`` is what was chosen."""

    # Randomness ---------------------------------------------------------------------------------------

    def set_random_seed(self, seed: int | None) -> None:
        """Take the seed of ``Compose(seed=...)``, or with ``None`` follow torch's global state."""
        super().set_random_seed(seed)
        self._stream: np.random.Generator | None = None
        self._own_stream = True
        self._worker_seed: int | None = None

    def set_random_state(self, random_generator: np.random.Generator, py_random: Any) -> None:
        """Draw from a generator that the caller shares among transforms."""
        super().set_random_state(random_generator, py_random)
        self._stream, self._own_stream = random_generator, False

    def set_processors(self, processors: dict[str, Any]) -> None:
        """Note this transform's place among its siblings: a Compose hands all of them the same object."""
        super().set_processors(processors)
        last, count = SyntheticTransform._siblings
        self._position = count if processors is last else 0
        SyntheticTransform._siblings = (processors, self._position + 1)

    def _uniform(self) -> float:
        if self.seed is None and self._own_stream:
            return uniform()
        worker_seed = _worker_seed()
        if self._stream is None or worker_seed != self._worker_seed:
            self._stream = self._new_stream(worker_seed)
            self._worker_seed = worker_seed
        return float(self._stream.random())

    def _new_stream(self, worker_seed: int | None) -> np.random.Generator:
        """Make this instance's stream; Compose gives all its transforms, in all workers, the same seed."""
        if not self._own_stream and self._stream is not None:
            if worker_seed is None:
                return self._stream
            return np.random.default_rng([worker_seed, int(self._stream.integers(1 << 63))])
        own = int(digest(self._source, self.label_key, str(self._position))[:16], 16)
        return np.random.default_rng([int(self.seed or 0), own, *([] if worker_seed is None else [worker_seed])])

    # What the library calls ---------------------------------------------------------------------------

    @property
    def targets_as_params(self) -> list[str]:
        """The keys that a call must bring."""
        return [self.label_key]

    def add_targets(self, additional_targets: dict[str, str]) -> None:
        """Note additional masks, boxes and key points, which have to be refused too."""
        super().add_targets(additional_targets)
        self._spatial_keys |= {key for key, target in additional_targets.items() if target in _SPATIAL}
        self._image_keys |= {key for key, target in additional_targets.items() if target == "image"}

    def __call__(self, *args: Any, force_apply: bool = False, **data: Any) -> Any:
        """Check the call, whatever the draw will be, and replace the image or hand it back."""
        if args:
            return super().__call__(*args, **data)
        self._check(data)
        self._batched, self._forced = "images" in data, force_apply
        if self.replay_mode and self.applied_in_replay:
            self._check_replayed(data[self.label_key])
        if self._batched or self.replay_mode or self.deterministic:
            return super().__call__(force_apply=force_apply, **data)
        # A single image, by far the most frequent: the library's own way would cost more than all the rest.
        label = self._chooser.label(data[self.label_key])
        row = self._chooser.choose(label, 1.0 if force_apply else self.p, self._uniform())
        self.params = {}
        if row != NOTHING:
            self.params = {"shape": data["image"].shape, "row": row, "class_number": label}
            for key in self._image_keys:
                if data.get(key) is not None:
                    data[key] = self.apply(data[key], row, label)
        return data

    def should_apply(self, force_apply: bool = False) -> bool:
        """Draw for an image; the images of a batch are drawn for one by one later."""
        if self._batched:
            return self.p > 0 or force_apply
        return force_apply or self._uniform() < self.p

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Choose the samples: rows of the bank, -1 where the image stays."""
        labels = data[self.label_key]
        if not self._batched:
            number = self._chooser.label(labels)
            return {"row": self._chooser.choose(number, 1.0, self._uniform()), "class_number": number}
        p = 1.0 if self._forced else self.p
        numbers = [self._chooser.label(label) for label in labels]
        rows = [self._chooser.choose(number, p, self._uniform()) for number in numbers]
        return {"rows": rows, "class_numbers": numbers}

    def apply(self, img: NDArray[Any], row: int = NOTHING, class_number: int = 0, **params: Any) -> NDArray[Any]:
        """Return the synthetic image of ``row`` in the layout and type of ``img``."""
        if row == NOTHING:
            return img
        made = self.make(as_pixels(img), row, class_number)
        if img.ndim == 2:
            made = made[..., 0]
        return made.copy() if img.dtype == UINT8 else made.astype(FLOAT32) / FLOAT32.type(255)

    def apply_to_images(
        self,
        images: NDArray[Any],
        rows: Sequence[int] = (),
        class_numbers: Sequence[int] = (),
        **params: Any,
    ) -> NDArray[Any]:
        """Return the synthetic images of ``rows`` in the layout and type of ``images`` (N, H, W[, C])."""
        result = np.array(images)
        for position, (row, number) in enumerate(zip(rows, class_numbers, strict=True)):
            result[position] = self.apply(images[position], row, number)
        return result

    def _check(self, data: dict[str, Any]) -> None:
        if not self._spatial_keys.isdisjoint(data):
            self._refuse_spatial(data)
        label = data.get(self.label_key)
        if label is None:
            raise LabelError(
                f"{type(self).__name__}: expected the label as {self.label_key}=..., but got {', '.join(data)}. "
                "Pass it in the call, or name its key with label_key."
            )
        if "images" not in data:
            self._chooser.label(label)
        elif "image" in data:
            raise DataError(f"{type(self).__name__}: expected either image or images, but got both.")
        elif np.ndim(label) != 1 or len(label) != len(data["images"]):
            raise LabelError(f"expected a label for each of the {len(data['images'])} images, but got {label!r}.")

    def _check_replayed(self, labels: Any) -> None:
        """Refuse other labels than those that the samples were drawn for."""
        drawn = self.params.get("class_numbers", self.params.get("class_number"))
        label = self._chooser.label
        given = [label(one) for one in labels] if self._batched else label(labels)
        if given != (list(drawn) if self._batched and drawn is not None else drawn):
            raise LabelError(
                f"{type(self).__name__}: expected the labels of the call that is replayed, whose samples were drawn "
                f"for classes {drawn}, but got {labels!r}, classes {given}."
            )

    def _refuse_spatial(self, data: dict[str, Any]) -> None:
        for key in self._spatial_keys & data.keys():
            if data[key] is not None:
                raise DataError(
                    f"{type(self).__name__}: expected images and labels only, but got {key}; it would not fit the "
                    "synthetic image. Leave it out, or leave this transform out of the pipeline."
                )


def _worker_seed() -> int | None:
    """Return the seed that the DataLoader gave this worker in this epoch, or ``None`` outside of workers."""
    from torch.utils.data import get_worker_info

    worker = get_worker_info()
    return None if worker is None else worker.seed


def count_channels(image: NDArray[Any]) -> int:
    """Return the number of channels of an image (H, W), (H, W, 1) or (H, W, 3), once all is well with it."""
    channels: int = 1 if image.ndim == 2 else image.shape[-1]
    if image.ndim not in (2, 3) or channels not in (1, 3):
        if image.ndim == 3 and image.shape[0] in (1, 3):
            raise DataError(
                f"expected an image with channels last (H, W, C), but got channels first: {image.shape}. "
                "Place this transform before ToTensorV2, or transpose the image."
            )
        raise DataError(f"expected an image (H, W), (H, W, 1) or (H, W, 3), but got shape {image.shape}.")
    if image.dtype == UINT8:
        return channels
    if image.dtype != FLOAT32:
        raise DataError(
            f"expected a uint8 image in [0, 255] or a float32 one in [0, 1], but got {image.dtype}; convert it first."
        )
    if image.size and not (image.min() >= 0 and image.max() <= 1):
        raise DataError(
            "expected a float32 image in [0, 1], but got values "
            f"from {image.min():.3g} to {image.max():.3g}. "
            "Place this transform before Normalize."
        )
    return channels


def as_pixels(image: NDArray[Any]) -> NDArray[Any]:
    """Return an image as (H, W, C), once all is well with it."""
    channels = count_channels(image)
    return image.reshape(*image.shape[:2], channels)
