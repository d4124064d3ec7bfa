"""Images as quantised codes: what is stored comes back, takes few bytes, and only its own generator opens it."""

from __future__ import annotations

import numpy as np
import pytest

from synthaug.errors import ConfigError, DataError, FormatError, OutputExistsError
from synthaug.generators import make_generator
from synthaug.latent.compressing.codecs import compare_codecs
from synthaug.latent.compressing.compress import Compressed, compress


@pytest.fixture(scope="module")
def images(digits):
    return digits.only("0", "1", "7")


def reconstruction(gen, data):
    return gen.decode_codes(gen.encode_images(data.images, data.labels)[0], data.labels)


@pytest.mark.parametrize("bits", [1, 6, 8, 12])
def test_a_file_restores_what_the_memory_did(trained, images, tmp_path, bits):
    compressed = compress(trained, images.images, images.labels, bits)
    path = compressed.save(tmp_path / "digits.synz")
    loaded = Compressed.load(path, trained)
    np.testing.assert_array_equal(loaded.restore(), compressed.restore())
    np.testing.assert_array_equal(loaded.labels, images.labels)
    assert compressed.bits_per_pixel == pytest.approx(8 * path.stat().st_size / (len(images) * 64))


def test_many_bits_cost_nothing_but_bytes(trained, images):
    exact = reconstruction(trained, images).astype(int)
    errors, sizes = [], []
    for bits in (2, 4, 6, 12):
        compressed = compress(trained, images.images, images.labels, bits)
        errors.append(np.abs(compressed.restore() - exact).mean())
        sizes.append(compressed.bits_per_pixel)
    assert errors == sorted(errors, reverse=True)
    assert sizes == sorted(sizes)
    assert errors[-1] < 0.1


def test_a_dimension_without_effect_takes_no_bits(trained, images):
    compressed = compress(trained, images.images, images.labels, 6)
    assert compressed.integers.max() == 2**6 - 1
    blind = make_generator("autoencoder", ["a"], (1, 8, 8), options={"width": 4, "latent_dim": 3, "class_dim": 2})
    weight = dict(blind.decoder.named_parameters())
    first = next(parameter for name, parameter in weight.items() if parameter.ndim > 1 and 5 in parameter.shape[1:2])
    first.data[:, 1] = 0
    integers = compress(blind.eval(), images.images, np.zeros(len(images), np.int64), 6).integers
    assert integers[:, 1].max() == 0
    assert integers[:, [0, 2]].max() == 2**6 - 1


def test_one_image_has_one_level_in_each_dimension(trained, images):
    compressed = compress(trained, images.images[:1], images.labels[:1], 6)
    assert compressed.integers.max() == 0
    np.testing.assert_allclose(
        compressed.codes, trained.encode_images(images.images[:1], images.labels[:1])[0], rtol=1e-5
    )


def test_another_generator_is_refused(trained, images, tmp_path):
    path = compress(trained, images.images, images.labels).save(tmp_path / "a.synz")
    with pytest.raises(ConfigError, match="expected the generator that compressed"):
        Compressed.load(path, trained.with_sampling(temperature=0.5))


def test_damage_is_noticed(trained, images, tmp_path):
    path = compress(trained, images.images, images.labels).save(tmp_path / "a.synz")
    data = path.read_bytes()
    for wrong in (b"", data[:10], data[:-1], b"PNG" + data, data[:200] + bytes([data[200] ^ 1]) + data[201:]):
        path.write_bytes(wrong)
        with pytest.raises(FormatError, match=r"a\.synz"):
            Compressed.load(path, trained)
    with pytest.raises(FormatError, match="cannot read"):
        Compressed.load(tmp_path / "none.synz", trained)


def test_an_existing_file_stays(trained, images, tmp_path):
    compressed = compress(trained, images.images, images.labels)
    compressed.save(tmp_path / "a.synz")
    with pytest.raises(OutputExistsError):
        compressed.save(tmp_path / "a.synz")
    compressed.save(tmp_path / "a.synz", overwrite=True)


def test_wrong_requests(trained, images):
    with pytest.raises(ConfigError, match="bits"):
        compress(trained, images.images, images.labels, 0)
    with pytest.raises(DataError, match="at least one image"):
        compress(trained, images.images[:0], images.labels[:0])
    gan = make_generator("gan", ["a"], (1, 8, 8), options={"width": 4})
    with pytest.raises(ConfigError, match="encoder"):
        compress(gan, images.images, np.zeros(len(images), np.int64))


@pytest.mark.parametrize("channels", [1, 3])
def test_other_codecs_get_the_nearest_size(images, channels):
    pixels = np.kron(images.images, np.ones((1, 3, 3, channels), np.uint8))[:, :20, :20]
    gen = make_generator("autoencoder", ["a"], (channels, 20, 20), options={"width": 4, "latent_dim": 48})
    compressed = compress(gen.eval(), pixels, np.zeros(len(pixels), np.int64), 12)
    ours, jpeg, webp = compare_codecs(compressed, pixels)
    assert [made.codec for made in (ours, jpeg, webp)] == ["synthaug", "JPEG", "WebP"]
    assert ours.file_bytes == len(compressed.to_bytes())
    for other in (jpeg, webp):
        assert other.images.shape == pixels.shape
        assert other.psnr.mean() > 15  # tiles came back in their places
        assert 0.5 < other.file_bytes / ours.file_bytes < 2 or other.quality == 0
    assert ours.to_dict()["n"] == len(pixels)
