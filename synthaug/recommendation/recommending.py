"""`recommend`: will samples make this classifier better on these data, by how much, and with which settings?"""

from __future__ import annotations

import functools
import inspect
import json
import math
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthaug.classifiers.models import check_model
from synthaug.classifiers.scores import Metric
from synthaug.classifiers.settings import ClassifierConfig
from synthaug.data import ImageDataset
from synthaug.data.unlabelled import load_unlabelled
from synthaug.errors import ConfigError, DataError, OutputExistsError, did_you_mean, require_extra
from synthaug.generators import family_class, list_families
from synthaug.recommendation.bookkeeping.clock import Clock
from synthaug.recommendation.candidates.maker import SampleMaker
from synthaug.recommendation.candidates.space import RATIOS
from synthaug.recommendation.policy import RecommendedPolicy
from synthaug.recommendation.request import Request
from synthaug.recommendation.search import Search
from synthaug.sampling.policy_files import POLICY_FILE
from synthaug.storage import (
    Contents,
    canonical_json,
    empty,
    forget_aside,
    output_folder,
    put_back,
    read_json,
    set_aside,
    write_json,
)
from synthaug.training.fitting import split_settings
from synthaug.training.interrupt import explained

if TYPE_CHECKING:
    from rich.console import Console

REQUEST = "request.json"
_CONTENTS = Contents(
    "recommendation",
    (REQUEST,),
    (POLICY_FILE, "generator", "bank", "recommendation.json", "recommendation.html", "trials"),
    {REQUEST: ("data", "model", "minutes", "families")},
)


def recommend(
    data: Any,
    model: str = "resnet18",
    minutes: float = 20.0,
    *,
    out: str | Path = "recommendation",
    image_size: int | tuple[int, int] | None = None,
    channels: int | str = "auto",
    split: str | None = None,
    unlabelled: Any = None,
    families: Sequence[str] | None = None,
    ratios: Sequence[float] = RATIOS,
    metric: Metric = "balanced_accuracy",
    folds: int = 3,
    confidence: float = 0.95,
    seed: int = 0,
    generator_steps: int | None = None,
    generator_settings: Mapping[str, Mapping[str, Any]] | None = None,
    model_options: Mapping[str, Any] | None = None,
    device: str = "auto",
    overwrite: bool = False,
    console: Console | None = None,
    command: str | None = None,
    maker: SampleMaker | None = None,
    now: Callable[[], float] = time.monotonic,
    **settings: Any,
) -> RecommendedPolicy:
    """Find out whether samples help, and how to use them, within a given time.

    Everything happens inside ``data``, cut into folds; where one validates, generators and classifiers see the others
    alone. Real images alone are tuned on all folds in turn; then ways of making and using samples race against them on
    the first by successive halving, heat after heat while real images alone are ahead and there is time. The winner is
    measured on the other folds, whose images did not choose it. It is recommended only if the interval of that last
    gain, at the confidence asked for, lies above 0; otherwise the answer is "no, not for your data". Gains are
    estimated from what classifiers find and how probable they hold the right class
    (`synthaug.recommendation.measuring.difference`).

    Args:
        data: The training split: an `ImageDataset`, or anything that `ImageDataset.load` takes.
        model: Any timm model name.
        minutes: Time to end in. The more, the more is tried, and the finer the differences that can be told.
        out: Folder to write: ``policy.yaml``, ``generator/``, ``bank/``, ``recommendation.json`` and ``.html``, and
            ``trials/``. The same call after a kill goes on; after it is finished, it returns what was found.
        image_size: Side of the images, or (height, width).
        channels: 1, 3 or ``"auto"``.
        split: Part of the source, if it has parts; the training part if left out.
        unlabelled: Images without labels: a folder of image files, an array, or anything that `ImageDataset.load`
            takes, its labels left aside. To replace real images by these, or to mix them in, labelled by classifiers
            of the images that have labels, is then tried before samples. No test images should be among them.
        families: Generator families to try. Left out, the VAE; with 15 minutes or more on a GPU, or an hour or more
            without, diffusion too, if its extra is installed; and with 15 minutes or two hours the VAE-GAN.
        ratios: Samples for each real image that are tried; 0 always is.
        metric: ``"balanced_accuracy"`` or ``"accuracy"``.
        folds: Parts that the images are cut into, 2 or more: the first chooses, the others confirm.
        confidence: Of the interval that has to lie above 0 for a yes. Lower is bolder: at 0.8, one in ten of the
            settings that change nothing would be recommended. Intervals are shown at 95 % all the same.
        seed: Of folds, generators, classifiers and the choice of candidates.
        generator_steps: Optimiser steps of every generator, instead of a share of the time.
        generator_settings: Settings of `synthaug.fit` by family.
        model_options: Further arguments of `timm.create_model`, such as ``{"pretrained": True}``.
        device: ``"auto"`` (a GPU if there is one) or a torch device.
        overwrite: Replace what another call left in ``out``. A finished answer stays in a hidden folder beside it until
            the new one is there, and a search for the same that was killed goes on.
        console: Where progress is printed; nothing is shown if left out.
        command: The command line to name on the page.
        maker: Makes the samples; for tests and own generators.
        now: Tells the time in seconds.
        **settings: Fields of `ClassifierConfig`. A learning rate, augmentation or balanced sampling that is given is
            not tuned; ``steps`` is otherwise chosen by the time.

    Raises:
        ConfigError: On an unknown or bad setting.
        DataError: If there are too few images to hold any out.
        OutputExistsError: If ``out`` holds something else, and ``overwrite`` is false or it is no recommendation.
        TrainingInterrupted: On Ctrl-C; the same call goes on.

    Example:
        >>> policy = synthaug.recommend("digits", model="test_resnet", minutes=2, out="advice")  # doctest: +SKIP
        >>> policy.words, policy.gain  # doctest: +SKIP
    """
    clock = Clock(60 * minutes, now)  # reading the data counts too
    dataset = ImageDataset.load(data, image_size, channels=channels, split=split)
    ratios = tuple(float(ratio) for ratio in ratios)
    _check(dataset, minutes, ratios, folds, confidence, metric)
    chosen = tuple(families) if families is not None else _usual_families(minutes)
    for family in chosen:
        _check_installed(family)
    check_model(model)
    checked = ClassifierConfig.from_dict({"model": model, **settings}).to_dict()  # NumPy's numbers become Python's
    settings = {name: checked[name] for name in settings if checked[name] is not None}  # `None` leaves it open
    _check_generator_settings(generator_settings or {}, chosen)
    request = Request(
        model=model,
        minutes=float(minutes),
        families=chosen,
        ratios=tuple(sorted({ratio for ratio in ratios if ratio > 0})),
        metric=metric,
        folds=folds,
        confidence=confidence,
        seed=seed,
        generator_steps=generator_steps,
    )
    folder = Path(out).expanduser().resolve()
    more = {"generator_settings": generator_settings, "model_options": model_options, "settings": settings}
    pool = None if unlabelled is None else load_unlabelled(unlabelled, dataset)
    without = {} if pool is None else {"unlabelled": pool.digest}
    identity = {
        **request.to_dict(),
        "data": dataset.digest,
        **without,
        **{key: _plain(value) for key, value in more.items()},
    }
    if _open(folder, identity, overwrite):
        forget_aside(folder)
        return RecommendedPolicy.load(folder)
    search = Search(
        dataset,
        request,
        folder,
        clock,
        maker=maker,
        unlabelled=pool,
        settings=settings,
        generator_settings=generator_settings,
        model_options=model_options,
        device=device,
        say=_say_on(console),
    )
    if command is None:
        asked = {
            "image_size": image_size, "channels": channels, "split": split,
            "unlabelled": None if pool is None else _named(unlabelled, pool),
            "families": families, "ratios": ratios, "metric": metric,
            "folds": folds, "confidence": confidence, "seed": seed,
            "generator_steps": generator_steps, "generator_settings": generator_settings, "device": device,
        }  # fmt: skip
        command = _command(
            _named(data, dataset), {"model": model, "minutes": minutes, **_not_usual(asked), **settings, "out": out}
        )
    with explained(f"the search was interrupted; the same call goes on with what is in {folder}."):
        policy = search.run(command)
    forget_aside(folder)
    return policy


def _named(source: Any, read: ImageDataset) -> str:
    """Return how a command line names a source, as far as it can."""
    return str(source) if isinstance(source, (str, Path)) else read.name


def _not_usual(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `recommend` that are not its defaults."""
    usual = inspect.signature(recommend).parameters
    return {name: value for name, value in asked.items() if value != usual[name].default}


def _command(source: str, asked: Mapping[str, Any]) -> str:
    """Return the command line that asks the same, as far as a command line can."""
    words = ["synthaug", "recommend", source]
    for name, value in asked.items():
        words += [f"--{name.replace('_', '-')}", _word(name, value)]
    return shlex.join(words)


def _word(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return json.dumps(value)
    values = value if isinstance(value, (tuple, list)) else (value,)
    texts = [f"{one:g}" if isinstance(one, float) else str(one) for one in values]
    return ("x" if name == "image_size" else ",").join(texts)


def _say_on(console: Console | None) -> Callable[[str], None]:
    if console is None:
        return lambda text: None
    return functools.partial(console.print, markup=False, highlight=False)


def _usual_families(minutes: float) -> tuple[str, ...]:
    """Return the families that the time is enough for, the quickest first, as they say themselves."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    known = [name for name in list_families() if family_class(name).installed()]
    wanted = {name: family_class(name).tried_from.get(device, math.inf) for name in known}
    return tuple(sorted((name for name in wanted if wanted[name] <= minutes), key=lambda name: wanted[name]))


def _check_installed(family: str) -> None:
    """Raise before anything is trained where a family, or the extra that it needs, is not there."""
    found = family_class(family)
    if found.needs is not None and not found.installed():
        module, extra = found.needs
        raise require_extra(module, extra, ImportError(f"the family {family!r} needs it"))


def _check_generator_settings(settings: Mapping[str, Mapping[str, Any]], families: Sequence[str]) -> None:
    """Raise before anything is trained where settings of generators would not be taken."""
    for family, values in settings.items():
        if family not in families:
            raise ConfigError(
                f"generator_settings: expected settings of {', '.join(families)}, which are tried, but got some of "
                f"{family!r}.{did_you_mean(family, families)}"
            )
        if "seed" in values:
            raise ConfigError(f"generator_settings: expected no seed, which is the search's own, for {family!r}.")
        split_settings(family, dict(values))


def _check(
    data: ImageDataset, minutes: float, ratios: Sequence[float], folds: int, confidence: float, metric: str
) -> None:
    if not minutes > 0:
        raise ConfigError(f"minutes: expected a number above 0, but got {minutes!r}.")
    if any(not 0 <= ratio <= 100 for ratio in ratios):
        raise ConfigError(f"ratios: expected numbers from 0 to 100, but got {list(ratios)}.")
    if folds < 2:
        raise ConfigError(f"folds: expected 2 or more, one that chooses and one that confirms, but got {folds}.")
    if not 0.5 <= confidence < 1:
        raise ConfigError(f"confidence: expected a number from 0.5 to below 1, but got {confidence!r}.")
    if metric not in ("balanced_accuracy", "accuracy"):
        raise ConfigError(f"metric: expected 'balanced_accuracy' or 'accuracy', but got {metric!r}.")
    if (data.class_counts >= 2).sum() < 2:
        raise DataError(
            "expected two classes or more with at least two images each, so that some can be held out, but got "
            f"{data.class_counts.tolist()}."
        )


def _open(folder: Path, identity: Mapping[str, Any], overwrite: bool) -> bool:
    """Prepare the folder; return whether it holds the finished answer to this very request."""
    put_back(folder)
    file, finished = folder / REQUEST, (folder / POLICY_FILE).is_file()
    if file.is_file() and not (overwrite and finished):
        before, now = read_json(file), json.loads(canonical_json(identity))
        if before == now:
            return finished
        if not overwrite:
            others = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
            raise OutputExistsError(
                f"{folder} holds a recommendation for other data or settings: it was asked with another "
                f"{', '.join(others)}. Choose another folder, or pass overwrite=True (--overwrite) to replace it."
            )
    output_folder(folder, overwrite=overwrite, what="recommend", contents=_CONTENTS, in_place=not finished)
    if finished:
        set_aside(folder)
    empty(folder)
    write_json(file, identity)
    return False


def _plain(value: Any) -> Any:
    """Return settings as JSON-able values; what is none (a state dict, say) by its type."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else type(value).__name__
