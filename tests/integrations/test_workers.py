"""Promise 8: transforms in DataLoader workers, forked and spawned."""

from __future__ import annotations

import albumentations as A
import numpy as np
import pytest
import torch
from synthaug.integrations.albumentations import SyntheticReplace as AlbumentationsReplace
from synthaug.integrations.torchvision import SyntheticMix, SyntheticReplace
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from synthaug.sampling import SampleBank

ROWS, ITEMS = 4096, 96
KINDS = ("replace", "mix", "compose", "seeded compose")

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")


class Rows(Dataset):
    """Black images through a transform; an item is the row of the bank that came."""

    def __init__(self, transform, library: str) -> None:
        self.transform, self.library = transform, library

    def __len__(self) -> int:
        return ITEMS

    def __getitem__(self, position: int) -> int:
        image = np.zeros((4, 4, 3), np.uint8)
        if self.library == "albumentations":
            image = self.transform(image=image, label=0)["image"]
        else:
            image = self.transform(torch.from_numpy(image).permute(2, 0, 1), 0)[0].permute(1, 2, 0).numpy()
        return int(image[0, 0, 1]) * 256 + int(image[0, 0, 2])


@pytest.fixture(scope="module")
def rows_bank(tmp_path_factory):
    code = np.stack([np.ones(ROWS), np.arange(ROWS) // 256, np.arange(ROWS) % 256], axis=1).astype(np.uint8)
    images = np.ascontiguousarray(np.broadcast_to(code[:, None, None], (ROWS, 4, 4, 3)))
    path = tmp_path_factory.mktemp("rows") / "bank"
    SampleBank.from_arrays(images, np.zeros(ROWS, np.int64), ["only"]).save(path)
    return path


def make(kind: str, path) -> Rows:
    if kind == "replace":
        return Rows(SyntheticReplace(path, p=1.0), "torchvision")
    if kind == "mix":
        return Rows(SyntheticMix(path, p=1.0), "torchvision")
    seed = 0 if kind == "seeded compose" else None
    return Rows(A.Compose([AlbumentationsReplace(path, p=1.0)], seed=seed), "albumentations")


def epoch(loader: DataLoader) -> list[int]:
    return torch.cat(list(loader)).tolist()


def loader(data: Rows, context: str, **options) -> DataLoader:
    return DataLoader(data, batch_size=8, num_workers=2, multiprocessing_context=context, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_forked_workers_differ_epochs_differ_and_the_seed_reproduces(rows_bank, kind):
    data = make(kind, rows_bank)
    data[0]  # whatever the parent has opened and drawn must not be shared
    torch.manual_seed(0)
    one = loader(data, "fork")
    first, second = epoch(one), epoch(one)
    if kind != "mix":
        assert len(set(first)) > ITEMS - 6  # one random state in both workers gives half as many
        assert len(set(first) & set(second)) < 10
    assert first != second
    torch.manual_seed(0)
    assert epoch(loader(make(kind, rows_bank), "fork")) == first


def test_persistent_workers_do_not_repeat(rows_bank):
    for kind in ("replace", "seeded compose"):
        torch.manual_seed(0)
        one = loader(make(kind, rows_bank), "fork", persistent_workers=True)
        assert len(set(epoch(one)) & set(epoch(one))) < 10


@pytest.mark.slow
def test_spawned_workers_give_what_forked_ones_do(rows_bank):
    data = ConcatDataset([make(kind, rows_bank) for kind in KINDS])
    runs = []
    for context in ("fork", "spawn"):
        torch.manual_seed(0)
        runs.append(epoch(loader(data, context)))
    assert runs[0] == runs[1]
