"""Every integration takes the policy that `synthaug recommend` wrote in place of a bank."""

from __future__ import annotations

import warnings

import albumentations as A
import datasets
import numpy as np
import pytest
import torch
import yaml
from synthaug.integrations.albumentations import SyntheticReplace as AlbumentationsReplace
from synthaug.integrations.datasets import add_synthetic
from synthaug.integrations.timm import SyntheticBatch
from synthaug.integrations.torchvision import SyntheticMix, SyntheticReplace

from synthaug.classifiers import Policy
from synthaug.errors import DataWarning
from synthaug.sampling import SampleBank
from synthaug.sampling.policy_files import find_policy_file

CLASSES = ["boot", "bag", "coat"]
WHITE = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def write_policy(folder, *, yes: bool, probability: float = 0.75, mode: str = "replace"):
    """Samples are white, and of the class bag alone."""
    SampleBank.from_arrays(np.full((5, 8, 8, 3), 255, np.uint8), np.ones(5, int), CLASSES).save(folder / "bank")
    values = {
        "format_version": 1,
        "recommended": yes,
        "bank": "bank" if yes else None,
        "policy": Policy(mode=mode, replace_probability=probability, classes=("bag",)).to_dict(),
        "classes": CLASSES,
        "image_shape": [3, 8, 8],
    }
    (folder / "policy.yaml").write_text(yaml.safe_dump(values))
    return folder / "policy.yaml"


def shares(way: str, source, **arguments) -> list[float]:
    """Share of changed images of each class, over black images."""
    torch.manual_seed(0)
    labels = np.arange(900) % 3
    if way in ("replace", "mix"):
        transform = (SyntheticReplace if way == "replace" else SyntheticMix)(source, **arguments)
        images = transform(torch.zeros(900, 3, 8, 8), torch.from_numpy(labels))[0]
        changed = images.flatten(1).any(1).numpy()
    elif way == "timm":
        images, _ = SyntheticBatch(source, **arguments, **WHITE)(torch.zeros(900, 3, 8, 8), torch.from_numpy(labels))
        changed = images.flatten(1).any(1).numpy()
    else:
        transform = A.Compose([AlbumentationsReplace(source, **arguments)])
        black = np.zeros((8, 8, 3), np.uint8)
        changed = np.array([transform(image=black, label=int(label))["image"].any() for label in labels])
    return [float(changed[labels == label].mean()) for label in range(3)]


WAYS = ["replace", "mix", "timm", "albumentations"]


@pytest.mark.parametrize("way", WAYS)
def test_bank_and_probability_come_from_the_policy_and_only_its_classes_change(way, tmp_path):
    file = write_policy(tmp_path, yes=True, mode="mix" if way == "mix" else "replace")
    for source in (file, tmp_path, str(file)):
        boot, bag, coat = shares(way, source)
        assert boot == coat == 0
        assert bag == pytest.approx(0.75, abs=0.06)
    assert shares(way, file, p=1.0)[1] == pytest.approx(1.0, abs=0.02)  # what is said explicitly counts


@pytest.mark.parametrize("way", WAYS)
def test_a_no_changes_nothing_whatever_the_probability(way, tmp_path):
    file = write_policy(tmp_path, yes=False)
    assert shares(way, file) == shares(way, file, p=1.0) == [0, 0, 0]


@pytest.mark.parametrize("way", WAYS)
def test_a_policy_of_another_mode_than_the_transform_has_is_said(way, tmp_path):
    measured = "replace" if way == "mix" else "mix"
    file = write_policy(tmp_path, yes=True, mode=measured)
    with pytest.warns(DataWarning, match=rf"measured in mode '{measured}', but this .*RecommendedPolicy.load\("):
        shares(way, file)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shares(way, write_policy(tmp_path / "no", yes=False, mode=measured))  # nothing is used, so nothing differs


def test_rows_appended_by_a_policy_that_mixes_are_said(tmp_path):
    real = datasets.Dataset.from_dict(
        {"image": [np.zeros((8, 8, 3), np.uint8)], "label": [1]},
        features=datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=CLASSES)}),
    )
    with pytest.warns(DataWarning, match="measured in mode 'mix', but this does not mix"):
        add_synthetic(real, write_policy(tmp_path, yes=True, mode="mix"))


def test_a_policy_in_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "advice").mkdir()
    (tmp_path / "advice" / "policy.yaml").write_text("")
    for path in ("~/advice", "~/advice/policy.yaml"):
        assert find_policy_file(path) == tmp_path / "advice" / "policy.yaml"


def test_an_albumentations_pipeline_is_saved_with_the_policys_path(tmp_path):
    file = write_policy(tmp_path, yes=True)
    pipeline = A.Compose([AlbumentationsReplace(file)])
    again = A.from_dict(A.to_dict(pipeline))
    assert again.transforms[0].bank_path == str(file)
    assert again.transforms[0].p == 0.75


@pytest.mark.parametrize("yes", [True, False])
def test_rows_of_the_bank_are_appended(tmp_path, yes):
    names = ["bag", "boot", "coat"]  # another order
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
    real = datasets.Dataset.from_dict({"image": [np.zeros((8, 8, 3), np.uint8)], "label": [1]}, features=features)
    both = add_synthetic(real, write_policy(tmp_path, yes=yes))
    assert both["source"][:] == [0, *[1] * (5 if yes else 0)]
    assert both["label"][:] == [1, *[0] * (5 if yes else 0)]
    assert np.asarray(both[len(both) - 1]["image"]).max() == (255 if yes else 0)
