"""What holds for every registered family, in both kinds of conditioning."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from synthaug.errors import ConfigError, DataError, FormatError, LabelError
from synthaug.generators import Generator, family_class, load, make_generator, save
from synthaug.training.fitting import split_settings

CLASSES = ["cat", "dog", "../bird"]


def make(family: str, tiny: dict[str, object], conditioning: str = "shared", shape=(1, 10, 12)) -> Generator:
    torch.manual_seed(0)
    generator = make_generator(family, CLASSES, shape, conditioning=conditioning, options=tiny)
    randomise(generator)
    return generator.eval()


def randomise(module: torch.nn.Module) -> None:
    """Layers that start at zero would hide what they should pass on."""
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(parameter.numel()))


@pytest.fixture(params=["shared", "per_class"])
def generator(request: pytest.FixtureRequest, family: str, tiny: dict[str, object]) -> Generator:
    return make(family, tiny, request.param)


def test_samples_are_uint8_images_in_the_order_asked_for(generator: Generator) -> None:
    by_counts = generator.sample({"dog": 2, 0: 1}, seed=3)
    assert by_counts.dtype == torch.uint8
    assert by_counts.shape == (3, 1, 10, 12)
    by_list = generator.sample(["cat", "dog", "dog"], seed=3)
    assert torch.equal(by_list, by_counts[[2, 0, 1]])


def test_a_sample_is_a_function_of_its_name(generator: Generator) -> None:
    labels, indices = np.repeat([0, 1, 2], 50), np.tile(np.arange(50), 3)
    whole = generator.sample_named(labels, indices, seed=5)
    order = np.random.default_rng(0).permutation(150)
    assert np.array_equal(generator.sample_named(labels[order], indices[order], seed=5), whole[order])
    for size, number in ((1, 6), (7, 150), (64, 150), (100, 150)):
        parts = [
            generator.sample_named(labels[start : start + size], indices[start : start + size], seed=5)
            for start in range(0, number, size)
        ]
        assert np.array_equal(np.concatenate(parts)[:number], whole[:number]), f"batches of {size} changed bytes"


def test_samples_differ_by_seed_class_and_index(generator: Generator) -> None:
    samples = [
        generator.sample_named(np.array([label]), np.array([index]), seed)
        for seed, label, index in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    ]
    assert len({sample.tobytes() for sample in samples}) == 4


def test_global_random_state_is_neither_used_nor_changed(generator: Generator) -> None:
    first = generator.sample({"cat": 4})
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert torch.equal(generator.sample({"cat": 4}), first)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"dgo": 1}, "Did you mean 'dog'"),
        ({3: 1}, "from 0 to 2"),
        ({-1: 1}, "from 0 to 2"),
        ({"dog": -1}, "0 or more"),
        ({"dog": 1, 1: 1}, "named twice"),
        ([True], "from 0 to 2"),
        ([1.5], "class name or an integer"),
    ],
)
def test_wrong_labels_are_refused(generator: Generator, what: object, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        generator.sample(what)


def test_saved_and_loaded_is_the_same(generator: Generator, tmp_path: Path) -> None:
    save(generator, tmp_path / "g")
    random_before = torch.get_rng_state()
    loaded = load(tmp_path / "g")
    assert torch.equal(torch.get_rng_state(), random_before), "loading draws no random numbers"
    assert loaded.digest == generator.digest
    assert (loaded.family, loaded.conditioning, loaded.classes, loaded.image_shape) == (
        generator.family,
        generator.conditioning,
        generator.classes,
        generator.image_shape,
    )
    assert torch.equal(loaded.sample({"cat": 3, "dog": 2}), generator.sample({"cat": 3, "dog": 2}))


def test_folder_holds_no_pickle_and_no_foreign_path(generator: Generator, tmp_path: Path) -> None:
    save(generator, tmp_path / "inside" / "g")
    files = {path.name for path in (tmp_path / "inside" / "g").iterdir()}
    assert files == {"config.json", "model.safetensors", "classes.json", "README.md"}
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]
    assert [path.name for path in (tmp_path / "inside").iterdir()] == ["g"]
    config = json.loads((tmp_path / "inside" / "g" / "config.json").read_text())
    assert config["format_version"] == 1
    assert config["family"] == generator.family


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "classes.json"])
def test_a_missing_file_is_named(generator: Generator, tmp_path: Path, name: str) -> None:
    save(generator, tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FormatError, match=name):
        load(tmp_path)


def test_damaged_and_foreign_folders_are_refused(generator: Generator, tmp_path: Path) -> None:
    save(generator, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"format_version": 99}))
    with pytest.raises(FormatError, match=r"version 1, but .* 99"):
        load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"family": "vea"}))
    with pytest.raises(ConfigError, match="generator family"):
        load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"model": {"widht": 8}}))
    with pytest.raises(ConfigError, match="widht"):
        load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[:-4] + bytes([weights[-4] ^ 1]) + weights[-3:])
    with pytest.raises(FormatError, match=r"damaged, or not the one that config\.json belongs to"):
        load(tmp_path)
    del config["weights_digest"]  # as folders of before had none
    (tmp_path / "config.json").write_text(json.dumps(config))
    load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"pickle")
    with pytest.raises(FormatError, match="weights"):
        load(tmp_path)


def test_sampling_settings_are_part_of_the_name(generator: Generator, tmp_path: Path) -> None:
    narrow = generator.with_sampling(temperature=0.3)
    assert narrow.digest != generator.digest
    before = generator.sample({"cat": 8})
    assert not torch.equal(narrow.sample({"cat": 8}), before)
    assert torch.equal(generator.sample({"cat": 8}), before)
    save(narrow, tmp_path)
    assert torch.equal(load(tmp_path).sample({"cat": 8}), narrow.sample({"cat": 8}))
    with pytest.raises(ConfigError, match="temprature"):
        generator.with_sampling(temprature=0.3)


def test_what_a_family_says_of_itself_can_be_used(family: str) -> None:
    cls = family_class(family)
    assert cls.title
    assert cls.most_steps > 0
    assert set(cls.tried_from) in (set(), {"cpu", "cuda"})
    split_settings(family, dict(cls.small_image_settings))


def test_narrow_sampling_varies_less(family: str, tiny: dict[str, object]) -> None:
    generator = make(family, tiny)
    spread = [generator.with_sampling(temperature=t).sample({"cat": 32}).float().std(0).mean() for t in (0.1, 1.0)]
    assert spread[0] < spread[1]


def test_a_sample_is_the_decoded_code_of_its_name(generator: Generator) -> None:
    labels, indices = np.array([0, 1, 1, 2]), np.array([0, 0, 5, 3])
    codes = generator.draw_codes(labels, indices, seed=2)
    assert codes.shape == (4, generator.latent_size)
    assert codes.dtype == np.float32
    decoded = generator.decode_codes(codes, labels)
    assert np.array_equal(decoded, generator.sample_named(labels, indices, seed=2))
    assert np.array_equal(generator.decode_codes(codes[2:3], labels[2:3]), decoded[2:3])


def test_wrong_codes_images_and_labels_are_refused(generator: Generator) -> None:
    images, labels = np.zeros((2, 10, 12, 1), np.uint8), np.array([0, 1])
    with pytest.raises(DataError, match=f"{generator.latent_size}"):
        generator.decode_codes(np.zeros((2, generator.latent_size + 1)), labels)
    with pytest.raises(LabelError, match="from 0 to 2"):
        generator.decode_codes(np.zeros((2, generator.latent_size)), np.array([0, 3]))
    if generator.has_encoder:
        with pytest.raises(DataError, match="image_size"):
            generator.encode_images(images[:, :5], labels)
        with pytest.raises(LabelError, match="from 0 to 2"):
            generator.encode_images(images, np.array([-1, 0]))
    else:
        with pytest.raises(ConfigError, match="has none"):
            generator.encode_images(images, labels)


def test_codes_of_images_do_not_depend_on_their_neighbours(generator: Generator) -> None:
    if not generator.has_encoder:
        pytest.skip("no encoder")
    images = np.random.default_rng(0).integers(0, 256, (70, 10, 12, 1), dtype=np.uint8)
    labels = np.arange(70) % 3
    means, variances = generator.encode_images(images, labels)
    assert means.shape == variances.shape == (70, generator.latent_size)
    assert np.isfinite(means).all()
    assert (variances >= 0).all()
    alone, _ = generator.encode_images(images[66:67], labels[66:67])
    assert np.array_equal(alone[0], means[66])
    assert not np.array_equal(means[0], means[3])


def test_gradients_reach_codes(family: str, tiny: dict[str, object]) -> None:
    generator = make(family, tiny)
    z = torch.randn(2, generator.latent_size, generator=torch.Generator().manual_seed(0), requires_grad=True)
    generator.reconstruct(z, torch.tensor([0, 2])).sum().backward()
    assert z.grad is not None
    assert z.grad.abs().sum() > 0


def test_gradients_reach_every_parameter(family: str, tiny: dict[str, object]) -> None:
    objective = make(family, tiny).objective()
    randomise(objective)
    images = torch.rand(6, 1, 10, 12, generator=torch.Generator().manual_seed(0)) * 2 - 1
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    reached: set[str] = set()
    for phase in objective.phases():
        objective.zero_grad()
        phase.loss(images, labels, 0)["loss"].backward()
        mine = {id(parameter) for parameter in phase.parameters()}
        reached |= {
            name for name, p in objective.named_parameters() if id(p) in mine and p.grad is not None and p.grad.any()
        }
    missed = {name for name, _ in objective.named_parameters()} - reached
    assert not missed


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 17, 31), (3, 128, 128)])
def test_any_image_shape(family: str, tiny: dict[str, object], shape: tuple[int, int, int]) -> None:
    assert make(family, tiny, shape=shape).sample(["dog"]).shape == (1, *shape)


@pytest.mark.parametrize("shape", [(2, 8, 8), (1, 2, 8), (8, 8)])
def test_impossible_image_shapes_are_refused(family: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="image shape"):
        make_generator(family, CLASSES, shape)


def test_a_thousand_classes(family: str, tiny: dict[str, object]) -> None:
    generator = make_generator(family, [f"class {n}" for n in range(1000)], (1, 8, 8), options=tiny)
    assert generator.sample(["class 999", 0]).shape == (2, 1, 8, 8)


def test_bf16_samples_are_functions_of_their_names_too(family: str, tiny: dict[str, object]) -> None:
    generator = make_generator(family, CLASSES, (1, 8, 8), options=tiny, precision="bf16").eval()
    whole = generator.sample({"cat": 70})
    assert torch.equal(generator.sample({"cat": 5}), whole[:5])


def test_unknown_family_and_conditioning() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'vae'"):
        make_generator("vea", CLASSES, (1, 8, 8))
    with pytest.raises(ConfigError, match="shared"):
        make_generator("vae", CLASSES, (1, 8, 8), conditioning="both")


def test_loading_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="does not exist"):
        load(tmp_path / "nothing")
    (tmp_path / "trainer_state").mkdir()
    with pytest.raises(FormatError, match="not finished"):
        load(tmp_path)
    (tmp_path / "bank").mkdir()
    (tmp_path / "bank" / "bank.json").write_text("{}")
    with pytest.raises(FormatError, match="is a bank of samples"):
        load(tmp_path / "bank")


def test_a_hub_id_is_downloaded_and_loaded(
    family: str, tiny: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = make(family, tiny)
    save(generator, tmp_path / "snapshot")
    asked: dict[str, object] = {}

    def snapshot_download(repo_id: str, **options: object) -> str:
        asked.update(options, repo_id=repo_id)
        return str(tmp_path / "snapshot")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert load("someone/boots", revision="v1").digest == generator.digest
    assert asked["repo_id"] == "someone/boots"
    assert asked["revision"] == "v1"
    assert set(asked["allow_patterns"]) == {"config.json", "model.safetensors", "classes.json", "README.md"}


def test_a_hub_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(repo_id: str, **options: object) -> str:
        raise OSError("offline")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(FormatError, match="no folder someone/boots and the hub answered: offline"):
        load("someone/boots")
