"""Recipes: what is made of a training subset, and of the generators that were trained on it.

=============  =====================================================================================================
key            what the bank holds
=============  =====================================================================================================
generator      samples of a generator; with ``curation`` (filters by name) those that pass; with ``sampling``
               (settings of the family, such as a temperature) drawn that way; with ``beside`` (another bank) that
               bank's images as well
vary           variants of the subset's images at this strength, from a ``generator`` with an encoder
swap           images of other classes with their style kept, from a ``generator`` with an encoder
real           the subset's own images, in turn: the control, whether it is the samples that help or how they enter
smote          SMOTE in pixel space (Chawla et al. 2002), by imbalanced-learn
peer           samples of another library's generator; see `benchmarks.peers`
unlabelled     so many other images of the training split, their labels unknown, with the classes that classifiers
               take them for which learnt from the subset, by the best real-only arm of the classifier ``labelled_by``
=============  =====================================================================================================

``per_class`` samples of each class, or with ``vary`` as many variants of each image as make up for them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import synthaug
from benchmarks.downstream.regimes import others
from synthaug.classifiers.labelling import pseudo_labels
from synthaug.data import ImageDataset
from synthaug.errors import ConfigError
from synthaug.sampling import SampleBank

RECIPES: dict[str, tuple[str, ...]] = {
    "vary": ("vary", "generator"),
    "swap": ("swap", "generator"),
    "real": ("real",),
    "smote": ("smote",),
    "peer": ("peer", "settings"),
    "unlabelled": ("unlabelled", "labelled_by"),
    "generator": ("generator", "sampling", "curation", "budget", "beside"),
}
"""Settings of each kind of recipe; a recipe is of the first kind that it names."""

PER_CLASS = 500


def recipe_kind(recipe: Mapping[str, Any]) -> str:
    """Return which kind of recipe this is.

    Raises:
        ConfigError: If it names none.
    """
    for kind in RECIPES:
        if kind in recipe:
            return kind
    raise ConfigError(f"a bank: expected one of {', '.join(RECIPES)}, but got {', '.join(recipe)}.")


def make_bank(
    recipe: Mapping[str, Any],
    subset: ImageDataset,
    generator: synthaug.Generator | None,
    out: Path,
    seed: int,
    *,
    train: ImageDataset | None = None,
    beside: SampleBank | None = None,
) -> SampleBank:
    """Make a bank from a subset and nothing else, but for unlabelled images.

    Args:
        recipe: See the module's table.
        subset: The training images.
        generator: Trained on them, where the recipe names one.
        out: Folder to write.
        seed: Of the samples.
        train: The training split, where unlabelled images are drawn from.
        beside: Its images are added.
    """
    if beside is not None:
        with tempfile.TemporaryDirectory() as folder:
            samples = make_bank(recipe, subset, generator, Path(folder) / "samples", seed, train=train)
            return _joined(samples, beside).save(out, overwrite=True)
    kind, per_class = recipe_kind(recipe), int(recipe.get("per_class", PER_CLASS))
    if kind == "real":
        return _itself(subset, per_class, seed).save(out, overwrite=True)
    if kind == "unlabelled" and train is not None:
        found = _unlabelled(train, subset, int(recipe["unlabelled"]), recipe["labelled_by"], seed)
        return found.save(out, overwrite=True)
    if kind == "smote":
        return _smote(subset, per_class, seed).save(out, overwrite=True)
    if kind == "peer":
        from benchmarks.peers import peer_samples

        images, labels = peer_samples(recipe["peer"], subset, per_class, seed, **recipe.get("settings", {}))
        return SampleBank.from_arrays(images, labels, subset.classes).save(out, overwrite=True)
    if generator is None:
        raise ConfigError(f"a bank by {kind}: expected a generator, but the recipe names none.")
    if kind == "vary":
        from synthaug.latent.varying.bank import variation_bank

        per_image = max(1, round(per_class * len(subset.classes) / len(subset)))
        return variation_bank(
            generator, subset, per_image, float(recipe["vary"]), seed, out, overwrite=True, progress=False
        )
    if kind == "swap":
        from synthaug.latent.editing.swapped import swapped_bank

        return swapped_bank(generator, subset, per_class, seed=seed, out=out, overwrite=True, progress=False)
    if recipe.get("sampling"):
        generator = generator.with_sampling(**recipe["sampling"])
    if recipe.get("curation"):
        from synthaug.curation import generate_curated

        bank = generate_curated(
            generator, subset, per_class=per_class, filters=tuple(recipe["curation"]),
            budget=float(recipe.get("budget", 4.0)), seed=seed, out=out, overwrite=True, progress=False,
        )  # fmt: skip
        return bank if isinstance(bank, SampleBank) else SampleBank.open(bank)
    return synthaug.generate(generator, per_class=per_class, seed=seed, out=out, overwrite=True, progress=False)


def _joined(samples: SampleBank, beside: SampleBank) -> SampleBank:
    """Put a bank's images beside samples."""
    images = np.concatenate([samples.images, beside.images])
    return SampleBank.from_arrays(images, np.concatenate([samples.labels, beside.labels]), beside.classes)


def _unlabelled(
    train: ImageDataset, subset: ImageDataset, number: int, settings: Mapping[str, Any], seed: int
) -> SampleBank:
    """Label other training images, their own labels unseen, by classifiers of the subset."""
    images = others(train, subset, number, seed).images
    labels = pseudo_labels(subset, images, seed=seed, **settings).labels
    return SampleBank.from_arrays(images, labels, subset.classes)


def _itself(subset: ImageDataset, per_class: int, seed: int) -> SampleBank:
    """Give every class its own images, each as often as the others."""
    random = np.random.default_rng(seed)
    labels = np.asarray(subset.labels)
    rows = [np.resize(random.permutation(np.flatnonzero(labels == label)), per_class) for label in np.unique(labels)]
    chosen = np.concatenate(rows)
    return SampleBank.from_arrays(subset.take(chosen), labels[chosen], subset.classes)


def _smote(subset: ImageDataset, per_class: int, seed: int) -> SampleBank:
    """Interpolate between neighbours of a class; classes of one image have none and get nothing."""
    from imblearn.over_sampling import SMOTE

    labels = np.asarray(subset.labels)
    images = subset.take(np.arange(len(subset)))
    counts = np.bincount(labels, minlength=len(subset.classes))
    able = counts >= 2
    rows = able[labels]
    neighbours = int(min(5, counts[able].min() - 1))
    wanted = {int(label): int(counts[label]) + per_class for label in np.flatnonzero(able)}
    sampler = SMOTE(sampling_strategy=wanted, k_neighbors=neighbours, random_state=seed)
    made, made_labels = sampler.fit_resample(images[rows].reshape(rows.sum(), -1).astype(np.float32), labels[rows])
    new = slice(int(rows.sum()), None)  # the originals come first
    pixels = made[new].round().clip(0, 255).astype(np.uint8).reshape(-1, *images.shape[1:])
    return SampleBank.from_arrays(pixels, made_labels[new], subset.classes)
