from __future__ import annotations

import numpy as np
import pytest

from synthaug.classifiers.calibration import true_class_probability
from synthaug.classifiers.judgement import judge
from synthaug.errors import DataError


def test_both_yardsticks_weigh_classes_alike_unless_accuracy_is_asked_for():
    logits = np.array([[3.0, 0.0], [2.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    labels = np.array([0, 0, 0, 1])
    balanced, plain = judge(logits, labels), judge(logits, labels, "accuracy")

    assert balanced.hits.tolist() == plain.hits.tolist() == [True, True, True, False]
    assert balanced.scores == plain.scores
    rows = balanced.beliefs
    assert balanced.probability == pytest.approx((rows[:3].mean() + rows[3]) / 2)
    assert plain.probability == pytest.approx(plain.beliefs.mean())
    assert plain.beliefs == pytest.approx(true_class_probability(logits, labels), rel=1e-3)


def test_a_class_without_images_has_no_recall_and_counts_nothing():
    found = judge(np.array([[3.0, 0.0, -9.0], [2.0, 3.0, -9.0]]), np.array([0, 1]))
    assert found.scores.recall == (1.0, 1.0, None)
    assert found.probability == pytest.approx(found.beliefs.mean())


def test_no_images_are_refused():
    with pytest.raises(DataError, match="N of 1 or more"):
        judge(np.zeros((0, 3)), np.zeros(0, int))
