"""What generators refuse, and what they say then."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import bulkgen
from bulkgen.errors import CountsError, GeneOverlapError, LabelError
from count_cases import make_cells
from generator_cases import CASES, samples, three_classes


@pytest.fixture(scope="module")
def cells():
    return three_classes()


@pytest.fixture(scope="module")
def profiles(cells):
    return bulkgen.bulk_profiles(cells, by="label")


@pytest.fixture(scope="module")
def bulk(cells):
    """Measured samples, two of each class."""
    rng = np.random.default_rng(0)
    return samples(rng.poisson(300, (6, cells.n_vars)), label=["ctrl", "ctrl", "up", "up", "down", "down"])


@pytest.fixture(scope="module")
def tpm(bulk):
    """The same in transcripts per million."""
    values = bulk.X / bulk.X.sum(axis=1, keepdims=True) * 1e6
    return samples(values, unit="tpm", label=bulk.obs["label"].tolist())


LEARNING = ["thin", "multinomial", "poisson", "negative_binomial", "copula", "donor_shift"]


@pytest.mark.parametrize("method", LEARNING)
def test_an_unknown_control_is_named_with_those_that_there_are(cells, method):
    with pytest.raises(
        LabelError, match=r"control='DMSO' names no stratum of the reference; values of 'label': .*ctrl"
    ):
        bulkgen.synthesize(cells, by="label", method=method, control="DMSO")


@pytest.mark.parametrize("method", LEARNING)
def test_too_few_control_cells(cells, profiles, method):
    few = cells[np.r_[0:9, 80:180]].copy()
    with pytest.raises(LabelError, match=r"9 cell\(s\) of control 'ctrl' with counts, but at least 10 .*control_by"):
        bulkgen.synthesize(profiles, reference=few, method=method, control="ctrl")
    empty = few.copy()
    empty.X = sp.csr_matrix(few.shape, dtype=np.float32)
    with pytest.raises(LabelError, match=r"0 cell\(s\) of control 'ctrl' with counts"):
        bulkgen.synthesize(profiles, reference=empty, method=method, control="ctrl")


def test_cells_without_counts_are_no_donors(cells, profiles):
    some = cells.copy()
    dense = cells.X.toarray()
    dense[:40] = 0
    some.X = sp.csr_matrix(dense)
    made = bulkgen.synthesize(profiles, reference=some, method="donor_shift", control="ctrl", n_cells=100)
    assert made.obs["donor"].between(40, 79).all()
    assert made.X.sum(axis=1).min() > 0


@pytest.mark.parametrize("method", LEARNING)
def test_control_by_needs_a_control_and_a_grouping_column(cells, method):
    if method != "donor_shift":
        with pytest.raises(ValueError, match="control_by needs control="):
            bulkgen.synthesize(cells, by=["label", "type"], method=method, control_by=["type"])
    for columns in (["label"], ["label", "type"]):
        with pytest.raises(LabelError, match=r"control_by names 'patient', but cells are grouped by 'label'.*add the"):
            bulkgen.synthesize(cells, by=columns, method=method, control="ctrl", control_by=["patient"])
    with pytest.raises(LabelError, match="control_by names 'label'"):
        bulkgen.synthesize(cells, by=["label", "type"], method=method, control="ctrl", control_by=["label"])


def test_a_stratum_without_a_control_of_its_own(cells):
    both = cells[~((cells.obs["label"] == "ctrl") & (cells.obs["type"] == "T")).to_numpy()].copy()
    with pytest.raises(LabelError, match=r"reference has no control \(label 'ctrl'\) of type 'T'; use fewer columns"):
        bulkgen.synthesize(both, by=["label", "type"], method="donor_shift", control="ctrl", control_by=["type"])


@pytest.mark.parametrize("method", ["negative_binomial", "copula"])
def test_ratios_need_a_control(cells, method):
    with pytest.raises(ValueError, match=r"mean='ratio' needs control="):
        bulkgen.synthesize(cells, by="label", method=method, mean="ratio")


def test_donor_shift_needs_a_control(cells):
    with pytest.raises(ValueError, match="donor_shift needs control="):
        bulkgen.synthesize(cells, by="label", method="donor_shift")


@pytest.mark.parametrize(
    ("method", "parameters", "why"),
    [
        ("thin", {}, "thinning keeps or drops single molecules"),
        ("donor_shift", {"control": "ctrl"}, "how sure a ratio is depends on how many molecules were counted"),
        ("negative_binomial", {"control": "ctrl", "mean": "ratio"}, "how sure a ratio is"),
        ("copula", {"control": "ctrl", "mean": "ratio"}, "how sure a ratio is"),
        ("mixture", {"states": "type"}, "how sure a ratio is"),
    ],
)
def test_transcripts_per_million_are_refused_where_counts_matter(cells, tpm, method, parameters, why):
    with pytest.raises(ValueError, match=f"the bulk is in TPM, but {why}.*; pass the counts that it was made from"):
        bulkgen.synthesize(tpm, by="label", reference=cells, method=method, **parameters)


@pytest.mark.parametrize("method", ["negative_binomial", "multinomial", "poisson", "copula", "truncated_gaussian"])
def test_transcripts_per_million_are_a_profile(cells, bulk, tpm, method):
    made = bulkgen.synthesize(tpm, by="label", reference=cells, method=method, n_cells=2000)
    real = np.asarray(cells.X.sum(axis=1)).mean()
    for label, rows in (("ctrl", [0, 1]), ("up", [2, 3])):
        here = np.asarray(made[made.obs["label"] == label].X.sum(axis=0)).ravel()
        if method != "truncated_gaussian":  # whose bounds, those of the cells, pull its mean
            assert here.sum() / 2000 == pytest.approx(real, rel=0.05)
            share = bulk.X[rows] / bulk.X[rows].sum(axis=1, keepdims=True)
            np.testing.assert_allclose(here / here.sum(), share.mean(axis=0), rtol=0.3)


@pytest.mark.parametrize("name", CASES)
def test_bulk_samples_are_no_reference_cells(cells, bulk, name):
    method, parameters = CASES[name]
    words = r"bulk samples hold no single cells: pass reference= \(--reference\), the real cells to learn from"
    for options in ({"by": "label"}, {"by": "label", "reference": bulk}):
        with pytest.raises(ValueError, match=words):
            bulkgen.synthesize(bulk, method=method, **options, **parameters)
    with pytest.raises(ValueError, match=words):
        bulkgen.synthesize(bulkgen.bulk_profiles(bulk, by="label"), method=method, **parameters)


def test_samples_must_be_grouped(cells, bulk):
    with pytest.raises(ValueError, match=r"bulk holds bulk samples: say which columns to aggregate by with by="):
        bulkgen.synthesize(bulk, reference=cells)
    made = bulkgen.synthesize(bulk, by="label", reference=cells, method="donor_shift", control="ctrl", n_cells=3)
    assert made.obs["label"].astype(str).tolist() == ["ctrl"] * 3 + ["down"] * 3 + ["up"] * 3


@pytest.mark.parametrize("method", LEARNING)
def test_the_reference_must_have_the_label_where_a_control_is_named(cells, profiles, method):
    unlabelled = cells.copy()
    del unlabelled.obs["label"]
    with pytest.raises(LabelError, match="no column 'label'"):
        bulkgen.synthesize(profiles, reference=unlabelled, method=method, control="ctrl")


def test_an_overlap_too_small_names_what_brings_genes_together(cells, profiles):
    other = cells.copy()
    other.var_names = [f"SYMBOL{i}" for i in range(cells.n_vars)]
    with pytest.raises(GeneOverlapError, match=r"0 of the 60 genes.*same kind of gene id\? bulkgen.match_genes brings"):
        bulkgen.synthesize(profiles, reference=other, method="multinomial")


def test_donors_must_be_whole_counts(cells, profiles):
    fractional = cells.copy()
    fractional.X = cells.X * 0.5
    for method, parameters in (CASES["donor_shift"], CASES["mixture"], CASES["pseudobulk"]):
        with pytest.raises(CountsError, match=r"whole|integer"):
            bulkgen.synthesize(profiles, reference=fractional, method=method, **parameters)


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("donor_shift", {"renoise": 1.0}),
        ("donor_shift", {"renoise": -0.1}),
        ("donor_shift", {"heterogeneity": 1.5}),
        ("donor_shift", {"dose": -1}),
        ("donor_shift", {"dose": float("inf")}),
        ("donor_shift", {"pairing": "random"}),
        ("multinomial", {"concentration": 0}),
        ("multinomial", {"concentration": "guess"}),
        ("multinomial", {"library_sizes": "normal"}),
        ("copula", {"factors": 0}),
        ("negative_binomial", {"mean": "relative"}),
        ("mixture", {"states": "type", "fractions": "svr"}),
        ("pseudobulk", {"k": 0}),
    ],
    ids=str,
)
def test_parameters_out_of_range_are_named(method, parameters):
    name = list(parameters)[-1]
    with pytest.raises(ValueError, match=rf"^'{name}' of method '{method}' must be .*, got .* \(parameters: "):
        bulkgen.synthesize("nothing.h5ad", by="label", method=method, **parameters)


def test_mixture_needs_its_states():
    with pytest.raises(ValueError, match=r"^'states' of method 'mixture' must be given"):
        bulkgen.synthesize("nothing.h5ad", by="label", method="mixture")


def test_a_reference_without_any_counts(profiles, cells):
    empty = make_cells(sp.csr_matrix(cells.shape, dtype=np.float32), label=cells.obs["label"].to_numpy())
    with pytest.raises(LabelError, match=r"the reference has 0 cell\(s\) with counts, but at least 10"):
        bulkgen.synthesize(profiles, reference=empty, method="poisson")
