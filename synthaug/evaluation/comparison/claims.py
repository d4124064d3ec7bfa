"""What is usually said about the families, held against the numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from synthaug.evaluation.comparison.intervals import (
    Interval,
    difference_interval,
    ratio_interval,
    spread_ratio_interval,
)
from synthaug.evaluation.comparison.summary import METRICS, FamilySummary

Verdict = Literal["holds", "does not hold", "unclear", "not measured"]
_METRICS = {metric.key: metric for metric in METRICS}


@dataclasses.dataclass(frozen=True)
class Claim:
    """A statement that one family has more of something than others.

    Attributes:
        words: The statement.
        metric: Key of what is compared.
        larger: Families whose values it says are larger; ``"*"`` stands for all others.
        smaller: Families whose values it says are smaller; ``"*"`` likewise.
        about: ``"mean"``, or ``"spread"`` for the standard deviation over seeds relative to the mean.
    """

    words: str
    metric: str
    larger: str
    smaller: str
    about: Literal["mean", "spread"] = "mean"


CLAIMS = (
    Claim("A GAN's samples are sharper than a VAE's.", "sharpness", "gan", "vae"),
    Claim("A VAE-GAN's samples are sharper than a VAE's.", "sharpness", "vaegan", "vae"),
    Claim("A VAE's latent space is smoother than a GAN's.", "path_length", "gan", "vae"),
    Claim("A VAE's latent space is smoother than an autoencoder's.", "path_length", "autoencoder", "vae"),
    Claim("A VAE is more stable over seeds than a GAN.", "frechet_distance", "gan", "vae", "spread"),
    Claim("A VAE's samples are closer to real images than an autoencoder's.", "frechet_distance", "autoencoder", "vae"),
    Claim("Diffusion's samples are the closest to real images.", "frechet_distance", "*", "diffusion"),
    Claim("Diffusion is the slowest to sample from.", "sampling_speed", "*", "diffusion"),
    Claim("A GAN's samples are less varied than a VAE's.", "recall", "vae", "gan"),
    Claim("A GAN's samples are less varied than diffusion's.", "recall", "diffusion", "gan"),
)


@dataclasses.dataclass(frozen=True)
class Finding:
    """A claim and what the numbers say to it.

    Attributes:
        claim: The claim.
        verdict: ``"holds"`` or ``"does not hold"`` when the 95 % interval says so, else ``"unclear"``; ``"not
            measured"`` when a family is missing. Each claim is tested by itself, so of many one may err by chance.
        detail: The numbers in words.
    """

    claim: Claim
    verdict: Verdict
    detail: str

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return {**dataclasses.asdict(self.claim), "verdict": self.verdict, "detail": self.detail}


def judge_all(families: Mapping[str, FamilySummary], claims: Sequence[Claim] = CLAIMS) -> list[Finding]:
    """Hold each claim against the numbers.

    Args:
        families: What was measured, by family.
        claims: What is claimed.
    """
    return [judge(claim, families) for claim in claims]


def judge(claim: Claim, families: Mapping[str, FamilySummary]) -> Finding:
    """Hold one claim against the numbers.

    A claim about all other families holds if it holds against each, and does not hold if it fails against one.
    """
    named = claim.smaller if claim.larger == "*" else claim.larger
    measured = [name for name, family in families.items() if family.values(claim.metric)]
    others = [name for name in measured if name != named]
    pairs = [
        (larger, smaller)
        for larger in (others if claim.larger == "*" else [claim.larger])
        for smaller in (others if claim.smaller == "*" else [claim.smaller])
        if larger in measured and smaller in measured
    ]
    if not pairs:
        return Finding(claim, "not measured", "One of the families was not measured.")
    verdicts, details = [], []
    for larger, smaller in pairs:
        verdict, detail = _against(claim, families[larger], families[smaller])
        verdicts.append(verdict)
        details.append(detail)
    return Finding(claim, _together(verdicts), f"{_subject(claim)}: {'; '.join(details)}.")


def _together(verdicts: Sequence[Verdict]) -> Verdict:
    if "does not hold" in verdicts:
        return "does not hold"
    return "holds" if all(verdict == "holds" for verdict in verdicts) else "unclear"


def _against(claim: Claim, larger: FamilySummary, smaller: FamilySummary) -> tuple[Verdict, str]:
    metric = _METRICS[claim.metric]
    first, second = larger.values(claim.metric), smaller.values(claim.metric)
    if claim.about == "spread":
        interval = spread_ratio_interval(_relative(first), _relative(second))
        shown = f"{larger.family} {_percent(first)}, {smaller.family} {_percent(second)}"
        return _verdict(interval, 1), f"{shown}, ratio {_in_words(interval, '.2f')}"
    shown = ", ".join(f"{family.family} {family.metrics[claim.metric].text(metric)}" for family in (larger, smaller))
    if metric.ratio and min(*first, *second) > 0:
        interval = ratio_interval(first, second)
        return _verdict(interval, 1), f"{shown}, ratio {_in_words(interval, '.2f')}"
    interval = difference_interval(first, second)
    return _verdict(interval, 0), f"{shown}, difference {_in_words(interval, '+.3f')}"


def _subject(claim: Claim) -> str:
    title = _METRICS[claim.metric].title.rstrip(" ↑↓")
    return f"relative spread of the {title} over seeds" if claim.about == "spread" else title


def _in_words(interval: Interval, spec: str) -> str:
    estimate, low, high = interval
    if low is None or high is None:
        return f"{estimate:{spec}} (no interval)"
    return f"{estimate:{spec}} (95 % interval {low:{spec}} … {high:{spec}})"


def _verdict(interval: Interval, neutral: float) -> Verdict:
    side = interval.against(neutral)
    return "holds" if side == "above" else "does not hold" if side == "below" else "unclear"


def _relative(values: Sequence[float]) -> list[float]:
    mean = float(np.mean(values))
    return [value / mean for value in values] if mean else list(values)


def _percent(values: Sequence[float]) -> str:
    return f"{100 * float(np.std(_relative(values), ddof=1)):.1f} %" if len(values) > 1 else "one seed"
