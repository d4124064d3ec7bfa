from __future__ import annotations

from synthaug.recommendation.candidates.maker import GeneratorMaker
from synthaug.recommendation.candidates.space import Candidate
from synthaug.sampling import SampleBank


def test_filters_are_fitted_once_a_part(digits, tmp_path, monkeypatch):
    from synthaug.recommendation.bookkeeping.clock import Clock, Costs
    from synthaug.recommendation.bookkeeping.journal import Journal
    from synthaug.recommendation.candidates import maker

    fitted, drawn_by = [], []

    def fit_curation(part, steps, seed, device):
        fitted.append((part.digest, steps))
        return f"filters of {part.digest}"

    def curated_bank(generator, curation, counts, *, seed):
        drawn_by.append(curation)
        images = generator.sample_named([0] * 2, range(2), seed)
        return SampleBank.from_arrays(images, [0] * 2, generator.classes)

    monkeypatch.setattr(maker, "fit_curation", fit_curation)
    monkeypatch.setattr(maker, "curated_bank", curated_bank)
    tiny = {"vae": {"width": 8, "latent_dim": 6, "class_dim": 4, "components": 2}}
    journal = Journal(tmp_path / "trials", Clock(1e9), Costs())
    made = GeneratorMaker(tmp_path / "g", journal, seconds_each=9, seed=0, settings=tiny, steps=1)
    made.curation_steps = 60
    parts = digits.split(0.5, seed=0)
    before = made.seconds(parts[0], Candidate(curated=True))
    assert before == 9 + 4.5
    for ratio in (0.5, 1.0):
        for part in parts:
            assert len(made.bank(part, Candidate(curated=True, ratio=ratio), None)) == 2
    assert fitted == [(part.digest, 60) for part in parts]
    assert drawn_by == [f"filters of {part.digest}" for part in parts] * 2
    assert made.seconds(parts[0], Candidate(curated=True)) < before
