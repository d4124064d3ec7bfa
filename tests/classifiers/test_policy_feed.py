from __future__ import annotations

import itertools
import typing
import warnings

import numpy as np
import pytest
import torch
import yaml
from torch._subclasses.fake_tensor import FakeTensorMode

from synthaug.augmentation import Augmentation
from synthaug.classifiers.batches import batch_order
from synthaug.classifiers.classifier import image_targets, mix_pairs
from synthaug.classifiers.feed import Feed
from synthaug.classifiers.modes import MODES
from synthaug.classifiers.policy import Policy
from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, DataError, DataWarning, LabelError
from synthaug.sampling import SampleBank

CLASSES = ("a", "b", "c")


def real_images(counts=(30, 6, 2)) -> ImageDataset:
    """Each real image is filled with its label (0, 1, 2)."""
    labels = np.repeat(np.arange(3), counts)
    images = np.broadcast_to(labels[:, None, None, None], (len(labels), 4, 4, 1)).astype(np.uint8)
    return ImageDataset.from_arrays(images, labels, CLASSES)


def samples(counts=(20, 20, 20), classes=CLASSES) -> SampleBank:
    """Each sample is filled with 100 + its label."""
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.broadcast_to(100 + labels[:, None, None, None], (len(labels), 4, 4, 1)).astype(np.uint8)
    return SampleBank.from_arrays(images, labels, classes)


def test_order_is_a_pure_function_of_the_seed_and_shows_every_image_before_any_again():
    labels = np.zeros(10, dtype=np.int64)
    first = list(itertools.islice(batch_order(labels, 5, seed=3), 4))
    again = list(itertools.islice(batch_order(labels, 5, seed=3), 4))
    other = list(itertools.islice(batch_order(labels, 5, seed=4), 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert sorted(np.concatenate(first[:2])) == list(range(10))


def test_balanced_order_draws_present_classes_evenly():
    labels = np.array([0] * 95 + [2] * 5)
    drawn = labels[np.concatenate(list(itertools.islice(batch_order(labels, 10, seed=0, balanced=True), 20)))]
    assert np.bincount(drawn, minlength=3).tolist() == [100, 0, 100]


def test_batches_stay_full_when_there_are_fewer_images_than_a_batch_takes():
    assert next(batch_order(np.array([0, 1]), 8, seed=0)).shape == (8,)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_replacement_swaps_that_share_and_keeps_labels_and_order(probability):
    with_bank = Feed(real_images(), samples(), Policy(replace_probability=probability), batch_size=32, seed=0)
    without = Feed(real_images(), None, Policy(), batch_size=32, seed=0)
    swapped = []
    for batch, real in zip(with_bank.batches(60), without.batches(60), strict=True):
        assert batch.labels.tolist() == real.labels.tolist()
        values = batch.images[:, 0, 0, 0].numpy()
        assert np.array_equal(values % 100, batch.labels.numpy())
        assert np.array_equal(values >= 100, batch.synthetic.numpy())
        swapped += batch.synthetic.tolist()
    assert np.mean(swapped) == pytest.approx(probability, abs=0.04)


def test_a_class_without_samples_stays_real():
    feed = Feed(real_images(), samples((0, 5, 5)), Policy(replace_probability=1), batch_size=32, seed=0)
    for batch in feed.batches(10):
        assert np.array_equal(batch.synthetic.numpy(), batch.labels.numpy() != 0)


def test_added_samples_enter_by_their_share_of_the_union():
    bank = samples((0, 24, 28))
    feed = Feed(real_images(), bank, Policy(mode="add"), batch_size=90, seed=0)
    batch = next(feed.batches(1))
    assert feed.class_counts(samples=True).tolist() == [30, 30, 30]
    assert feed.class_counts(samples=False).tolist() == [30, 6, 2]
    assert np.bincount(batch.labels).tolist() == [30, 30, 30]
    assert int(batch.synthetic.sum()) == 52


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize(
    "policy",
    [
        {"mode": "replace", "loss_weight": 0.2},
        {"mode": "add", "loss_weight": 0.5},
        {"mode": "mix", "mixing": "mixup"},
        {"mode": "mix", "mixing": "cutmix", "loss_weight": 0.3},
        {"mode": "mix", "mixing": "mixup+cutmix", "replace_probability": 0.9},
    ],
)
def test_classes_count_as_their_labels_do_in_the_loss(policy, balanced):
    """What imbalance is corrected is that of the targets, whatever way samples come in."""
    images = np.zeros((100, 64, 64, 1), dtype=np.uint8)
    real = ImageDataset.from_arrays(images, np.repeat([0, 1, 2], [70, 25, 5]), CLASSES)
    bank = SampleBank.from_arrays(images, np.repeat([1, 2], [60, 40]), CLASSES)
    made = Policy(**policy)
    feed = Feed(real, bank, made, batch_size=50, seed=0, balanced=balanced)
    mixer, mass = Augmentation(made.mixing), torch.zeros(3)
    torch.manual_seed(0)
    for batch in feed.batches(300):
        targets = image_targets(batch, torch.ones(3), made.loss_weight, 0.0)
        if batch.partner is not None:
            partners = image_targets(batch.partner, torch.ones(3), made.loss_weight, 0.0)
            pixels = torch.zeros(50, 1, 64, 64)
            _, targets = mix_pairs(mixer, pixels, pixels, targets, partners)
        mass += targets.sum(dim=0)
    counts = feed.class_counts(samples=True)
    if balanced and policy["mode"] == "add":  # lighter samples of evenly drawn classes: nothing corrects that
        assert counts.tolist() == pytest.approx([200 / 3] * 3)
    else:
        assert (mass / mass.sum()).tolist() == pytest.approx((counts / counts.sum()).tolist(), abs=0.025)


@pytest.mark.parametrize("balanced", [False, True])
def test_an_image_is_mixed_with_ever_other_samples_of_any_class_also_where_there_are_as_many(balanced):
    """Drawn by the same random stream, image and sample would be the same pair in every epoch, of one class."""
    images = np.arange(120, dtype=np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2)
    labels = np.repeat([0, 1, 2], 40)
    real = ImageDataset.from_arrays(images, labels, CLASSES)
    bank = SampleBank.from_arrays(images, labels, CLASSES)
    feed = Feed(real, bank, Policy(mode="mix", replace_probability=1), batch_size=30, seed=0, balanced=balanced)
    partners: dict[int, set[int]] = {}
    same_class = []
    for batch in feed.batches(40):
        pairs = zip(batch.images[:, 0, 0, 0].tolist(), batch.partner.images[:, 0, 0, 0].tolist(), strict=True)
        for own, other in pairs:
            partners.setdefault(own, set()).add(other)
        same_class += (batch.labels == batch.partner.labels).tolist()
    assert np.mean([len(found) for found in partners.values()]) > 7  # of ten
    assert np.mean(same_class) == pytest.approx(1 / 3, abs=0.08)


def test_a_policy_that_leaves_no_sample_is_said():
    with pytest.warns(DataWarning, match="of the bank's 10 samples the policy leaves none"):
        Feed(real_images(), samples((5, 5, 0)), Policy(classes=("c",)), batch_size=4, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Feed(real_images(), samples((5, 5, 0)), Policy(ratio=0), batch_size=4, seed=0)  # as was asked for
        Feed(real_images(), samples((0, 0, 0)), Policy(), batch_size=4, seed=0)  # stands for "no samples"


def test_the_weight_of_an_image_is_that_of_its_own_class_however_smooth_its_label():
    feed = Feed(real_images(), None, Policy(), batch_size=38, seed=0)
    batch = next(feed.batches(1))
    targets = image_targets(batch, torch.tensor([0.1, 1.0, 10.0]), 1.0, 0.3)
    assert torch.allclose(targets.sum(dim=1), torch.tensor([0.1, 1.0, 10.0])[batch.labels])
    assert torch.equal(targets.argmax(dim=1), batch.labels)


def test_ratio_limits_the_pool_and_keeps_the_banks_shares():
    labels = samples((10, 20, 30)).labels
    pool = Policy(ratio=0.5).pool(labels, real_count=24)
    assert np.bincount(labels[pool]).tolist() == [2, 4, 6]
    assert pool[:2].tolist() == [0, 1]
    assert len(Policy(ratio=0).pool(labels, 24)) == 0
    with pytest.raises(ConfigError, match="bank of 120 samples or more"):
        Policy(ratio=5).pool(labels, 24)


def test_mixing_keeps_the_real_batches_and_gives_some_a_sample_of_any_class_as_partner():
    policy = Policy(mode="mix", replace_probability=0.4, real_only_after=0.5)
    feed = Feed(real_images(), samples(), policy, batch_size=32, seed=0)
    without = Feed(real_images(), None, Policy(), batch_size=32, seed=0)
    pairs = list(zip(feed.batches(40), without.batches(40), strict=True))
    assert all(torch.equal(batch.images, real.images) and not batch.synthetic.any() for batch, real in pairs)
    assert all(batch.partner is None for batch, _ in pairs[20:])
    partners = [(batch, batch.partner) for batch, _ in pairs[:20]]
    assert np.mean([partner.synthetic.float().mean() for _, partner in partners]) == pytest.approx(0.4, abs=0.05)
    other_class = 0
    for batch, partner in partners:
        values = partner.images[:, 0, 0, 0]
        assert torch.equal(values >= 100, partner.synthetic)
        assert torch.equal(values % 100, partner.labels)
        assert torch.equal(partner.labels[~partner.synthetic], batch.labels[~partner.synthetic])
        other_class += int((partner.labels != batch.labels).sum())
    assert other_class > 0


@pytest.mark.parametrize("name", ["mixup", "cutmix", "mixup+cutmix"])
def test_pairs_are_mixed_with_each_other_alone_and_labels_in_the_same_proportion(name):
    torch.manual_seed(0)
    images = torch.zeros(6, 1, 8, 8)
    partners = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 1, 8, 8).contiguous()  # the first is like its image
    mixed, targets = mix_pairs(
        Augmentation(name), images, partners, torch.tensor([[1.0, 0.0]] * 6), torch.tensor([[0.0, 0.5]] * 6)
    )
    share = 1 - targets[:, 0]
    assert torch.allclose(targets[:, 1], 0.5 * share)  # the partner's weight comes along
    assert torch.allclose(mixed.mean(dim=(1, 2, 3)), share * torch.arange(6.0), atol=1e-5)
    assert not mixed[0].any()


def test_partners_may_have_their_targets_on_the_host_while_the_images_are_on_a_gpu():
    class Unmixed(Augmentation):
        """Draws nothing: pretended tensors have no values to draw from."""

        def mix(self, images, targets):
            return images, targets

    with FakeTensorMode():  # tensors that say they are on a GPU, on machines without one
        images = torch.zeros(2, 1, 4, 4, device="cuda")
        _, targets = mix_pairs(Unmixed("mixup"), images, images, torch.zeros(2, 3, device="cuda"), torch.zeros(2, 3))
    assert targets.device.type == "cuda"


@pytest.mark.parametrize("mode", ["replace", "add", "mix"])
def test_a_policy_for_some_classes_uses_no_sample_of_others(mode):
    policy = Policy(mode=mode, classes=("b", "c"), replace_probability=1.0, ratio=1)
    feed = Feed(real_images(), samples(), policy, batch_size=64, seed=0)
    seen = set()
    for batch in feed.batches(10):
        for part in (batch, batch.partner):
            if part is not None:
                seen |= set(part.labels[part.synthetic].tolist())
    assert seen == {1, 2}
    with pytest.raises(LabelError, match="'C'"):
        Feed(real_images(), samples(), Policy(classes=("C",)), batch_size=4, seed=0)


def test_policies_survive_json_and_yaml():
    policy = Policy(mode="mix", mixing="cutmix", ratio=0.25, loss_weight=0.5, classes=("3", "5"))
    assert Policy.from_dict(yaml.safe_load(yaml.safe_dump(policy.to_dict()))) == policy
    assert Policy.from_dict(Policy().to_dict()).classes is None


@pytest.mark.parametrize("mode", ["replace", "add"])
def test_the_last_steps_are_real_only_when_asked_for(mode):
    policy = Policy(mode=mode, replace_probability=1.0, real_only_after=0.5)
    shares = [
        batch.synthetic.float().mean().item()
        for batch in Feed(real_images(), samples(), policy, batch_size=16, seed=0).batches(10)
    ]
    assert min(shares[:5]) > 0
    assert max(shares[5:]) == 0


def test_classes_are_matched_by_name_not_by_position():
    bank = samples((5, 5), classes=("c", "a"))  # filled with 100 (c) and 101 (a)
    for batch in Feed(real_images(), bank, Policy(replace_probability=1), batch_size=16, seed=0).batches(5):
        for value, label in zip(batch.images[:, 0, 0, 0].tolist(), batch.labels.tolist(), strict=True):
            assert value == {0: 101, 1: 1, 2: 100}[label]


def test_classes_that_the_policy_leaves_out_need_not_be_known():
    bank = samples((5, 5), classes=("d", "a"))
    policy = Policy(replace_probability=1, classes=("a",))
    batch = next(iter(Feed(real_images(), bank, policy, batch_size=64, seed=0).batches(1)))
    assert set(batch.labels[batch.synthetic].tolist()) == {0}


def test_unknown_classes_and_other_shapes_are_refused():
    with pytest.raises(LabelError, match="'d'"):
        Feed(real_images(), samples((5, 5), classes=("a", "d")), Policy(), batch_size=4, seed=0)
    large = SampleBank.from_arrays(np.zeros((2, 8, 8, 1), np.uint8), [0, 1], CLASSES)
    with pytest.raises(DataError, match=r"\(1, 8, 8\)"):
        Feed(real_images(), large, Policy(), batch_size=4, seed=0)


@pytest.mark.parametrize(
    "bad",
    [
        {"replace_probability": 1.5},
        {"ratio": -1},
        {"loss_weight": -0.1},
        {"mode": "swap"},
        {"raito": 1},
        {"classes": []},
        {"mixing": "blend"},
    ],
)
def test_policies_refuse_bad_settings(bad):
    with pytest.raises(ConfigError):
        Policy.from_dict(bad)


def test_every_mode_of_a_policy_has_its_class():
    names = typing.get_args(typing.get_type_hints(Policy)["mode"])
    assert set(MODES) == set(names)
