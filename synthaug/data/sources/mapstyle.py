"""Map-style datasets of (image, label): torchvision's, their subsets, and anything alike."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from synthaug import storage
from synthaug.data.sources.base import Broken, Row, Source, status_of
from synthaug.errors import DataError, listed


class MapStyleSource(Source):
    """Items of a dataset object, taken one by one in this thread: it need not be thread-safe."""

    def __init__(
        self,
        dataset: Any,
        indices: Sequence[int] | None,
        name: str,
        fingerprint: str | None,
        classes: list[str] | None,
        left_out: Sequence[str] = (),
    ) -> None:
        super().__init__(name, fingerprint, classes, len(dataset) if indices is None else len(indices))
        self._dataset, self._indices, self._left_out = dataset, indices, left_out

    def rows(self) -> Iterator[Row]:
        """Yield all items in order."""
        files = getattr(self._dataset, "samples", None) if _is_folder(self._dataset) else None
        for index in range(len(self._dataset)) if self._indices is None else self._indices:
            if files is not None:
                path, label = files[index]
                target = getattr(self._dataset, "target_transform", None)
                yield Row(str(path), label if target is None else target(label), str(path))
                continue
            try:
                item = self._dataset[index]
            except Exception as error:  # whatever a user's dataset raises
                reason = f"the dataset raised {type(error).__name__}: {error}"
                if self._left_out:
                    reason += (
                        f" (its {' and '.join(self._left_out)} hands on what it gets here, since raw images are "
                        "wanted: let the dataset return images without it)"
                    )
                yield Row(f"item {index}", 0, Broken(reason))
                continue
            if not isinstance(item, (tuple, list)) or len(item) != 2:
                raise DataError(
                    f"{self.name}: expected items (image, label), but item {index} is {type(item).__name__}."
                )
            yield Row(f"item {index}", item[1], item[0])


def from_dataset(dataset: Any) -> MapStyleSource:
    """Make a source of a dataset object.

    Its transforms are replaced (on a copy) by one that changes nothing: they augment and scale, and the raw
    images are wanted. What it holds is told from its ``samples`` (files, sizes and times) or ``data`` and
    ``targets`` (content); where it has neither, only decoding tells, and that is done at every start.
    """
    indices: list[int] | None = None
    while _is_part(dataset):
        own = [int(index) for index in dataset.indices]
        indices = own if indices is None else [own[index] for index in indices]
        dataset = dataset.dataset
    name = type(dataset).__name__
    _refuse_other_classes(dataset)
    if not len(dataset) or indices == []:
        raise DataError(f"{name}: expected at least one item, but it is empty.")
    dataset, left_out = _raw(dataset)
    classes = class_names(dataset)
    fingerprint = _fingerprint(dataset)
    if fingerprint is not None:
        target = getattr(dataset, "target_transform", None)
        fingerprint = None if target is not None else storage.digest(fingerprint, repr(indices))
    return MapStyleSource(dataset, indices, name, fingerprint, classes, left_out)


def _refuse_other_classes(dataset: Any) -> None:
    """Refuse joined datasets where one label would mean several classes."""
    if not _is_joined(dataset):
        return
    named = [names for names in map(class_names, dataset.datasets) if names is not None]
    different = next((names for names in named if names != named[0]), None)
    if different is not None:
        raise DataError(
            f"{type(dataset).__name__}: expected datasets of the same classes in the same order, but got "
            f"{listed(named[0])} and {listed(different)}, so one label would mean several classes. Number them alike "
            "first, with target_transform, and give that dataset an attribute classes."
        )


def _unchanged(*values: Any, **named: Any) -> Any:
    """Stand for a transform however it is called: ``(image)``, ``(image, label)`` or, as albumentations, by name."""
    if named:
        return named
    return values[0] if len(values) == 1 else values


class _TargetAlone:
    """Stands for joint transforms of image and label: leaves the image alone, and changes the label as they do."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, image: Any, target: Any) -> tuple[Any, Any]:
        return image, self.function(target)


def _is_folder(dataset: Any) -> bool:
    """Tell whether the items are the image files in ``samples``, read by no code of the user's."""
    if not isinstance(getattr(dataset, "samples", None), list) or not hasattr(dataset, "loader"):
        return False
    from torchvision.datasets.folder import DatasetFolder, default_loader

    return (
        isinstance(dataset, DatasetFolder)
        and type(dataset).__getitem__ is DatasetFolder.__getitem__
        and dataset.loader is default_loader
    )


def _is_part(dataset: Any) -> bool:
    """Whether a dataset is a `torch.utils.data.Subset`, and its items are none but those of the other dataset."""
    from torch.utils.data import Subset

    return isinstance(dataset, Subset) and type(dataset).__getitem__ is Subset.__getitem__


def _is_joined(dataset: Any) -> bool:
    """Whether a dataset is a `torch.utils.data.ConcatDataset` or alike."""
    return hasattr(dataset, "cumulative_sizes") and bool(getattr(dataset, "datasets", None))


def _raw(dataset: Any) -> tuple[Any, list[str]]:
    """Return a dataset without its transforms and those of the datasets that it is made of, and their names."""
    left_out = [key for key in ("transform", "transforms") if getattr(dataset, key, None) is not None]
    changes: dict[str, Any] = dict.fromkeys(left_out, _unchanged)
    if "transforms" in changes:  # where torchvision changes labels, too
        function = getattr(dataset.transforms, "target_transform", None) or getattr(dataset, "target_transform", None)
        changes["transforms"] = _TargetAlone(function) if function is not None else _unchanged
    if _is_joined(dataset):
        parts = [_raw(part) for part in dataset.datasets]
        changes["datasets"] = [part for part, _ in parts]
        left_out += [key for _, keys in parts for key in keys]
    elif _is_part(dataset):
        changes["dataset"], keys = _raw(dataset.dataset)
        left_out += keys
    if changes:
        dataset = copy.copy(dataset)
        for key, value in changes.items():
            setattr(dataset, key, value)
    return dataset, list(dict.fromkeys(left_out))


def class_names(dataset: Any) -> list[str] | None:
    """Return the names of the classes in the order of the labels that a dataset gives; `None` where it names none.

    Of several datasets they are those that these agree on. A ``target_transform`` that changes the order changes that
    of the names, and one that makes other labels leaves none.
    """
    if _is_part(dataset):
        return class_names(dataset.dataset)
    if _is_joined(dataset):
        first, *others = map(class_names, dataset.datasets)
        return first if all(names == first for names in others) else None
    for found in (getattr(dataset, "classes", None), getattr(dataset, "categories", None), _features(dataset)):
        if isinstance(found, (list, tuple, np.ndarray)) and len(found):
            return _reordered([str(name) for name in found], getattr(dataset, "target_transform", None))
    return None


def _features(dataset: Any) -> list[str] | None:
    """Return the names in the only column of class labels of a Hugging Face dataset."""
    features = getattr(dataset, "features", None)
    named = [one.names for one in features.values() if hasattr(one, "names")] if isinstance(features, dict) else []
    return list(named[0]) if len(named) == 1 else None


def _reordered(names: list[str], target_transform: Callable[[int], Any] | None) -> list[str] | None:
    if target_transform is None:
        return names
    try:
        places = [int(target_transform(label)) for label in range(len(names))]
    except Exception:  # whatever a user's function raises; labels that are no numbers have no names here
        return None
    if sorted(places) != list(range(len(names))):
        return None
    return [names[places.index(label)] for label in range(len(names))]


def inner_class_names(dataset: Any) -> list[str] | None:
    """Return the names of a dataset's classes, and of one that wraps another, the inner one's."""
    while (names := class_names(dataset)) is None and hasattr(dataset, "dataset"):
        dataset = dataset.dataset
    return names


def _fingerprint(dataset: Any) -> str | None:
    """Name the content of the datasets whose inside is known: torchvision's folders and arrays."""
    if type(dataset).__module__.split(".")[0] != "torchvision":
        return None
    if _is_folder(dataset):
        files = status_of(str(path) for path, _ in dataset.samples)
        lines = ["\0".join(map(str, (*known, label))) for known, (_, label) in zip(files, dataset.samples, strict=True)]
        return storage.digest("samples", "\n".join(lines).encode(errors="surrogatepass"))
    data, targets = getattr(dataset, "data", None), getattr(dataset, "targets", None)
    if data is None or targets is None:
        return None
    pixels = np.ascontiguousarray(data)
    return storage.digest(
        type(dataset).__name__, str(pixels.shape), pixels.tobytes(), repr(np.asarray(targets).tolist())
    )
