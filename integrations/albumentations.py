"""An albumentations transform that replaces images by synthetic ones of the same class."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from synthaug.errors import ConfigError, DataError, LabelError, MissingExtraError
from synthaug.sampling.draw import NOTHING, ClassSampler, check_probability, uniform
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
    import albumentations
except ImportError as error:
    raise MissingExtraError(
        f"albumentations is not installed ({error}). Install it with: pip install 'albumentations>=2.0.5,<3'"
    ) from error

_UINT8, _FLOAT32 = np.dtype(np.uint8), np.dtype(np.float32)
_SPATIAL = ("mask", "masks", "mask3d", "masks3d", "bboxes", "keypoints", "volume", "volumes")


class SyntheticReplace(albumentations.ImageOnlyTransform):
    """Replace an image by a synthetic one of the same class.

    Takes ``image`` (H, W), (H, W, 1) or (H, W, 3), uint8 in [0, 255] or float32 in [0, 1], and its label;
    or ``images``, a batch of these with a sequence of labels, where each image is drawn for by itself.
    Samples of another size or number of channels are fitted to the image. Place it before ``Normalize`` and
    ``ToTensorV2``.

    Randomness comes from torch's global state, which differs between DataLoader workers and epochs, and
    reproduces under ``torch.manual_seed``; or, under ``Compose(seed=...)``, from that seed (in a worker mixed
    with the worker's own). Serialises with ``albumentations.save`` and ``to_dict``, by the bank's path.

    Args:
        bank_path: Folder of a sample bank.
        p: Probability for each image. Images of a class without samples stay as they are.
        label_key: Name under which the label (an integer, or a class name) is passed.
        classes: Names of the classes in the order of the training data's labels; checked against the bank's.

    Raises:
        LabelError: If the label is missing or unknown, or the classes differ.
        DataError: For masks, boxes, key points and volumes, and for images of another layout, type or range.

    Example:
        >>> import albumentations as A
        >>> augment = A.Compose([SyntheticReplace("bank", p=0.5), A.HorizontalFlip()])  # doctest: +SKIP
        >>> augment(image=image, label=3)["image"]  # doctest: +SKIP
    """

    class InitSchema(albumentations.ImageOnlyTransform.InitSchema):
        """What the library validates; the checks with our own messages are in the constructor."""

        bank_path: Any
        label_key: str
        classes: list[str] | tuple[str, ...] | None

    _siblings: ClassVar[tuple[Any, int]] = (None, 0)

    def __init__(
        self,
        bank_path: str | os.PathLike[str],
        p: float = 0.5,
        label_key: str = "label",
        classes: list[str] | tuple[str, ...] | None = None,
    ) -> None:
        super().__init__(p=check_probability(p))
        if not isinstance(bank_path, (str, Path)):
            raise ConfigError(
                f"bank_path: expected the path of a bank, so that the pipeline can be saved, but got "
                f"{type(bank_path).__name__}. Write a bank in memory with bank.save(path) first."
            )
        self.bank_path = str(bank_path)
        self.label_key = label_key
        self.classes = None if classes is None else list(classes)
        self._sampler = ClassSampler(self.bank_path, classes)
        self._spatial_keys, self._image_keys = set(_SPATIAL), {"image"}
        self._position = 0
        self._batched = self._forced = False

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
        last, count = SyntheticReplace._siblings
        self._position = count if processors is last else 0
        SyntheticReplace._siblings = (processors, self._position + 1)

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
        own = int(digest(self.bank_path, self.label_key, str(self._position))[:16], 16)
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
        if self._batched or self.replay_mode or self.deterministic:
            return super().__call__(force_apply=force_apply, **data)
        # A single image, by far the most frequent: the library's own way would cost more than all the rest.
        label = self._sampler.label(data[self.label_key])
        row = self._sampler.choose(label, 1.0 if force_apply else self.p, self._uniform())
        self.params = {}
        if row != NOTHING:
            self.params = {"shape": data["image"].shape, "row": row}
            for key in self._image_keys:
                if data.get(key) is not None:
                    data[key] = self.apply(data[key], row)
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
            return {"row": self._choose(labels, 1.0)}
        p = 1.0 if self._forced else self.p
        return {"rows": [self._choose(label, p) for label in labels]}

    def _choose(self, label: Any, p: float) -> int:
        return self._sampler.choose(self._sampler.label(label), p, self._uniform())

    def apply(self, img: NDArray[Any], row: int = NOTHING, **params: Any) -> NDArray[Any]:
        """Return the sample of ``row`` in the layout and type of ``img``."""
        if row == NOTHING:
            return img
        sample = self._sampler.image(row, (_channels(img), img.shape[0], img.shape[1]))
        if img.ndim == 2:
            sample = sample[..., 0]
        return sample.copy() if img.dtype == _UINT8 else sample.astype(_FLOAT32) / _FLOAT32.type(255)

    def apply_to_images(self, images: NDArray[Any], rows: list[int] | None = None, **params: Any) -> NDArray[Any]:
        """Return the samples of ``rows`` in the layout and type of ``images`` (N, H, W[, C])."""
        result = np.array(images)
        for position, row in enumerate(rows or []):
            result[position] = self.apply(images[position], row)
        return result

    def _check(self, data: dict[str, Any]) -> None:
        if not self._spatial_keys.isdisjoint(data):
            self._refuse_spatial(data)
        label = data.get(self.label_key)
        if label is None:
            raise LabelError(
                f"SyntheticReplace: expected the label as {self.label_key}=..., but got {', '.join(data)}. "
                "Pass it in the call, or name its key with label_key."
            )
        if "images" not in data:
            self._sampler.label(label)
        elif "image" in data:
            raise DataError("SyntheticReplace: expected either image or images, but got both.")
        elif np.ndim(label) != 1 or len(label) != len(data["images"]):
            raise LabelError(f"expected a label for each of the {len(data['images'])} images, but got {label!r}.")

    def _refuse_spatial(self, data: dict[str, Any]) -> None:
        for key in self._spatial_keys & data.keys():
            if data[key] is not None:
                raise DataError(
                    f"SyntheticReplace: expected images and labels only, but got {key}; it would not fit the "
                    "synthetic image. Leave it out, or leave this transform out of the pipeline."
                )


def _worker_seed() -> int | None:
    """Return the seed that the DataLoader gave this worker in this epoch, or ``None`` outside of workers."""
    from torch.utils.data import get_worker_info

    worker = get_worker_info()
    return None if worker is None else worker.seed


def _channels(image: NDArray[Any]) -> int:
    """Return the number of channels of an image (H, W), (H, W, 1) or (H, W, 3), once all is well with it."""
    channels: int = 1 if image.ndim == 2 else image.shape[-1]
    if image.ndim not in (2, 3) or channels not in (1, 3):
        if image.ndim == 3 and image.shape[0] in (1, 3):
            raise DataError(
                f"expected an image with channels last (H, W, C), but got channels first: {image.shape}. "
                "Place this transform before ToTensorV2, or transpose the image."
            )
        raise DataError(f"expected an image (H, W), (H, W, 1) or (H, W, 3), but got shape {image.shape}.")
    if image.dtype == _UINT8:
        return channels
    if image.dtype != _FLOAT32:
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
