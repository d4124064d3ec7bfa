from __future__ import annotations

import numpy as np
import pytest
import torch

import synthaug
from synthaug.data import ImageDataset
from synthaug.errors import (
    ConfigError,
    DataError,
    DivergenceError,
    MissingExtraError,
    OutputExistsError,
    TrainingInterrupted,
)
from synthaug.generators import family_class
from synthaug.recommendation import RecommendedPolicy, recommend, recommending, search
from synthaug.recommendation.candidates import maker
from synthaug.recommendation.measuring import trial
from synthaug.recommendation.race import tuning
from synthaug.storage import read_json

SECONDS = 203.0
TINY = {"width": 8, "latent_dim": 6, "class_dim": 4, "components": 2}


def ask(data, world, made, out, **settings) -> RecommendedPolicy:
    return recommend(data, "test_resnet", SECONDS / 60, out=out, maker=made, now=world.now, **settings)


def test_samples_as_good_as_real_images_are_recommended(few, oracle, world, tmp_path):
    policy = ask(few, world, oracle, tmp_path / "advice")
    assert policy.recommended
    assert policy.gain.low > 0
    assert policy.gain.pairs >= 2 * 3
    assert policy.words.startswith("Yes: ")
    assert f"{100 * policy.gain.mean:+.1f} ±" in policy.words
    assert len(policy.bank) > 0
    assert {path.name for path in (tmp_path / "advice").iterdir()} == {
        "policy.yaml", "generator", "bank", "recommendation.json", "recommendation.html", "trials", "request.json"
    }  # fmt: skip
    page = (tmp_path / "advice" / "recommendation.html").read_text()
    assert page.index(policy.words[:30]) < page.index("Gain over ratio") < page.index("What was tried")


def test_the_expected_gain_comes_from_images_that_did_not_choose(few, oracle, world, tmp_path):
    policy = ask(few, world, oracle, tmp_path / "advice")
    found = read_json(tmp_path / "advice" / "recommendation.json")
    used = [record["task"] for record in found["trials"] if record["kind"] == "trial"]
    choosing = {task["validation"] for task in used if 100 <= task["pair"]["seed"] < 1000}
    confirming = {task["validation"] for task in used if task["pair"]["seed"] >= 1000}
    folds = {validation.digest: validation for _, validation in few.folds(3, seed=0)}
    assert len(choosing) == 1
    assert choosing | confirming == set(folds)
    assert not choosing & confirming
    pairs = {tuple(task["pair"].values()) for task in used if task["pair"]["seed"] >= 1000}
    assert policy.gain.pairs == len(pairs)
    measured = {row["ratio"] for row in found["curve"]}
    assert {found["winner"]["ratio"]} < measured == {0.25, 0.5, 1.0, 2.0, 4.0}
    curve = {row["ratio"]: row for row in found["curve"]}
    assert list(curve) == sorted(curve)
    assert curve[found["winner"]["ratio"]]["mean"] == policy.gain.mean
    assert set(found["classes"]) == set(few.classes)


def test_the_page_names_the_command_that_asks_the_same(few, noise, world, tmp_path):
    ask(few, world, noise, tmp_path / "advice", seed=3, folds=4, ratios=(1, 2), learning_rate=1e-3)
    found = read_json(tmp_path / "advice" / "recommendation.json")["command"]
    assert found.startswith("synthaug recommend digits --model test_resnet --minutes 3.38333 ")
    assert f"--ratios 1,2 --folds 4 --seed 3 --learning-rate 0.001 --out {tmp_path / 'advice'}" in found
    assert "--metric" not in found


def test_noise_is_never_recommended(few, noise, world, tmp_path):
    policy = ask(few, world, noise, tmp_path / "advice")
    assert not policy.recommended
    assert policy.words.startswith("No, not for your data")
    assert policy.apply(few) is few
    assert not (tmp_path / "advice" / "bank").exists()


def test_where_real_images_win_the_first_heat_others_get_a_heat_in_the_time_that_is_left(
    few, late, noise, world, tmp_path
):
    policy = ask(few, world, late, tmp_path / "late")
    assert policy.recommended
    assert read_json(tmp_path / "late" / "recommendation.json")["winner"]["sampling"]
    start = world.time
    ask(few, world, noise, tmp_path / "noise")
    assert world.time - start <= SECONDS
    race = read_json(tmp_path / "noise" / "recommendation.json")["race"]
    tried = [row["candidate"] for row in race if row["differences"]]
    assert len({str(one) for one in tried}) == len(tried) > 8


@pytest.mark.parametrize(("images", "answer"), [(12, True), (15, False)])
def test_where_one_fold_cannot_tell_ways_apart_the_usual_one_is_measured_on_all(
    few, fair, world, tmp_path, images, answer
):
    """Few images a class, and samples that help one class alone: no race, and no fold is lost to one."""
    policy = ask(few.few_shot(images, seed=0), world, fair, tmp_path / "advice")
    assert policy.recommended is answer
    found = read_json(tmp_path / "advice" / "recommendation.json")
    assert not found["raced"]
    assert len(found["race"]) == 1
    assert found["winner"] == found["race"][0]["candidate"]
    assert found["winner"]["mode"] == "mix"
    tasks = [record["task"] for record in found["trials"] if record["kind"] == "trial"]
    confirming = [task for task in tasks if task["pair"]["seed"] >= 1000]
    assert {task["pair"]["fold"] for task in confirming} == {0, 1, 2}
    assert policy.gain.pairs == len({tuple(task["pair"].values()) for task in confirming})
    assert "too few images to tell ways" in " ".join(found["method"])
    assert ("your images are too few to tell ways apart" in policy.words) is not answer
    assert "One fold could not tell ways apart" in (tmp_path / "advice" / "recommendation.html").read_text()


def test_ratio_zero_wins_ties(few, oracle, world, tmp_path, monkeypatch):
    """Samples that change nothing: every difference is exactly 0."""

    def without_bank(*args, bank=None, policy=None, **settings):
        return world.fit_classifier(*args, **settings)

    monkeypatch.setattr(trial, "fit_classifier", without_bank)
    policy = ask(few, world, oracle, tmp_path / "advice")
    assert not policy.recommended
    assert "the best came to +0.0 ±" in policy.words
    assert policy.gain is None


def test_the_real_only_arm_is_tuned_as_hard_and_runs_on_every_pair(few, oracle, world, tmp_path):
    ask(few, world, oracle, tmp_path / "advice")
    found = read_json(tmp_path / "advice" / "recommendation.json")
    tasks = [record["task"] for record in found["trials"] if record["kind"] == "trial"]
    tuning = [task for task in tasks if task["settings"]["steps"] > 24 and task["pair"]["seed"] < 100]
    race = [task for task in tasks if 100 <= task["pair"]["seed"] < 1000]
    assert all("candidate" not in task for task in tuning)
    assert len(tuning) >= 0.7 * len([task for task in race if "candidate" in task])
    real = {tuple(task["pair"].values()) for task in tasks if "candidate" not in task}
    assert {tuple(task["pair"].values()) for task in tasks} == real
    best = found["real_only"][0]["settings"]
    compared = [task for task in tasks if task["pair"]["seed"] >= 100]
    assert all(task["settings"].items() >= best.items() for task in compared), "no arm has settings of its own"
    assert {task["pair"]["fold"] for task in tuning} == {0, 1, 2}, "all images judge real images alone"


def test_a_setting_that_diverges_comes_last_and_stops_nothing(few, oracle, world, tmp_path, monkeypatch):
    def fragile(*args, **settings):
        late = settings["steps"] > 24  # not while a few steps are timed
        if late and (settings["learning_rate"] == 6e-3 or settings["augmentation"] == "affine"):
            raise DivergenceError("training diverged at step 3.")
        return world.fit_classifier(*args, **settings)

    monkeypatch.setattr(trial, "fit_classifier", fragile)
    policy = ask(few, world, oracle, tmp_path / "advice", learning_rate=3e-3)
    assert policy.recommended
    assert "training diverged at step 3." in (tmp_path / "advice" / "recommendation.html").read_text()
    with pytest.raises(DivergenceError, match="real images alone: training diverged"):
        ask(few, world, oracle, tmp_path / "none", learning_rate=6e-3)


def test_a_classifier_that_diverged_is_not_trained_again(few, oracle, world, tmp_path, monkeypatch):
    tried = 0

    def fragile(*args, bank=None, **settings):
        nonlocal tried
        if bank is not None and settings["steps"] > 24:
            tried += 1
            raise DivergenceError("training diverged at step 3.")
        return world.fit_classifier(*args, bank=bank, **settings)

    monkeypatch.setattr(trial, "fit_classifier", fragile)
    ask(few, world, oracle, tmp_path / "advice")
    trials = [read_json(path)["result"] for path in (tmp_path / "advice" / "trials").glob("trial-*.json")]
    assert tried == sum("error" in result for result in trials) > 0


def test_settings_may_be_numbers_of_numpy(few, noise, world, tmp_path):
    settings = {"learning_rate": np.float32(1e-3), "batch_size": np.int64(32), "weight_decay": np.float64(0.1)}
    ask(few, world, noise, tmp_path / "advice", **settings)
    kept = RecommendedPolicy.load(tmp_path / "advice").classifier
    assert (kept["batch_size"], kept["weight_decay"]) == (32, 0.1)
    with pytest.raises(OutputExistsError, match="other data or settings"):
        ask(few, world, noise, tmp_path / "advice", **settings | {"batch_size": np.int64(64)})


def test_hard_classes_are_those_of_the_fold_that_chooses(few, oracle, world, tmp_path, monkeypatch):
    folds = []
    whole = tuning.tune

    def spy(trials, grid, pairs, **more):
        measured: dict[int, tuple] = {}
        real = trials.real

        def watched(pair, settings, **rest):
            outcome = real(pair, settings, **rest)
            if outcome is not None:
                measured[id(outcome.recall)] = (pair.fold, outcome.recall)
            return outcome

        def means(found, classes):
            folds.extend(measured[id(recall)][0] for recall in found)
            return known(found, classes)

        known = tuning.mean_recalls
        monkeypatch.setattr(trials, "real", watched)
        monkeypatch.setattr(tuning, "mean_recalls", means)
        return whole(trials, grid, pairs, **more)

    monkeypatch.setattr(search, "tune", spy)
    ask(few, world, oracle, tmp_path / "advice")
    assert set(folds) == {0}


def test_a_generator_that_fails_on_all_images_takes_the_yes_back(few, oracle, world, tmp_path, monkeypatch):
    def fail(data, candidate, folder):
        raise DivergenceError("training diverged at step 3.")

    monkeypatch.setattr(oracle, "publish", fail)
    policy = ask(few, world, oracle, tmp_path / "advice")
    assert not policy.recommended
    assert "training diverged at step 3." in policy.words
    assert policy.apply(few) is few


def test_samples_that_no_training_survives_are_no_lack_of_time(few, oracle, world, tmp_path, monkeypatch):
    def fragile(*args, bank=None, **settings):
        if bank is not None:
            raise DivergenceError("training diverged at step 3.")
        return world.fit_classifier(*args, **settings)

    monkeypatch.setattr(trial, "fit_classifier", fragile)
    policy = ask(few, world, oracle, tmp_path / "advice")
    assert not policy.recommended
    assert policy.words.startswith("No answer: with samples no training succeeded, training diverged at step 3.")
    assert "minutes" not in policy.words


def test_the_time_is_kept(few, oracle, world, tmp_path):
    for minutes in (1, 4, 20):
        start = world.time
        recommend(few, "test_resnet", minutes, out=tmp_path / str(minutes), maker=oracle, now=world.now)
        assert world.time - start <= 60 * minutes
    assert world.time - start > 0.5 * 60 * 20


def test_too_little_time_is_no_yes(few, oracle, world, tmp_path):
    policy = recommend(few, "test_resnet", 0.01, out=tmp_path / "a", maker=oracle, now=world.now, steps=50)
    assert not policy.recommended
    assert policy.words.startswith("No answer in the time given")


@pytest.mark.parametrize("steps", [0.5, 3, 20, 40])
def test_time_that_ends_while_a_few_steps_are_timed_begins_nothing_long(few, oracle, world, tmp_path, steps):
    """The time is that of so many steps, of which the timing alone takes 29."""
    start = world.time
    policy = recommend(few, "test_resnet", 0.02 * steps / 60, out=tmp_path / "a", maker=oracle, now=world.now)
    assert not policy.recommended
    assert world.time - start < 0.02 * (steps + 30)


def test_a_killed_search_goes_on_and_repeats_nothing(few, oracle, world, tmp_path):
    whole = ask(few, world, oracle, tmp_path / "whole")
    number = len(world.calls)
    world.calls.clear()
    world.kill_after = number // 2
    with pytest.raises(TrainingInterrupted, match="the same call goes on with what is in"):
        ask(few, world, oracle, tmp_path / "cut")
    world.kill_after = None
    resumed = ask(few, world, oracle, tmp_path / "cut")
    assert len(world.calls) == number
    assert resumed.words == whole.words
    assert resumed.gain == whole.gain
    again = ask(few, world, oracle, tmp_path / "cut")
    assert len(world.calls) == number
    assert again.to_dict() == resumed.to_dict()


def test_a_search_that_is_killed_after_generators_tries_the_same_again(few, world, monkeypatch, tmp_path):
    trained = synthaug.fit(few, "vae", steps=1, **TINY)
    trainings = []

    def fit(part, *_, minutes, **__):
        trainings.append(part.digest)
        world.time += 60 * minutes
        return trained

    monkeypatch.setattr(maker, "fit", fit)
    monkeypatch.setattr(search.curating, "available", lambda: False)

    def ask_again(out):
        return recommend(few, "test_resnet", 15, out=out, now=world.now, families=("vae",))

    whole = ask_again(tmp_path / "whole")
    number = len(world.calls)
    world.calls.clear()
    trainings.clear()
    world.kill_after = int(0.8 * number)
    with pytest.raises(KeyboardInterrupt):
        ask_again(tmp_path / "cut")
    assert trainings  # else this is the test above
    world.kill_after = None
    resumed = ask_again(tmp_path / "cut")
    assert len(world.calls) == number
    assert len(trainings) == len(set(trainings))
    assert (resumed.words, resumed.classifier) == (whole.words, whole.classifier)
    one, other = (read_json(tmp_path / name / "recommendation.json") for name in ("whole", "cut"))
    assert [row["validation"] for row in one["real_only"]] == [row["validation"] for row in other["real_only"]]
    assert one["race"] == other["race"]


def test_what_is_asked_of_the_images_holds_for_a_dataset_too(few, noise, world, tmp_path):
    with pytest.raises(DataError, match="pass the part itself"):
        ask(few, world, noise, tmp_path / "a", split="test")
    ask(few, world, noise, tmp_path / "b", image_size=16, ratios=np.array([1.0]), learning_rate=None)
    assert {call["train"].image_shape for call in world.calls} == {(1, 16, 16)}
    found = read_json(tmp_path / "b" / "recommendation.json")
    assert "--image-size 16 --ratios 1 --out" in found["command"]
    rates = {row["settings"]["learning_rate"] for row in found["real_only"] if row["validation"]}
    assert len(rates) > 1  # `None` is what it is by default: tuned


def test_another_request_does_not_touch_what_is_there(few, noise, world, tmp_path):
    ask(few, world, noise, tmp_path / "a")
    with pytest.raises(OutputExistsError, match="other data or settings"):
        ask(few, world, noise, tmp_path / "a", seed=1)
    with pytest.raises(OutputExistsError, match="asked with another folds, seed"):
        ask(few, world, noise, tmp_path / "a", seed=1, folds=4)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError):
        ask(few, world, noise, tmp_path / "mine")
    assert not ask(few, world, noise, tmp_path / "a", seed=1, overwrite=True).recommended


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_overwriting_deletes_nothing_of_the_users(few, noise, world, tmp_path):
    photos = tmp_path / "photos"
    (photos / "boot").mkdir(parents=True)
    (photos / "boot" / "1.jpg").write_text("mine")
    with pytest.raises(OutputExistsError, match="holds boot, but no recommendation of synthaug"):
        ask(few, world, noise, photos, overwrite=True)
    assert (photos / "boot" / "1.jpg").read_text() == "mine"
    ask(few, world, noise, tmp_path / "advice")
    (tmp_path / "advice" / "thesis.txt").write_text("mine")
    before = files_of(tmp_path / "advice")
    with pytest.raises(OutputExistsError, match=r"holds thesis\.txt beside"):
        ask(few, world, noise, tmp_path / "advice", seed=1, overwrite=True)
    assert files_of(tmp_path / "advice") == before


def test_an_answer_is_kept_until_the_one_that_replaces_it_is_there(few, noise, world, tmp_path):
    folder, aside = tmp_path / "advice", tmp_path / ".disk.old"
    (tmp_path / "disk").mkdir()
    folder.symlink_to("disk")
    ask(few, world, noise, folder)
    before, number = files_of(folder), len(world.calls)
    world.calls.clear()
    world.kill_after = 5
    for seed in (1, 2):  # of two that are killed, none is worth the finished one
        with pytest.raises(KeyboardInterrupt):
            ask(few, world, noise, folder, seed=seed, overwrite=True)
        assert files_of(aside) == before
        world.kill_after = 10
    world.kill_after = None
    done = len(list((folder / "trials").glob("*.json")))
    assert done > 0
    ask(few, world, noise, folder, seed=2, overwrite=True)
    assert len(world.calls) < number + 10, "the second went on"
    assert not aside.exists()
    assert folder.is_symlink()
    with pytest.raises(OutputExistsError):
        ask(few, world, noise, folder)
    world.kill_after = 0
    with pytest.raises(KeyboardInterrupt):
        ask(few, world, noise, folder, seed=2, overwrite=True)  # asked anew once it is finished


def test_a_kill_while_an_answer_is_set_aside_loses_nothing(few, noise, world, tmp_path):
    policy = ask(few, world, noise, tmp_path / "advice")
    (tmp_path / "advice").rename(tmp_path / ".advice.old")
    world.kill_after = 0
    assert ask(few, world, noise, tmp_path / "advice").to_dict() == policy.to_dict()


def test_validation_images_never_reach_a_generator(world, tmp_path, monkeypatch):
    """Every image is told by its first pixel."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (60, 8, 8, 1), np.uint8)
    images[:, 0, 0, 0] = np.arange(60)
    data = ImageDataset.from_arrays(images, np.repeat([0, 1, 2], 20))

    def ids(part: ImageDataset) -> frozenset[int]:
        return frozenset(part.images[:, 0, 0, 0].tolist())

    seen: list[frozenset[int]] = []
    real_fit = maker.fit

    def spy(part, *arguments, **settings):
        seen.append(ids(part))
        return real_fit(part, *arguments, **settings)

    monkeypatch.setattr(maker, "fit", spy)
    policy = recommend(
        data, "test_resnet", 1, out=tmp_path / "a", now=world.now, generator_steps=1,
        generator_settings={"vae": TINY},
    )  # fmt: skip
    if policy.recommended:  # its generator comes last, when all is decided
        assert seen.pop() == ids(data)
    parts = {ids(call["train"]): ids(call["validation"]) for call in world.calls}
    assert seen
    for trained_on in seen:
        assert trained_on in parts
        assert not trained_on & parts[trained_on]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"minutes": 0}, "minutes"),
        ({"ratios": (-1,)}, "ratios"),
        ({"folds": 1}, "folds"),
        ({"confidence": 1.0}, "confidence"),
        ({"metric": "auc"}, "metric"),
        ({"families": ("vea",)}, "vae"),
        ({"learning_rte": 1}, "learning_rate"),
        ({"generator_settings": {"vea": {"width": 8}}}, "'vea'. Did you mean 'vae'"),
        ({"generator_settings": {"vae": {"widht": 8}}}, "Did you mean 'width'"),
        ({"generator_settings": {"vae": {"seed": 8}}}, "expected no seed"),
    ],
)
def test_bad_requests_are_refused(few, tmp_path, bad, error):
    with pytest.raises(ConfigError, match=error):
        recommend(few, "test_resnet", **({"minutes": 1} | bad), out=tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_data_without_anything_to_hold_out_are_refused(tmp_path):
    data = ImageDataset.from_arrays(np.zeros((3, 8, 8), np.uint8), [0, 1, 2])
    with pytest.raises(DataError, match="at least two images"):
        synthaug.recommend(data, "test_resnet", 1, out=tmp_path / "a")


@pytest.mark.parametrize(
    ("minutes", "cuda", "families"),
    [
        (1, False, ("vae",)),
        (59, False, ("vae",)),
        (60, False, ("vae", "diffusion")),
        (120, False, ("vae", "diffusion", "vaegan")),
        (15, True, ("vae", "diffusion", "vaegan")),
    ],
)
def test_families_say_themselves_from_what_time_on_they_are_tried(monkeypatch, minutes, cuda, families):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert recommending._usual_families(minutes) == families


def test_a_family_whose_extra_is_missing_is_not_tried_unasked_and_refused_at_once_when_asked(
    digits, tmp_path, monkeypatch
):
    monkeypatch.setattr(family_class("diffusion"), "needs", ("no_such_module", "diffusion"))
    assert recommending._usual_families(600.0) == ("vae", "vaegan")
    with pytest.raises(MissingExtraError, match=r"the family 'diffusion' needs it.*synthaug\[diffusion\]"):
        recommend(digits, families=["vae", "diffusion"], out=tmp_path / "advice")
    assert not (tmp_path / "advice").exists()
