"""Scores of ready-made cells."""

from __future__ import annotations

import numpy as np
import pytest

import bulkgen
from bulkgen.errors import GeneOverlapError, LabelError
from fidelity.drug_cells import LABELS, made_up_cells


@pytest.fixture(scope="module")
def results():
    """More cells of the real ones' law, three times as many, with the genes in another order."""
    everything = made_up_cells(1, per_label=120)
    order = np.random.default_rng(0).permutation(everything.n_vars)
    real, synthetic = everything[:120].copy(), everything[120:, order].copy()
    return bulkgen.score_cells(synthetic, real, label="drug", seeds=1, name="good")


def test_cells_of_the_same_law_score_as_the_ceiling_does(results):
    assert results.methods == ("real", "good", "poisson_floor")
    for metric in ("library_size_ks", "gene_mean_concordance", "auroc_linear"):
        assert results.value("good", metric)[0] == pytest.approx(results.value("real", metric)[0], abs=0.2)
    assert results.value("good", "tstr_balanced_accuracy", model="linear")[0] > 0.8
    assert results.failures == []


def test_ceiling_is_one_half_of_the_real_cells_against_the_other(results):
    for trial in results.settings["trials"]:
        for label in LABELS:
            assert abs(trial["train"][label] - trial["test"][label]) <= 1


def test_all_have_as_many_cells_of_a_class_as_there_are_of_both_kinds():
    everything = made_up_cells(1, per_label=120)
    real, synthetic = everything[:120].copy(), everything[120:].copy()
    few = synthetic[np.sort(np.concatenate([np.flatnonzero(synthetic.obs["drug"] == label)[:15] for label in LABELS]))]
    trial = bulkgen.score_cells(few.copy(), real, label="drug", seeds=1, metrics=["cells"]).settings["trials"][0]
    assert trial["generated"] == trial["ceiling"] == dict.fromkeys(LABELS, 15)
    assert min(trial["train"].values()) > 15


def test_cells_they_were_made_from_are_the_ceiling_where_given():
    everything = made_up_cells(3, per_label=90)
    train, test = everything[:150].copy(), everything[150:].copy()
    copies = train.copy()
    copies.obs["donor"] = copies.obs_names
    copies.obs_names = [f"copy{i}" for i in range(copies.n_obs)]
    found = bulkgen.score_cells(
        copies, test, label="drug", train=train, seeds=1, name="copies", metrics=["cells", "copying"]
    )
    assert found.settings["trials"][0]["train"] == train.obs["drug"].value_counts().to_dict()
    assert found.value("copies", "nearest_is_donor")[0] == 1
    assert found.value("copies", "library_size_ks")[0] == found.value("real", "library_size_ks")[0]


def test_donors_by_number_are_used_only_with_the_cells_that_the_numbers_are_of():
    everything = made_up_cells(3, per_label=90)
    train, test = everything[:150].copy(), everything[150:].copy()
    bulk = bulkgen.bulk_profiles(train, by="drug")
    made = bulkgen.synthesize(bulk, reference=train, method="donor_shift", control="none", n_cells=40)
    assert made.obs["donor"].dtype.kind == "i"
    options = {"label": "drug", "seeds": 1, "metrics": ["copying"], "threads": 1}
    own = bulkgen.score_cells(made, test, train=train, **options)
    assert own.value("synthetic", "nearest_is_donor", label="none")[0] == 1
    with pytest.warns(UserWarning, match="not among the cells of train"):
        other = bulkgen.score_cells(made, test, train=train[::-1].copy(), **options)
    assert np.isnan(other.value("synthetic", "nearest_is_donor")[0])


def test_scoring_on_the_cells_learned_from_is_told():
    real = made_up_cells()
    made = bulkgen.synthesize(real, by="drug", method="donor_shift", control="none", n_cells=20)
    with pytest.warns(UserWarning, match="learned from the very cells that they are measured against"):
        bulkgen.score_cells(made, real, label="drug", seeds=1, metrics=["cells"], threads=1)


def test_cells_that_do_not_fit_are_refused():
    real = made_up_cells()
    few_genes = made_up_cells(n_genes=30)
    with pytest.raises(GeneOverlapError, match="30 of the 80 genes"):
        bulkgen.score_cells(few_genes, real, label="drug")
    without = real[real.obs["drug"] != "low"].copy()
    with pytest.raises(LabelError, match="'low'"):
        bulkgen.score_cells(without, real, label="drug", seeds=1)
    with pytest.raises(ValueError, match="metrics must be among"):
        bulkgen.score_cells(few_genes, real, label="drug", metrics=["beauty"])
    with pytest.raises(ValueError, match="names a row of the results"):
        bulkgen.score_cells(real, real, label="drug", name="real")
