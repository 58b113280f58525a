"""Copies are found, new cells are not taken for copies."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from bulkgen.fidelity import Cells, Space
from bulkgen.fidelity.copying import copying_metrics
from bulkgen.fidelity.view import Undefined


def thinned(cells, probability, seed):
    data = np.random.default_rng(seed).binomial(cells.counts.data.astype(int), probability).astype(np.float32)
    counts = sp.csr_matrix((data, cells.counts.indices.copy(), cells.counts.indptr.copy()), shape=cells.counts.shape)
    counts.eliminate_zeros()
    return Cells(counts, cells.labels, cells.genes, donor=np.arange(len(cells)))


def test_exact_copies_are_at_distance_zero_from_their_donors(space, training):
    values = copying_metrics(space, space.view(training.as_synthetic()), "drug a")
    assert values["nearest_is_donor"] == 1
    assert values["closest_record_median"] == pytest.approx(0, abs=1e-4)
    assert values["singled_out"] == 1


def test_the_nearest_cell_is_found_by_brute_force(space, make_cells):
    made = space.view(make_cells(150, 3))
    values = copying_metrics(space, made, "drug a")
    training = space.representation.directions(space.training.cells.counts).toarray()

    def closest(cells):
        return np.sort(1 - space.representation.directions(cells.counts).toarray() @ training.T, axis=1)[:, :2]

    real, synthetic = closest(space.test["drug a"]), closest(made["drug a"])
    expected = np.median(synthetic[:, 0]) / np.median(real[:, 0])
    assert values["closest_record_median"] == pytest.approx(expected, rel=1e-4)
    real_ratio, ratio = (distance[:, 0] / distance[:, 1] for distance in (real, synthetic))
    assert values["singled_out"] == pytest.approx(np.mean(ratio < np.quantile(real_ratio, 0.05)), abs=0.01)


def test_new_cells_of_the_same_law_are_as_far_as_held_out_ones(space, make_cells):
    values = copying_metrics(space, space.view(make_cells(150, 3)), "drug a")
    assert values["closest_record_median"] == pytest.approx(1, abs=0.05)
    assert values["closest_record_low"] == pytest.approx(1, abs=0.1)
    # binomial of 150 cells at 5 %: four standard errors are 7 %; the quantile of 150 held-out cells is as uncertain
    assert values["singled_out"] < 0.15
    assert isinstance(values["nearest_is_donor"], Undefined)


def test_thinning_hides_a_copy_the_more_the_fewer_molecules_it_keeps(space, training):
    values = [copying_metrics(space, space.view(thinned(training, p, 1)), "drug b") for p in (0.9, 0.7, 0.4)]
    for name, sign in (("closest_record_median", 1), ("singled_out", -1)):
        assert (np.diff([sign * value[name] for value in values]) >= 0).all(), name
    assert all(value["nearest_is_donor"] > 0.9 for value in values)


def test_a_wrong_donor_is_not_the_nearest(space, training):
    cells = training.as_synthetic()
    wrong = Cells(cells.counts, cells.labels, cells.genes, donor=np.roll(cells.donor, 1))
    assert copying_metrics(space, space.view(wrong), "drug a")["nearest_is_donor"] == 0


def test_cells_without_a_donor_are_left_out(space, training):
    cells = training.as_synthetic()
    donor = np.where(np.arange(len(cells)) % 2, cells.donor, -1)
    half = Cells(cells.counts, cells.labels, cells.genes, donor=donor)
    assert copying_metrics(space, space.view(half), "drug a")["nearest_is_donor"] == 1


def test_held_out_cells_that_are_training_cells_leave_no_scale(training):
    same = Space.fit(training, training, key=1)
    with pytest.raises(Undefined, match="also among the training cells"):
        copying_metrics(same, same.view(training), "drug a")


def test_cells_without_noise_are_near_to_all_and_single_out_none(space, training):
    mean = np.stack([space.training[label].moments[0] for label in training.labels]).astype(np.float32)
    values = copying_metrics(space, space.view(Cells(sp.csr_matrix(mean), training.labels, training.genes)), "drug a")
    assert values["closest_record_median"] < 0.9
    assert values["singled_out"] < 0.15
