"""What the simulated twin promises: the published facts of sci-Plex2, and that it says it is simulated."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from bulkgen.datasets import SCIPLEX2_LABEL_COUNTS, SCIPLEX2_MARKERS, _strata, sciplex2_twin

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
    assert expression["Dex"] < 0.75 * min(expression[drug] for drug in DRUGS if drug != "Dex")
    # and the effects are in the counts, not only in the table
    for drug in DRUGS:
        up = fold[drug] > 2.0
        assert _profile(twin, drug)[up].sum() > 1.3 * control[up].sum()


def test_effect_grows_with_dose():
    twin = sciplex2_twin(700, 2000, doses=(0.0, 1.0, 10.0, 100.0), rng=1)
    markers = twin.var["symbol"].isin(SCIPLEX2_MARKERS).to_numpy()
    of_nutlin = (twin.obs["drug"] == "Nutlin").to_numpy()
    share = [
        np.asarray(twin.X[of_nutlin & (twin.obs["dose"] == dose).to_numpy()][:, markers].sum())
        / twin.X[of_nutlin & (twin.obs["dose"] == dose).to_numpy()].sum()
        for dose in (1.0, 10.0, 100.0)
    ]
    assert share[0] < share[1] < share[2]


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
