"""Editing: directions move what they stand for, a swap keeps the style, and what has no meaning is refused."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from synthaug.data import ImageDataset
from synthaug.errors import ConfigError, DataError, FormatError, LabelError, OutputExistsError
from synthaug.generators import make_generator
from synthaug.generators.base import Posterior
from synthaug.images import encode_png
from synthaug.latent.editing.attributes import attribute_groups, group_images
from synthaug.latent.editing.directions import Direction, attribute_direction
from synthaug.latent.editing.edit import apply, edit, swap_class
from synthaug.latent.editing.style import transfer_style

OPTIONS = {"width": 4, "latent_dim": 4, "class_dim": 2, "components": 1}
CLASSES = ("boot", "sneaker")


def shades(values, shape=(8, 8, 1)):
    return np.stack([np.full(shape, value, dtype=np.uint8) for value in values])


@pytest.fixture
def linear(monkeypatch):
    """A generator whose code is the image's four quarters, less 0.5 for sneakers, and whose decoder is the inverse."""
    torch.manual_seed(0)
    gen = make_generator("vae", CLASSES, (1, 8, 8), options=OPTIONS).eval()
    offset = torch.tensor([0.0, 0.5])

    def encode(images, labels):
        mu = torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1) - offset[labels][:, None]
        return Posterior(mu, torch.full_like(mu, -9.0))

    def reconstruct(z, labels):
        quarters = (z + offset[labels][:, None]).view(-1, 1, 2, 2)
        return torch.nn.functional.interpolate(quarters, scale_factor=4).clamp(-1, 1)

    def codes(noise, labels):
        return 0.1 * noise[:, :4] - 2 * offset[labels][:, None]

    for name, function in (("encode", encode), ("reconstruct", reconstruct), ("codes", codes)):
        monkeypatch.setattr(gen, name, function)
    return gen


@pytest.mark.parametrize("method", ["mean", "logistic"])
def test_one_is_the_distance_between_the_groups(linear, method) -> None:
    bright, dark = shades([150, 160, 170]), shades([90, 100, 110])
    direction = attribute_direction(linear, bright, dark, "boot", "boot", method=method)
    moved = apply(linear, shades([100]), direction, (0, 1, 1.5, -1), "boot")
    assert moved.shape == (1, 4, 8, 8, 1)
    np.testing.assert_allclose(moved.mean(axis=(2, 3, 4))[0], [100, 160, 190, 40], atol=1)
    assert direction.accuracy == 1
    assert direction.images == (3, 3)


def test_a_class_that_is_frequent_in_one_group_is_no_attribute(linear) -> None:
    bright, dark = shades([140, 240, 240, 240]), shades([100, 100, 100, 200])
    direction = attribute_direction(linear, bright, dark, [0, 1, 1, 1], [0, 0, 0, 1])
    np.testing.assert_allclose(direction.vector, 40 / 127.5, atol=1e-3)
    confounded = attribute_direction(linear, bright, dark, "boot", "boot")
    assert confounded.vector.mean() > 1.5 * direction.vector.mean()


def test_several_sliders_at_once(linear) -> None:
    top, left = shades([100]), shades([100])
    top[:, :4], left[:, :, :4] = 140, 140
    plain = shades([100])
    up = attribute_direction(linear, top, plain, "boot", "boot", name="top")
    side = attribute_direction(linear, left, plain, "boot", "boot", name="left")
    edited = edit(linear, plain, {up: 1, side: -1}, "boot")[0, ..., 0]
    np.testing.assert_allclose(edited[[0, 0, 7, 7], [0, 7, 0, 7]], [100, 140, 60, 100], atol=1)
    np.testing.assert_array_equal(edit(linear, plain, [(up, 1), (side, -1)], "boot")[0, ..., 0], edited)


def test_keeping_the_residual_leaves_an_unmoved_image_alone(linear) -> None:
    noisy = np.random.Generator(np.random.Philox(key=0)).integers(90, 110, (2, 8, 8, 1), dtype=np.uint8)
    direction = attribute_direction(linear, shades([140]), shades([100]), "boot", "boot")
    kept = apply(linear, noisy, direction, (0, 1), "boot", keep_residual=True)
    np.testing.assert_array_equal(kept[:, 0], noisy)
    np.testing.assert_allclose(kept[:, 1].astype(int) - noisy, 40, atol=2)
    assert (apply(linear, noisy, direction, (0,), "boot")[:, 0] != noisy).any()


def test_a_direction_is_kept_exactly_and_refused_elsewhere(linear, tmp_path, monkeypatch) -> None:
    direction = attribute_direction(linear, shades([140]), shades([100]), "boot", "boot", name="bright")
    monkeypatch.setenv("HOME", str(tmp_path))
    direction.save("~/bright.json")
    with pytest.raises(OutputExistsError):
        direction.save("~/bright.json")
    again = Direction.load(tmp_path / "bright.json")
    np.testing.assert_array_equal(again.vector, direction.vector)
    assert (again.name, again.generator, again.images) == ("bright", direction.generator, (1, 1))
    # What changes sampling only moves no codes.
    assert Direction.digest_of(linear.with_sampling(temperature=0.5)) == direction.generator
    torch.manual_seed(1)
    other = make_generator("vae", CLASSES, (1, 8, 8), options=OPTIONS)
    with pytest.raises(ConfigError, match="'bright' belongs to generator"):
        apply(other, shades([100]), again, labels="boot")


@pytest.mark.parametrize("change", [{"format": "x"}, {"version": 9}, {"vector": ["a"]}, {"vector": [None]}])
def test_a_damaged_direction_is_refused(linear, tmp_path, change) -> None:
    path = tmp_path / "d.json"
    attribute_direction(linear, shades([140]), shades([100]), "boot", "boot").save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(FormatError, match=r"d\.json"):
        Direction.load(path)
    with pytest.raises(FormatError, match="missing"):
        Direction.load(tmp_path / "none.json")


def test_directions_need_groups_that_differ_and_a_known_method(linear) -> None:
    with pytest.raises(DataError, match="same mean"):
        attribute_direction(linear, shades([140]), shades([140]), "boot", "boot")
    with pytest.raises(ConfigError, match="Did you mean 'logistic'"):
        attribute_direction(linear, shades([140]), shades([100]), "boot", "boot", method="logistics")


def test_where_classes_lie_is_known_whichever_prior_samples_come_from(linear) -> None:
    images, labels = np.concatenate([shades([100]), shades([120])]), ["boot", "boot"]
    usual = swap_class(linear, images, "sneaker", labels)
    assert (usual != swap_class(linear, images, "sneaker", labels, recentre=False)).any()
    np.testing.assert_array_equal(swap_class(linear.with_sampling(prior="normal"), images, "sneaker", labels), usual)


def test_a_swap_decodes_the_code_as_the_other_class(linear) -> None:
    image = shades([100])
    same_code = swap_class(linear, image, "sneaker", "boot", recentre=False)
    np.testing.assert_allclose(same_code, 100 + 0.5 * 127.5, atol=1)
    # The centre of sneakers' codes is 1.0 below that of boots'.
    recentred = swap_class(linear, image, "sneaker", "boot")
    np.testing.assert_allclose(recentred.astype(float), 100 - 0.5 * 127.5, atol=3)
    np.testing.assert_allclose(swap_class(linear, image, "boot", "boot"), image, atol=1)
    with pytest.raises(LabelError, match="Did you mean 'sneaker'"):
        swap_class(linear, image, "snaeker", "boot")


def test_style_of_vectors_is_the_code_and_of_maps_the_statistics(linear) -> None:
    content, style = shades([100, 120]), shades([200])
    styled = transfer_style(linear, content, style, "boot", "sneaker")
    np.testing.assert_array_equal(styled, swap_class(linear, np.repeat(style, 2, axis=0), "boot", "sneaker"))
    unchanged = transfer_style(linear, content, style, "boot", "sneaker", strength=0)
    np.testing.assert_allclose(unchanged, content, atol=1)
    with pytest.raises(ConfigError, match="code='map'"):
        transfer_style(linear, content, style, "boot", ["boot"])
    with pytest.raises(DataError, match="one style image"):
        transfer_style(linear, shades([1, 2, 3]), content, "boot", "sneaker")


def test_style_of_maps_has_the_statistics_of_the_other_image() -> None:
    from synthaug.latent.editing.style import _with_statistics

    random = np.random.Generator(np.random.Philox(key=0))
    content, style = (random.normal(scale, scale, (2, 3, 4, 4)).astype(np.float32) for scale in (1, 3))
    made = _with_statistics(content, style)
    np.testing.assert_allclose(made.mean((2, 3)), style.mean((2, 3)), atol=1e-4)
    np.testing.assert_allclose(made.std((2, 3)), style.std((2, 3)), atol=1e-3)
    assert (np.argmax(made.reshape(6, -1), 1) == np.argmax(content.reshape(6, -1), 1)).all()
    torch.manual_seed(0)
    maps = make_generator("autoencoder", CLASSES, (1, 8, 8), options={**OPTIONS, "code": "map"}).eval()
    images = random.integers(0, 256, (2, 8, 8, 1), dtype=np.uint8)
    assert transfer_style(maps, images[:1], images[1:], "boot", "boot").shape == (1, 8, 8, 1)


def test_generators_without_an_encoder_or_one_space_are_refused(linear) -> None:
    direction = attribute_direction(linear, shades([140]), shades([100]), "boot", "boot")
    gan = make_generator("gan", CLASSES, (1, 8, 8), options={"width": 4})
    per_class = make_generator("vae", CLASSES, (1, 8, 8), conditioning="per_class", options=OPTIONS)
    uses = {
        "editing": lambda gen: apply(gen, shades([1]), direction, labels="boot"),
        "class swap": lambda gen: swap_class(gen, shades([1]), "boot", "boot"),
        "style transfer": lambda gen: transfer_style(gen, shades([1]), shades([1]), "boot", "sneaker"),
        "an attribute direction": lambda gen: attribute_direction(gen, shades([1]), shades([2]), "boot", "boot"),
    }
    for name, use in uses.items():
        with pytest.raises(ConfigError, match=f"{name} needs"):
            use(gan)
        if name != "editing":
            with pytest.raises(ConfigError, match="one model for all classes"):
                use(per_class)


def write_table(path, rows) -> None:
    columns = {
        "image": [{"bytes": png, "path": None} for png, _, _ in rows],
        "label": [label for _, label, _ in rows],
        "heel": [mark for _, _, mark in rows],
    }
    pq.write_table(pa.table(columns), path)


def test_a_column_tells_the_groups_and_unusable_rows_shift_nothing(linear, tmp_path) -> None:
    good = [encode_png(image) for image in shades([10, 20, 30, 40])]
    rows = [
        (good[0], "boot", True),
        (b"damaged", "boot", True),
        (good[1], "sneaker", False),
        (good[2], None, True),
        (good[2], "boot", None),
        (good[3], "sneaker", True),
    ]
    write_table(tmp_path / "t.parquet", rows)
    having, lacking = attribute_groups(tmp_path / "t.parquet", "heel", linear, label_column="label")
    assert having.images[:, 0, 0, 0].tolist() == [10, 40]
    assert having.labels.tolist() == [0, 1]
    assert (lacking.images[:, 0, 0, 0].tolist(), lacking.labels.tolist()) == ([20], [1])
    few, _ = attribute_groups(tmp_path / "t.parquet", "heel", linear, label_column="label", most=1)
    assert len(few.images) == 1


@pytest.mark.parametrize(
    ("marks", "value", "having"),
    [
        ((1, -1, 1), None, 2),
        ((1.0, 0.0, None), None, 1),
        (("yes", "no", "no"), None, 1),
        (("high", "flat", "none"), "flat", 1),
    ],
)
def test_columns_of_many_kinds(linear, tmp_path, marks, value, having) -> None:
    rows = [(encode_png(image), "boot", mark) for image, mark in zip(shades([1, 2, 3]), marks, strict=True)]
    write_table(tmp_path / "t.parquet", rows)
    groups = attribute_groups(tmp_path / "t.parquet", "heel", linear, value, label_column="label")
    assert len(groups.having.images) == having


def test_columns_that_say_nothing_are_refused(linear, tmp_path) -> None:
    rows = [(encode_png(image), "boot", mark) for image, mark in zip(shades([1, 2]), ("high", "flat"), strict=True)]
    path = tmp_path / "t.parquet"
    write_table(path, rows)
    with pytest.raises(DataError, match="found 'high'"):
        attribute_groups(path, "heel", linear, label_column="label")
    with pytest.raises(DataError, match="Did you mean 'high'"):
        attribute_groups(path, "heel", linear, "hihg", label_column="label")
    with pytest.raises(DataError, match="heal"):
        attribute_groups(path, "heal", linear, label_column="label")
    with pytest.raises(DataError, match="has no columns"):
        attribute_groups("digits", "heel", linear)
    write_table(path, [(row[0], row[1], True) for row in rows])
    with pytest.raises(DataError, match="without 'heel'"):
        attribute_groups(path, "heel", linear, label_column="label")


def test_a_group_is_a_folder_with_or_without_classes(linear, tmp_path) -> None:
    (tmp_path / "sneaker").mkdir()
    (tmp_path / "sneaker" / "a.png").write_bytes(encode_png(shades([7])[0]))
    (tmp_path / "README.md").write_text("what `synthaug generate` writes beside class folders")
    data = group_images(tmp_path, linear)
    assert isinstance(data, ImageDataset)
    assert data.classes == ("sneaker",)
    assert group_images(tmp_path / "sneaker", linear) == [str(tmp_path / "sneaker" / "a.png")]
    with pytest.raises(DataError, match="folder of images"):
        group_images(tmp_path / "none", linear)
