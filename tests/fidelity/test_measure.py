"""The whole table: its shape, its ceiling, its floor, and what it says of bad input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from bulkgen.errors import CountsError, GeneOverlapError, LabelError
from bulkgen.fidelity import GROUPS, MACRO, MEASURES, METRICS, Cells, Metric, Space, measure

CELL_GROUPS = [group for group in MEASURES if group != "tokens"]
#: Without classifiers, which take most of the time.
QUICK_GROUPS = [group for group in CELL_GROUPS if group != "discrimination"]


def macro(table):
    return table[table.label == MACRO].set_index("metric").value


@pytest.fixture(scope="module")
def ceiling(space, training):
    return measure(space, training.as_synthetic(), groups=CELL_GROUPS)


@pytest.fixture(scope="module")
def floor(space, training):
    """Poisson cells with the mean of the class."""
    rng = np.random.default_rng(7)
    rows = [space.training[label].moments[0] for label in space.labels]
    counts = np.concatenate([rng.poisson(mean, (150, len(mean))) for mean in rows]).astype(np.float32)
    cells = Cells(sp.csr_matrix(counts), np.repeat(np.array(space.labels, dtype=object), 150), training.genes)
    return measure(space, cells, groups=CELL_GROUPS)


def test_every_metric_is_in_a_group_and_every_group_has_one():
    assert {metric.group for metric in METRICS.values()} == set(GROUPS)
    assert list(METRICS) == [metric.name for metric in METRICS.values()]


def test_the_table_has_each_metric_for_each_class_and_their_mean(ceiling, space):
    names = [metric.name for metric in METRICS.values() if metric.group in CELL_GROUPS]
    assert list(ceiling.columns) == ["metric", "group", "label", "value", "note"]
    assert ceiling.metric.unique().tolist() == names
    for name, rows in ceiling.groupby("metric"):
        assert rows.label.tolist() == [*space.labels, MACRO]
        mean = np.nanmean(rows.value.to_numpy()[:-1])
        assert rows.value.iloc[-1] == pytest.approx(mean), name
    assert (ceiling.value.isna() == (ceiling.note != "")).where(ceiling.label != MACRO, other=True).all()


def test_the_control_has_no_effect_and_the_mean_says_so(ceiling):
    rows = ceiling[ceiling.metric == "fold_change_slope"].set_index("label")
    assert np.isnan(rows.value["control"])
    assert rows.note["control"] == "this is the control class"
    assert rows.note[MACRO] == "without control"


def test_real_cells_beat_poisson_cells_in_every_group_that_poisson_cells_should_lose(ceiling, floor):
    real, poisson = macro(ceiling), macro(floor)
    for name, metric in METRICS.items():
        # Poisson cells have the right means and fold changes, and are no copies
        if metric.group in ("cells", "dependence", "discrimination", "distribution") and name not in (
            "precision",
            "gene_mean_concordance",
        ):
            assert metric.badness(real[name]) < metric.badness(poisson[name]), name
    assert real["closest_record_median"] < 0.01 < poisson["closest_record_median"]


def test_the_ceiling_is_near_perfection(ceiling):
    real = macro(ceiling)
    # two samples of 450 cells: the standard error of the mean AUROC of three classes is 0.02
    assert real["auroc_linear"] == pytest.approx(0.5, abs=0.08)
    assert real["auroc_forest"] == pytest.approx(0.5, abs=0.08)
    assert abs(real["energy_distance"]) < 0.01
    assert real["density"] == pytest.approx(1, abs=0.15)
    assert real["coverage"] > 0.9


def test_a_table_is_the_same_every_time(space, training, ceiling):
    again = Space.fit(training, space.test.cells, control="control", key=5)
    assert measure(again, training.as_synthetic(), groups=CELL_GROUPS).equals(ceiling)


def test_groups_can_be_measured_one_at_a_time(space, training, ceiling):
    table = measure(space, training.as_synthetic(), groups=["copying"])
    assert table.equals(ceiling[ceiling.group == "copying"].reset_index(drop=True))


def test_test_cells_have_no_say_in_the_representation(space, training, make_cells):
    other = Space.fit(training, make_cells(20, 99, shift=3.0), key=5)
    for name in ("expressed", "variable", "center", "axes", "scale", "target"):
        assert np.array_equal(getattr(other.representation, name), getattr(space.representation, name)), name


def test_axes_are_kept_only_as_far_as_they_hold_for_new_cells(space):
    coordinates = [view["control"].coordinates for view in (space.training, space.test)]
    assert 2 <= coordinates[0].shape[1] < 10
    # genes vary along two programs and two effects; an axis of noise would be half as long for test cells
    ratio = coordinates[1].var(axis=0).sum() / coordinates[0].var(axis=0).sum()
    assert ratio == pytest.approx(1, abs=0.2)


def test_cells_without_counts_are_measured_too(space, make_cells):
    cells = make_cells(150, 3)
    has_counts = (np.arange(len(cells)) % 5 > 0).astype(np.float32)
    counts = sp.csr_matrix(cells.counts.multiply(has_counts[:, None]))
    table = measure(space, replace(cells, counts=counts), groups=CELL_GROUPS)
    assert table[(table.metric != "nearest_is_donor") & (table.note == "")].value.notna().all()
    assert macro(table)["library_size_ks"] == pytest.approx(0.2, abs=0.05)
    nothing = measure(space, replace(cells, counts=sp.csr_matrix(counts.shape, dtype=np.float32)), groups=QUICK_GROUPS)
    assert set(nothing[nothing.metric == "fold_change_slope"].note[1:3]) == {"no cell has counts"}


def test_explicit_zeros_change_nothing(space, make_cells):
    cells = make_cells(150, 3)
    dense = cells.counts.toarray()
    every = sp.csr_matrix(np.ones_like(dense))
    every.data = dense.ravel()
    a, b = (measure(space, replace(cells, counts=counts), groups=QUICK_GROUPS) for counts in (cells.counts, every))
    assert np.allclose(a.value, b.value, equal_nan=True, rtol=1e-5)


def test_a_class_of_few_cells_has_no_value_and_the_reason(space, make_cells):
    cells = make_cells(150, 3)
    few = cells.take(np.concatenate([cells.rows("control"), cells.rows("drug a")[:4], cells.rows("drug b")]))
    rows = measure(space, few, groups=["cells"]).query("metric == 'gene_ks'").set_index("label")
    assert rows.note["drug a"] == "4 synthetic cells, 10 are needed"
    assert np.isnan(rows.value["drug a"])
    assert rows.note[MACRO] == "without drug a"
    assert rows.value[MACRO] == pytest.approx(rows.value[["control", "drug b"]].mean())


@pytest.mark.parametrize("control", [None, "control"])
def test_ten_cells_of_each_kind_are_enough(make_cells, control):
    training = make_cells(10, 1)
    space = Space.fit(training, make_cells(10, 2), control=control, key=1)
    table = measure(space, training.as_synthetic(), groups=CELL_GROUPS)
    # of ten cells correlations are noise, and that is said
    notes = set(table[(table.label != MACRO) & (table.metric != "correlation_slope")].note) - {""}
    assert notes == ({"this is the control class"} if control else set())


def test_one_training_cell_of_a_class_leaves_the_rest_to_be_measured(make_cells):
    cells = make_cells(30, 1)
    training = cells.take(np.concatenate([cells.rows("control"), cells.rows("drug a")[:1], cells.rows("drug b")]))
    space = Space.fit(training, make_cells(30, 2), control="control", key=1)
    table = measure(space, make_cells(30, 3), groups=QUICK_GROUPS).set_index(["metric", "label"])
    assert table.note["fold_change_slope", "drug a"] == "one cell of 'drug a' has no variance"
    assert "not found again" in table.note["correlation_slope", "drug a"]
    assert np.isfinite(table.value["gene_ks", "drug a"])


def test_a_missing_class_is_refused(space, make_cells):
    cells = make_cells(50, 3)
    with pytest.raises(LabelError, match="no synthetic cell has the label 'drug b'"):
        measure(space, cells.take(np.flatnonzero(cells.labels != "drug b")))


def test_an_unknown_class_is_refused(space, make_cells):
    cells = make_cells(50, 3)
    labels = cells.labels.copy()
    labels[0] = "drug c"
    with pytest.raises(LabelError, match="'drug c', which no real training cell has"):
        measure(space, replace(cells, labels=labels))


def test_other_genes_are_refused(space, make_cells):
    cells = make_cells(50, 3)
    with pytest.raises(GeneOverlapError, match="the real cells have 600 genes, the synthetic cells 500"):
        measure(space, replace(cells, counts=cells.counts[:, :500], genes=cells.genes[:500]))


def test_a_donor_that_is_no_training_cell_is_refused(space, make_cells):
    with pytest.raises(ValueError, match="rows of the 450 training cells"):
        measure(space, replace(make_cells(50, 3), donor=np.full(150, 450)))


def test_an_unknown_group_is_refused(space, training):
    with pytest.raises(ValueError, match=r"metrics must be among 'tokens', .*got 'utility'"):
        measure(space, training, groups=["utility"])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"control": "vehicle"}, LabelError, "control is 'vehicle', but the labels are 'control'"),
        ({"group": True}, ValueError, "either both or neither"),
        ({"one": True}, LabelError, "two classes at least"),
        ({"empty": True}, CountsError, "0 of 60 real training cells have counts"),
        ({"alike": True}, CountsError, "0 vary"),
    ],
)
def test_real_cells_that_cannot_be_compared_by_are_refused(make_cells, change, error, message):
    training, test = make_cells(20, 1), make_cells(20, 2)
    if "group" in change:
        training = replace(training, group=np.arange(60))
    if "one" in change:
        training, test = (cells.take(cells.rows("control")) for cells in (training, test))
    if "empty" in change:
        training = replace(training, counts=sp.csr_matrix(training.counts.shape, dtype=np.float32))
    if "alike" in change:
        training = replace(training, counts=sp.csr_matrix(np.ones(training.counts.shape, np.float32)))
    with pytest.raises(error, match=message):
        Space.fit(training, test, control=change.get("control"), key=1)


@pytest.mark.parametrize(
    ("better", "value", "expected"),
    [
        ("lower", 0.7, 0.2),
        ("lower", 0.3, 0.0),
        ("higher", 0.3, 0.2),
        ("higher", 0.7, 0.0),
        ("toward", 0.3, 0.2),
        ("toward", 0.7, 0.2),
    ],
)
def test_badness_counts_only_the_wrong_side(better, value, expected):
    assert Metric("m", "cells", better, 0.5, "").badness(value) == pytest.approx(expected)
