"""The numbers in plain words, each with how sure it is."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from synthaug.evaluation.assessment.closeness import Closeness
from synthaug.evaluation.assessment.memorisation import Memorisation
from synthaug.evaluation.assessment.utility import Utility
from synthaug.evaluation.quality import Fidelity

Kind = Literal["better", "worse", "unclear"]

_NEAR_REAL, _FAR = 0.9, 0.5
"""Shares of what real images reach from which samples count as like them, and below which as unlike them."""

_SURE = 0.05


@dataclasses.dataclass(frozen=True)
class Finding:
    """One answer.

    Attributes:
        about: ``"utility"``, ``"fidelity"``, ``"copies"`` or ``"membership"``.
        kind: ``"better"`` is good news, ``"worse"`` bad news.
        words: The answer.
        detail: The numbers behind it.
    """

    about: str
    kind: Kind
    words: str
    detail: str

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values."""
        return dataclasses.asdict(self)


def judge(
    closeness: Closeness,
    memorisation: Memorisation,
    utility: Utility | None,
    samples: int,
    held_out: int,
) -> tuple[Finding, ...]:
    """Say what was found, the most useful first.

    Args:
        closeness: Of samples to real images.
        memorisation: What samples give away.
        utility: What samples teach, if that was measured.
        samples: Number of samples.
        held_out: Number of held-out images, 0 if there are none.
    """
    findings = [] if utility is None else [_on_utility(utility)]
    findings.append(_on_copies(memorisation, samples, held_out))
    if memorisation.membership and memorisation.control is not None:
        findings.append(_on_membership(memorisation))
    return (*findings, _on_fidelity(closeness.beside or closeness.fidelity, closeness.reference))


def _on_utility(utility: Utility) -> Finding:
    gain, way = utility.gain, utility.way
    words = {
        "better": f"{way[0].upper()}{way[1:]}, the samples make the classifier better.",
        "worse": f"{way[0].upper()}{way[1:]}, the samples make the classifier worse.",
        "unclear": f"Whether the samples, {way}, help a classifier is unclear.",
    }[gain.verdict]
    interval = (
        "no interval: one image is held out"
        if gain.low is None or gain.high is None
        else f"95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f} over images and "
        f"{gain.pairs} seed{'s' if gain.pairs > 1 else ''}"
    )
    detail = (
        f"Accuracy on held-out images: {100 * utility.mean('real'):.1f} % with real images alone, "
        f"{100 * utility.mean('both'):.1f} % with samples {way}: {100 * gain.mean:+.1f} points ({interval}). "
        f"With samples alone {100 * utility.mean('samples'):.1f} %."
    )
    return Finding("utility", gain.verdict, words, detail)


def _on_copies(memorisation: Memorisation, samples: int, held_out: int) -> Finding:
    found = len(memorisation.copies)
    expected = memorisation.held_out_share
    detail = f"{found:,} of {samples:,} samples ({100 * memorisation.share:.1f} %)"
    if expected is None:
        kind: Kind = "worse" if found else "better"
        detail += "; what share of new real images would count as copies is not known without held-out images."
    else:
        detail += f"; of held-out real images, which are no copies, {100 * expected:.1f} % count as such."
        kind = _against_chance(found, samples, round(expected * held_out), held_out)
    words = {
        "better": "No sample is",
        "worse": "Samples are" if found > 1 else "One sample is",
        "unclear": "Some samples are, but no more than new real images would be,"
        if found > 1
        else "One sample is, as one of so many new real images might be,",
    }[kind]
    near = "near-copies of training images." if found > 1 else "a near-copy of a training image."
    return Finding("copies", kind, f"{words} {near}", detail)


def _against_chance(found: int, samples: int, expected: int, held_out: int) -> Kind:
    """Compare the share of copies with that among images that cannot be any (Fisher 1934)."""
    if not found:
        return "better"
    from scipy.stats import fisher_exact

    table = [[found, samples - found], [expected, held_out - expected]]
    return "worse" if float(fisher_exact(table, alternative="greater").pvalue) < _SURE else "unclear"


def _on_membership(memorisation: Memorisation) -> Finding:
    by_samples, *by_generator = memorisation.membership
    control = memorisation.control
    # Where the images differ, however little was learnt of them, an attack has to tell more than that.
    anyway = control.value if control is not None and control.low > 0.5 else 0.5
    kind: Kind = "worse"
    if by_samples.auc.low > anyway:
        words = "An attacker who has the samples can tell which images were trained on."
    elif any(attack.auc.low > anyway for attack in by_generator):
        words = "An attacker who has the generator, not its samples alone, can tell which images were trained on."
    elif any(attack.auc.low > 0.5 for attack in memorisation.membership):
        kind = "unclear"
        words = "Training images can be told from held-out ones, but they differ without any samples."
    else:
        kind = "better"
        words = "The attacks tried cannot tell which images were trained on."
    detail = " ".join(f"By {one.attack}: AUC {one.auc.text}; 0.5 is a guess." for one in memorisation.membership)
    if control is not None:
        detail += f" With real training images in place of samples: {control.text}."
    if memorisation.nearer_to_training is not None:
        detail += (
            " A sample is nearer to a training image than to any of as many held-out ones with a probability of "
            f"{memorisation.nearer_to_training.text}."
        )
    return Finding("membership", kind, words, detail)


def _on_fidelity(fidelity: Fidelity, reference: Fidelity | None) -> Finding:
    numbers = (
        f"precision {fidelity.precision:.2f}, coverage {fidelity.coverage:.2f}, recall {fidelity.recall:.2f}, "
        f"KID {fidelity.kid:.3g}"
    )
    if reference is None:
        words = "How like real images the samples are can only be said against the training images."
        return Finding("fidelity", "unclear", words, f"{numbers}; a copy of a training image would score best here.")
    like = _share(fidelity.precision, reference.precision)
    covered = _share(fidelity.coverage, reference.coverage)
    varied = _share(fidelity.recall, reference.recall)
    detail = (
        f"{numbers}; new real images reach {reference.precision:.2f}, {reference.coverage:.2f}, "
        f"{reference.recall:.2f} and {reference.kid:.3g}. Precision: samples among real images; coverage: real images "
        "with a sample nearby; recall: real images among samples."
    )
    if min(like, covered, varied) >= _NEAR_REAL:
        return Finding("fidelity", "better", "The samples are like real images, and as varied.", detail)
    faults = [
        fault
        for fault, share in (
            ("are in good part unlike real images", like),
            ("leave kinds of real images out", covered),
            ("vary less than real images do", varied),
        )
        if share < _FAR
    ]
    if faults:
        return Finding("fidelity", "worse", f"The samples {' and '.join(faults)}.", detail)
    return Finding("fidelity", "unclear", "The samples are somewhat like real images.", detail)


def _share(value: float, reference: float) -> float:
    """Return how much of what new real images reach is reached; all, where they reach nothing."""
    return value / reference if reference > 0 else 1.0
