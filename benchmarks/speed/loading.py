"""DataLoader throughput with and without each transform."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader, Dataset, default_collate
from torchvision.transforms import v2

import synthaug
from benchmarks.speed.pairs import Pair, compare
from synthaug.generators import make_generator

Transform = Callable[[NDArray[np.uint8], int], Any]
Pipeline = tuple[Transform, Callable[[list[Any]], Any]]

SIDE, BATCH, CLASSES = 32, 128, 10


class Images(Dataset[Any]):
    """Random 32×32 RGB images in memory, with a transform of (image, label)."""

    def __init__(self, images: NDArray[np.uint8], transform: Transform) -> None:
        self.images, self.transform = images, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        return self.transform(self.images[index], index % CLASSES)


def compare_loading(*, images: int, rounds: int, workers: int) -> list[Pair]:
    """Time a pass over the images with each transform and without, in turns."""
    pixels = np.random.default_rng(0).integers(0, 256, (images, SIDE, SIDE, 3), dtype=np.uint8)
    pairs = []
    with tempfile.TemporaryDirectory() as folder:
        bank = Path(folder) / "bank"
        # Loading is as fast whatever the pictures show, so an untrained generator serves.
        generator = make_generator("vae", [str(label) for label in range(CLASSES)], (3, SIDE, SIDE)).eval()
        synthaug.generate(generator, per_class=200, out=bank, progress=False)
        for name, (plain, changed) in _pipelines(bank).items():
            loaders = [
                DataLoader(Images(pixels, transform), BATCH, num_workers=workers, collate_fn=collate, drop_last=True)
                for transform, collate in (changed, plain)
            ]
            note = (
                f"a pass over {images} images of {SIDE}x{SIDE} RGB in batches of {BATCH}, {workers} workers, random "
                "crop, flip and normalisation on both sides; p=0.5 on ours, from a memory-mapped bank."
            )
            with_it, without = (functools.partial(_pass, loader) for loader in loaders)
            pairs.append(compare(f"loading, {name}", with_it, without, rounds=rounds, mark=0.95, note=note))
    return pairs


def _pass(loader: DataLoader[Any]) -> int:
    return sum(len(labels) for _, labels in loader)


def _pipelines(bank: Path) -> dict[str, tuple[Pipeline, Pipeline]]:
    """For each adapter: transform and collate function without it, and with it."""
    from synthaug.integrations.albumentations import SyntheticReplace as AlbumentationsReplace
    from synthaug.integrations.timm import SyntheticBatch
    from synthaug.integrations.torchvision import SyntheticMix, SyntheticReplace

    batch = SyntheticBatch(bank, p=0.5, mean=(0.5,) * 3, std=(0.5,) * 3)

    def collate_with_samples(items: list[Any]) -> Any:
        return batch(*default_collate(items))

    plain = (_torchvision(), default_collate)
    return {
        "torchvision SyntheticReplace": (plain, (_torchvision(SyntheticReplace(bank, p=0.5)), default_collate)),
        "torchvision SyntheticMix mixup": (plain, (_torchvision(SyntheticMix(bank, p=0.5)), default_collate)),
        "torchvision SyntheticMix cutmix": (
            plain,
            (_torchvision(SyntheticMix(bank, p=0.5, mode="cutmix")), default_collate),
        ),
        "timm SyntheticBatch": (plain, (_torchvision(), collate_with_samples)),
        "albumentations SyntheticReplace": (
            (_albumentations(), default_collate),
            (_albumentations(AlbumentationsReplace(str(bank), p=0.5)), default_collate),
        ),
    }


def _torchvision(*first: Any) -> Transform:
    usual = v2.Compose(
        [
            v2.RandomCrop(SIDE, padding=4),
            v2.RandomHorizontalFlip(),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5] * 3, [0.5] * 3),
        ]
    )

    def transform(image: NDArray[np.uint8], label: int) -> Any:
        sample: Any = (Image.fromarray(image), label)
        for step in first:
            sample = step(*sample)
        return usual(sample[0]), sample[1]

    return transform


def _albumentations(*first: Any) -> Transform:
    import albumentations

    usual = albumentations.Compose(
        [
            *first,
            albumentations.PadIfNeeded(SIDE + 8, SIDE + 8),
            albumentations.RandomCrop(SIDE, SIDE),
            albumentations.HorizontalFlip(),
            albumentations.Normalize(),
        ]
    )

    def transform(image: NDArray[np.uint8], label: int) -> Any:
        return torch.from_numpy(usual(image=image, label=label)["image"]), label

    return transform
