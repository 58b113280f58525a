"""The two-sample classifier: what it finds, and what copies do to it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from bulkgen.fidelity import Cells
from bulkgen.fidelity.discrimination import discrimination_metrics, two_sample_auroc
from bulkgen.fidelity.view import Undefined

ALONE = np.full(200, -1)


def normal(seed, shift=0.0):
    return shift + np.random.default_rng(seed).normal(size=(200, 5))


def test_one_law_gives_one_half_and_a_shift_more():
    logistic = LogisticRegression()
    # two samples of 200: the standard error of an AUROC is about 0.03
    assert two_sample_auroc(logistic, (normal(1), normal(2)), (ALONE, ALONE), seed=0) == pytest.approx(0.5, abs=0.09)
    weak = two_sample_auroc(logistic, (normal(1), normal(2, 0.2)), (ALONE, ALONE), seed=0)
    strong = two_sample_auroc(logistic, (normal(1), normal(2, 1.0)), (ALONE, ALONE), seed=0)
    assert 0.55 < weak < strong
    assert strong > 0.9


def test_copies_of_the_real_cells_are_seen_as_real_unless_donors_share_a_fold():
    real = normal(3)
    copies = real + 0.01 * normal(4)
    nearest = KNeighborsClassifier(1)
    donor = np.arange(200)
    cheated = two_sample_auroc(nearest, (real, copies), (ALONE, ALONE), seed=0)
    honest = two_sample_auroc(nearest, (real, copies), (donor, donor), seed=0)
    assert cheated < 0.3
    assert honest == pytest.approx(0.5, abs=0.09)


def test_many_copies_of_a_few_donors_are_not_recognised_by_each_other():
    real, few = normal(5), normal(6)[:20]
    donor = np.arange(200) % 20
    copies = few[donor] + 0.01 * normal(7)
    nearest = KNeighborsClassifier(5)
    cheated = two_sample_auroc(nearest, (real, copies), (ALONE, ALONE), seed=0)
    honest = two_sample_auroc(nearest, (real, copies), (ALONE, 1000 + donor), seed=0)
    assert cheated > 0.85
    assert abs(honest - 0.5) < 0.2


def test_one_donor_for_all_leaves_nothing_to_learn_from():
    with pytest.raises(Undefined, match="share one donor"):
        two_sample_auroc(LogisticRegression(), (normal(1), normal(2)), (ALONE, np.zeros(200, int)), seed=0)


def test_synthetic_cells_share_the_group_of_their_donor(space, training):
    rows = training.rows("control")[:50]
    made = training.as_synthetic().take(np.concatenate([rows, training.rows("drug a"), training.rows("drug b")]))
    assert space.view(made)["control"].fold_groups.tolist() == rows.tolist()
    grouped = Cells(training.counts, training.labels, training.genes, group=np.arange(len(training)) // 10)
    test = space.test.cells
    other = Cells(test.counts, test.labels, test.genes, group=100 + np.arange(len(test)))
    view = type(space).fit(grouped, other, key=1).view(made)
    assert view["control"].fold_groups.tolist() == (rows // 10).tolist()


def test_the_forest_finds_lost_dependence_that_a_linear_model_does_not(space, make_cells):
    alike = discrimination_metrics(space, space.view(make_cells(150, 3)), "drug a")
    apart = discrimination_metrics(space, space.view(make_cells(150, 3, dependent=False)), "drug a")
    # two samples of 150: the standard error of an AUROC is 0.033
    assert alike["auroc_linear"] == pytest.approx(0.5, abs=0.1)
    assert alike["auroc_forest"] == pytest.approx(0.5, abs=0.1)
    assert apart["auroc_forest"] > 0.8
    assert apart["auroc_forest"] > apart["auroc_linear"]
