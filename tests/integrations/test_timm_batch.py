from __future__ import annotations

import pickle

import numpy as np
import pytest
import timm.data
import torch
from synthaug.integrations.timm import SyntheticBatch, _DeviceBank

from synthaug.errors import ConfigError, DataError, LabelError
from synthaug.sampling import SampleBank

HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}


def codes(images: torch.Tensor, channel: int = 0) -> list[int]:
    """A channel of the images before normalisation, in [0, 255]."""
    return ((images[:, channel, 0, 0].float().cpu() * 0.25 + 0.5) * 255).round().int().tolist()


def batch(number: int, fill: float = -2.0) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.full((number, 3, 8, 8), fill), torch.arange(number) % 3


@pytest.mark.parametrize("where", ["host", "device"])
def test_replaces_by_the_same_class_normalised(bank, where):
    torch.manual_seed(0)
    x, target = batch(600)
    step = SyntheticBatch(bank, p=0.5, **HALF)
    if where == "host":
        out, same = step(x, target)
        assert torch.equal(same, target)
    else:
        out = step._replace_on_device(x, target, _DeviceBank(step._sampler, x.device))
    seen = np.array(codes(out))
    replaced = seen > 0
    assert 0.4 < replaced.mean() < 0.6
    assert np.array_equal(seen[replaced], (target.numpy() * 50 + 10)[replaced])
    assert len(set(np.array(codes(out, 2))[replaced])) > 100  # of 120 samples, in about 300 draws
    assert torch.equal(x, batch(600)[0])  # the input is untouched


def test_the_default_normalisation_is_timms(bank):
    x, target = batch(3)
    out, _ = SyntheticBatch(bank, p=1.0)(x, target)
    assert out[1, 0, 0, 0].item() == pytest.approx((60 / 255 - 0.485) / 0.229, abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_keeps_type_and_memory_format(bank, dtype):
    step = SyntheticBatch(bank, p=0.5, **HALF)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        x = torch.zeros(4, 3, 8, 8, dtype=dtype).to(memory_format=memory_format)
        target = torch.arange(4) % 3
        outputs = [step(x, target)[0]]
        outputs.append(step._replace_on_device(x, target, _DeviceBank(step._sampler, x.device)))
        for out in outputs:
            assert out.dtype == dtype
            assert out.is_contiguous(memory_format=memory_format)


def test_other_size_and_channels_are_fitted(grey_bank, bank):
    out, _ = SyntheticBatch(grey_bank, p=1.0, **HALF)(torch.zeros(3, 3, 12, 20), torch.arange(3))
    assert out.shape == (3, 3, 12, 20)
    assert codes(out) == [10, 60, 110]
    out, _ = SyntheticBatch(bank, p=1.0, mean=(0.5,), std=(0.25,))(torch.zeros(2, 1, 8, 8), torch.arange(2))
    assert out.shape == (2, 1, 8, 8)


@pytest.mark.parametrize("number", [8, 7, 1])
@pytest.mark.parametrize("mode", ["batch", "pair", "elem"])
def test_chains_with_timms_mixup_on_odd_batches_too(bank, number, mode):
    mixup = timm.data.Mixup(mixup_alpha=1.0, cutmix_alpha=1.0, mode=mode, num_classes=3, label_smoothing=0.1)
    torch.manual_seed(0)
    x, target = batch(number)
    out, soft = SyntheticBatch(bank, 1.0, mixup, **HALF)(x, target)
    assert out.shape == x.shape
    assert soft.shape == (number, 3)
    assert torch.allclose(soft.sum(1), torch.ones(number))
    if number % 2:
        assert soft[-1].argmax() == target[-1]
        assert codes(out)[-1] == target[-1] * 50 + 10
    assert torch.equal(x, batch(number)[0])


def test_mixup_reproduces_under_torchs_seed_and_leaves_numpys_state(bank):
    chain = SyntheticBatch(bank, 0.5, timm.data.Mixup(num_classes=3), **HALF)

    def run():
        return chain(*batch(8, 1.0))[1]

    np.random.seed(0)  # noqa: NPY002 - timm draws from it
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    torch.manual_seed(0)
    first, second = run(), run()
    torch.manual_seed(0)
    np.random.seed(1)  # noqa: NPY002
    assert torch.equal(run(), first)
    assert not torch.equal(first, second)
    np.random.seed(0)  # noqa: NPY002
    run()
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_timms_loop_can_switch_mixing_off(bank):
    chain = SyntheticBatch(bank, 1.0, timm.data.Mixup(num_classes=3, label_smoothing=0.0), **HALF)
    assert chain.mixup_enabled
    chain.mixup_enabled = False
    out, soft = chain(*batch(4))
    assert codes(out) == [10, 60, 110, 10]
    assert soft.argmax(1).tolist() == [0, 1, 2, 0]
    alone = SyntheticBatch(bank)
    alone.mixup_enabled = False
    assert not alone.mixup_enabled


def test_label_smoothing_as_timm_does_it(bank):
    _, soft = SyntheticBatch(bank, 0.5, label_smoothing=0.3, **HALF)(*batch(2))
    assert soft.tolist() == [pytest.approx([0.8, 0.1, 0.1]), pytest.approx([0.1, 0.8, 0.1])]


def test_wrong_input_is_refused(bank):
    step = SyntheticBatch(bank, **HALF)
    x, target = batch(4)
    with pytest.raises(LabelError, match="Mixup as mixup_fn"):
        step(x, torch.eye(3)[target])
    with pytest.raises(LabelError, match="outside"):
        step(x, target + 2)
    with pytest.raises(LabelError, match="each of the 4"):
        step(x, target[:2])
    with pytest.raises(DataError, match="normalised float"):
        step(x.to(torch.uint8), target)
    with pytest.raises(DataError, match="mean and std"):
        step(x[:, :1], target)


def test_settings_are_checked(bank):
    with pytest.raises(ConfigError, match="mixup_fn"):
        SyntheticBatch(bank, mixup_fn=timm.data.Mixup(num_classes=3), label_smoothing=0.1)
    with pytest.raises(ConfigError, match="num_classes=3"):
        SyntheticBatch(bank, mixup_fn=timm.data.Mixup(num_classes=2))
    with pytest.raises(ConfigError, match="label_smoothing"):
        SyntheticBatch(bank, label_smoothing=2)
    with pytest.raises(LabelError, match="label 0"):
        SyntheticBatch(bank, classes=["bag", "sneaker", "boot"])


def test_a_class_without_samples_stays_real():
    bank = SampleBank.from_arrays(np.full((2, 8, 8, 3), 255, np.uint8), [0, 0], ["full", "empty"])
    out, _ = SyntheticBatch(bank, 1.0, **HALF)(torch.zeros(2, 3, 8, 8), torch.tensor([0, 1]))
    assert out[:, 0, 0, 0].tolist() == [2.0, 0.0]


def test_reproduces_and_pickles(bank_path):
    step = SyntheticBatch(bank_path, **HALF)
    torch.manual_seed(0)
    first = step(*batch(30))[0]
    dump = pickle.dumps(step)
    assert len(dump) < 4000
    torch.manual_seed(0)
    assert torch.equal(pickle.loads(dump)(*batch(30))[0], first)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_with_the_bank_there(bank):
    step = SyntheticBatch(bank, 0.5, timm.data.Mixup(num_classes=3), **HALF)
    x, target = (tensor.cuda() for tensor in batch(8))
    out, soft = step(x, target)
    assert out.is_cuda
    assert soft.is_cuda
    replace = SyntheticBatch(bank, 0.5, **HALF)
    torch.manual_seed(0)
    first = replace(x, target)[0]
    with torch.cuda.device(0):
        torch.cuda.set_sync_debug_mode("error")  # the host never waits for the device after the first batch
        try:
            torch.manual_seed(0)
            again = replace(x, target)[0]
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(first, again)
