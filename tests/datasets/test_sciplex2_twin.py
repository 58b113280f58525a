"""What the simulated twin promises: the published facts of sci-Plex2, and that it says it is simulated."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import bulkgen
from bulkgen.datasets import SCIPLEX2_LABEL_COUNTS, SCIPLEX2_MARKERS, sciplex2_twin
from bulkgen.datasets.twin import _strata

DRUGS = ("BMS", "Dex", "Nutlin", "SAHA")


@pytest.fixture(scope="module")
def twin():
    return sciplex2_twin(1500, rng=0)


@pytest.fixture(scope="module")
def small():
    return sciplex2_twin(200, 1000, rng=3)


def _profile(twin, label):
    counts = np.asarray(twin.X[(twin.obs["treated_label"] == label).to_numpy()].sum(axis=0)).ravel()
    return counts / counts.sum()


def test_default_strata_have_the_published_counts():
    assert {label: n for label, _, n in _strata(None, (0.0, 10.0))} == SCIPLEX2_LABEL_COUNTS
    assert sum(SCIPLEX2_LABEL_COUNTS.values()) == 5565


def test_label_counts_keep_the_published_imbalance(twin):
    counts = twin.obs["treated_label"].value_counts()
    assert counts.sum() == 1500
    for label, published in SCIPLEX2_LABEL_COUNTS.items():
        assert counts[label] == pytest.approx(1500 * published / 5565, abs=1)
    assert (twin.obs["drug"] == twin.obs["treated_label"]).all()


@pytest.mark.parametrize("n_cells", [5, 6, 17, 600, 5565])
def test_any_number_of_cells_is_met_exactly(n_cells):
    strata = _strata(n_cells, (0.0, 10.0))
    assert sum(n for _, _, n in strata) == n_cells
    assert min(n for _, _, n in strata) >= 1


def test_dose_decides_the_label(twin):
    untreated = (twin.obs["treated_label"] == "Untreated").to_numpy()
    assert (twin.obs["dose"].to_numpy()[untreated] == 0.0).all()
    assert (twin.obs["dose"].to_numpy()[~untreated] == 10.0).all()


def test_counts_are_raw_integers_in_canonical_csr(twin):
    assert sparse.issparse(twin.X)
    assert twin.X.format == "csr"
    assert twin.X.dtype == np.int32
    assert twin.X.data.min() >= 1
    assert twin.X.has_canonical_format


def test_median_library_size_is_the_published_one(twin):
    library = np.asarray(twin.X.sum(axis=1)).ravel()
    # a standard error of the median of 1,500 log-normal sizes is 70
    assert np.median(library) == pytest.approx(4811, abs=250)
    assert np.log(library).std() == pytest.approx(0.42, abs=0.06)


def test_genes_per_cell_are_as_published(twin):
    assert 2000 <= np.median(np.diff(twin.X.indptr)) <= 2500
    assert 0.86 <= 1.0 - twin.X.nnz / np.prod(twin.X.shape) <= 0.91


def test_counts_are_over_dispersed_more_so_in_lowly_expressed_genes(twin):
    cells = twin.X[(twin.obs["treated_label"] == "Untreated").to_numpy()].astype(np.float64)
    mean = np.asarray(cells.mean(axis=0)).ravel()
    variance = np.asarray(cells.multiply(cells).mean(axis=0)).ravel() - mean**2
    expressed = mean > 0.3
    assert np.mean(variance[expressed] > mean[expressed]) > 0.99
    # the variance that library sizes alone would give is taken off
    library = np.asarray(cells.sum(axis=1)).ravel()
    spread = np.mean((library / library.mean()) ** 2)
    mean, variance = mean[expressed], variance[expressed]
    dispersion = (variance - mean) / mean**2 - (spread - 1.0)
    low, high = mean < 1.0, mean > 5.0
    assert np.median(dispersion[low]) > np.median(dispersion[high]) > 0.03


def test_zeros_are_those_of_over_dispersed_counts(twin):
    cells = twin.X[(twin.obs["treated_label"] == "Untreated").to_numpy()]
    mean = np.asarray(cells.mean(axis=0)).ravel()
    zeros = 1.0 - np.bincount(cells.indices, minlength=cells.shape[1]) / cells.shape[0]
    # more zeros than equal Poisson cells would have, in hardly any gene many more
    some = (mean > 0.2) & (mean < 3.0)
    excess = zeros[some] - np.exp(-mean[some])
    assert 0.02 < np.median(excess) < 0.15
    assert np.quantile(excess, 0.99) < 0.3


@pytest.mark.real_data
def test_untreated_cells_resemble_real_a549_cells_of_their_depth(twin, shared_data):
    wells = bulkgen.read(shared_data / "scmix_5cl_celseq2.h5ad")
    wells = wells[(wells.obs["cell_line"] == "A549") & wells.obs["clean_singlet"]].copy()
    real = bulkgen.thin(wells, reference=twin, rng=0).X
    cells = twin.X[(twin.obs["treated_label"] == "Untreated").to_numpy()]
    genes = [np.median(np.diff(X.indptr)) for X in (cells, real)]
    assert genes[0] == pytest.approx(genes[1], rel=0.1)
    # genes of 0.2 to 3 UMI per cell: how many, and how much their counts scatter (twice at most: wells of one plate
    # scatter less than droplets or combinatorial barcodes do)
    moderate, scatter = [], []
    for X in (cells, real):
        values = X.astype(np.float64)
        mean = np.asarray(values.mean(axis=0)).ravel()
        variance = np.asarray(values.multiply(values).mean(axis=0)).ravel() - mean**2
        some = (mean > 0.2) & (mean < 3.0)
        moderate.append(some.sum())
        scatter.append(np.median(variance[some] / mean[some]))
    assert moderate[0] == pytest.approx(moderate[1], rel=0.2)
    assert 1.0 < scatter[1] < scatter[0] < 2.0 * scatter[1]


def test_genes_vary_together_within_a_label(twin):
    cells = twin.X[(twin.obs["treated_label"] == "Untreated").to_numpy()]
    top = np.argsort(-np.asarray(cells.mean(axis=0)).ravel())[:200]
    library = np.asarray(cells.sum(axis=1)).ravel()
    values = np.log1p(cells[:, top].toarray() / library[:, None] * 1e4)
    shuffled = np.random.default_rng(0).permuted(values, axis=0)
    off = ~np.eye(len(top), dtype=bool)
    # spread of the correlations; independent genes give 1 / sqrt(cells)
    assert np.corrcoef(values.T)[off].std() > 1.5 * np.corrcoef(shuffled.T)[off].std()


def test_nutlin_raises_its_markers_by_the_published_folds(twin):
    symbols = twin.var["symbol"].to_numpy()
    markers = np.array([int(np.flatnonzero(symbols == name)[0]) for name in SCIPLEX2_MARKERS])
    folds = twin.var["log2_fold_Nutlin"].to_numpy()[markers]
    np.testing.assert_allclose(folds, list(SCIPLEX2_MARKERS.values()), atol=1e-9)
    treated, control = _profile(twin, "Nutlin")[markers].sum(), _profile(twin, "Untreated")[markers].sum()
    # about 60 control UMI in all: a standard error of 0.2
    assert np.log2(treated / control) == pytest.approx(4.9, abs=0.7)
    for other in ("BMS", "Dex", "SAHA"):
        assert abs(np.log2(_profile(twin, other)[markers].sum() / control)) < 1.5


def test_drug_effects_are_ordered_as_published(twin):
    control = _profile(twin, "Untreated")
    fold = {drug: 2.0 ** twin.var[f"log2_fold_{drug}"].to_numpy() for drug in DRUGS}
    moved = {drug: float(np.sum(control * np.abs(fold[drug] - 1.0))) for drug in DRUGS}
    assert moved["Nutlin"] > max(moved["BMS"], moved["SAHA"])
    assert min(moved["BMS"], moved["SAHA"]) > moved["Dex"] > 0.0
    expression = {drug: np.median(control[fold[drug] != 1.0]) for drug in DRUGS}
    assert expression["Dex"] < 0.5 * min(expression[drug] for drug in DRUGS if drug != "Dex")
    # and the effects are in the counts, not only in the table
    for drug in DRUGS:
        up = fold[drug] > 2.0
        assert _profile(twin, drug)[up].sum() > 1.3 * control[up].sum()


def test_effects_grow_with_the_dose_along_each_drugs_own_curve():
    doses = (0.1, 1.0, 10.0, 100.0)
    twin = sciplex2_twin(1600, 4000, doses=(0.0, *doses), rng=1)

    def share(label, dose, genes):
        cells = twin.X[((twin.obs["treated_label"] == label) & (twin.obs["dose"] == dose)).to_numpy()]
        return cells[:, genes].sum() / cells.sum()

    effect = {}
    for drug in DRUGS:
        genes = (twin.var[f"log2_fold_{drug}"] > 1.0).to_numpy()
        rise = np.array([share(drug, dose, genes) for dose in doses]) / share("Untreated", 0.0, genes) - 1.0
        effect[drug] = dict(zip(doses, rise / rise[2], strict=True))
    for drug in ("BMS", "Nutlin", "SAHA"):
        assert effect[drug][0.1] < 0.25
        assert effect[drug][0.1] < effect[drug][1.0] < 1.0 < effect[drug][100.0] * 1.1
    # half of Dex's effect is reached at 0.05, of SAHA's at 1, of BMS's and Nutlin's above
    assert 0.4 < effect["Dex"][0.1] < 0.9
    assert effect["Dex"][1.0] > 0.8 > effect["SAHA"][1.0] > max(effect["BMS"][1.0], effect["Nutlin"][1.0])


def test_it_says_that_it_is_simulated(small):
    assert small.obs["simulated"].all()
    assert small.obs_names.str.startswith("simulated").all()
    assert small.uns["bulkgen"]["simulated"] is True
    assert "simulated" in small.uns["bulkgen"]["note"].lower()


def test_gene_ids_are_not_real_ones(small):
    assert small.var_names.is_unique
    assert small.var_names.str.fullmatch(r"ENSG9\d{10}").all()
    named = set(small.var["symbol"]) - {name for name in small.var["symbol"] if name.startswith("SIM")}
    assert named == set(SCIPLEX2_MARKERS)


def _same(one, other):
    return one.X.shape == other.X.shape and (one.X != other.X).nnz == 0 and one.obs.equals(other.obs)


def test_same_seed_gives_the_same_matrix(small):
    assert _same(small, sciplex2_twin(200, 1000, rng=3))


def test_another_seed_gives_another_matrix(small):
    assert not _same(small, sciplex2_twin(200, 1000, rng=4))


def test_a_generator_is_advanced_by_use():
    generator = np.random.default_rng(0)
    one, other = (sciplex2_twin(20, 500, rng=generator) for _ in range(2))
    assert not _same(one, other)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"n_cells": 4}, "n_cells must be at least 5"),
        ({"n_cells": 10, "n_genes": 20}, "n_genes must be at least 500"),
        ({"doses": (0.0, 7.0)}, "doses must be different values out of"),
        ({"doses": (0.0, 0.0)}, "doses must be different values out of"),
        ({"doses": ()}, "doses must be different values out of"),
        ({"n_cells": 10, "rng": -1}, "rng must be a non-negative integer"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        sciplex2_twin(**arguments)
