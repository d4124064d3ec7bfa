"""`RecommendedPolicy`: the answer, as an object and as a file that every integration accepts."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import yaml

from synthaug.classifiers.policy import Policy
from synthaug.evaluation.statistics import PairedDifference
from synthaug.sampling import SampleBank
from synthaug.sampling.policy_files import FORMAT_VERSION, POLICY_FILE, read_policy_file
from synthaug.storage import Contents, new_directory, new_file


@dataclasses.dataclass(frozen=True)
class RecommendedPolicy:
    """Whether to use samples, which, and how.

    Attributes:
        recommended: Whether samples are to be used at all.
        policy: How they enter training; meaningless unless ``recommended``.
        classifier: Settings of the classifier that were best on real images alone, and that the gain holds for.
        gain: What the samples add to the metric, measured on images that did not choose it; `None` where nothing was
            confirmed.
        words: The answer in plain words.
        classes: Names of the classes.
        image_shape: (C, H, W) of the samples.
        folder: Holds ``policy.yaml`` and, where samples are to be used, ``bank/`` and the ``generator/`` it is of.

    Example:
        >>> policy = synthaug.recommend("digits", model="test_resnet", minutes=2)  # doctest: +SKIP
        >>> policy.words  # doctest: +SKIP
        >>> dataset = policy.apply(real_dataset)  # doctest: +SKIP
    """

    recommended: bool
    policy: Policy
    classifier: dict[str, Any]
    gain: PairedDifference | None
    words: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    folder: Path

    @property
    def bank(self) -> SampleBank:
        """The samples; none where they are not to be used."""
        return read_policy_file(self.folder).open_bank()

    def apply(self, real: Any) -> Any:
        """Return a map-style torch dataset of the real images with the samples among them.

        Args:
            real: A map-style dataset of (PIL image, label), such as torchvision's; its transforms are applied to
                samples too. Labels are read in the order of `classes`.

        Returns:
            ``real`` itself where samples are not to be used, else a `synthaug.recommendation.mixed.MixedDataset`; where
            the policy mixes images, some items are mixed with a sample of their class (the policy's own mixing with
            samples of other classes takes whole batches: `synthaug.classifiers.train_classifier`).

        Raises:
            DataError: If images, before the dataset's transforms, are no grey or RGB PIL images.
            LabelError: If ``real`` names its classes, and they are not the policy's, in this order.
        """
        if not self.recommended:
            return real
        from synthaug.recommendation.mixed import MixedDataset

        return MixedDataset(real, self.bank, self.policy, self.transform() if self.policy.mode == "mix" else None)

    def transform(self) -> Any:
        """Return a torchvision v2 transform of (image, label) that brings the samples in; else it changes nothing.

        Adding samples becomes replacing with the same share of them. Where the policy mixes, an image is mixed with a
        sample of its own class. Loss weight and schedule are a matter of the training loop.
        """
        # The one place where the library takes something from an integration; torchvision is loaded on use alone.
        from synthaug.integrations.torchvision import SyntheticMix, SyntheticReplace

        if self.policy.mode != "mix" or not self.recommended:
            return SyntheticReplace(self.folder / POLICY_FILE, classes=self.classes)
        return SyntheticMix(self.folder / POLICY_FILE, mode=self.policy.mixing, classes=self.classes)

    def to_dict(self) -> dict[str, Any]:
        """Return what ``policy.yaml`` holds."""
        return {
            "format_version": FORMAT_VERSION,
            "recommended": self.recommended,
            "words": self.words,
            "bank": "bank" if self.recommended else None,
            "generator": "generator" if self.recommended and (self.folder / "generator").is_dir() else None,
            "policy": self.policy.to_dict(),
            "classifier": self.classifier,
            "gain": None if self.gain is None else self.gain.to_dict(),
            "classes": list(self.classes),
            "image_shape": list(self.image_shape),
        }

    def write(self) -> None:
        """Write ``policy.yaml`` into the folder, atomically."""
        with new_file(self.folder / POLICY_FILE) as temporary:
            text = yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)
            temporary.write_text(f"# {' '.join(self.words.split())}\n{text}", encoding="utf-8")

    def save(self, path: str | Path, *, overwrite: bool = False) -> RecommendedPolicy:
        """Copy the policy with its generator and bank to another folder, and return it opened from there.

        Raises:
            OutputExistsError: If ``path`` holds data and ``overwrite`` is false.
        """
        target = Path(path).expanduser()
        contents = Contents("policy", (POLICY_FILE,), ("generator", "bank"))
        with new_directory(target, overwrite=overwrite, what="policy", contents=contents) as folder:
            for name in ("generator", "bank") if self.recommended else ():
                if (self.folder / name).is_dir():
                    shutil.copytree(self.folder / name, folder / name)
            dataclasses.replace(self, folder=folder).write()
        return RecommendedPolicy.load(target)

    @classmethod
    def load(cls, path: str | Path) -> RecommendedPolicy:
        """Open a policy by its file or folder.

        Raises:
            FormatError: If there is none, or it is damaged.
        """
        file = read_policy_file(path)
        gain = file.values.get("gain")
        if gain is not None:
            gain = {name: value for name, value in gain.items() if name != "verdict"}
            gain = PairedDifference(**(gain | {"differences": tuple(gain["differences"])}))
        return cls(
            recommended=file.recommended,
            policy=Policy.from_dict(file.policy),
            classifier=dict(file.values.get("classifier") or {}),
            gain=gain,
            words=str(file.values.get("words", "")),
            classes=file.classes,
            image_shape=file.image_shape,
            folder=file.path.parent,
        )
