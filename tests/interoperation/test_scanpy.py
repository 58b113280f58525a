"""scanpy takes what bulkgen returns and writes, and says nothing about it."""

from __future__ import annotations

import importlib.util
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import bulkgen as bg

with warnings.catch_warnings():
    # scanpy's own, of what it imports
    warnings.simplefilter("ignore")
    sc = pytest.importorskip("scanpy")

KINDS = ("cells", "train", "pseudobulk", "means", "profiles", "synthetic", "gaussian", "thinned")


@pytest.fixture(autouse=True)
def only_what_concerns_the_data():
    """Every warning is an error, but those of the deprecations between other packages."""
    with warnings.catch_warnings():
        for module in ("scanpy", "anndata", "umap", "pynndescent", "sklearn", "igraph", "legacy_api_wrap"):
            warnings.filterwarnings("ignore", category=FutureWarning, module=rf"{module}.*")
            warnings.filterwarnings("ignore", category=DeprecationWarning, module=rf"{module}.*")
        yield


def with_neighbours(adata):
    """The graph without umap, which Numba would compile for seconds."""
    sc.pp.pca(adata, n_comps=10)
    sc.pp.neighbors(adata, n_neighbors=10, method="gauss")
    return adata


@pytest.fixture
def normalised(made):
    adata = made.synthetic
    adata.layers["counts"] = adata.X.copy()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    return adata


@pytest.mark.parametrize("kind", [*KINDS, "pseudobulk_by_rows", "test"])
def test_files_are_read_and_written_again(kind, files, tmp_path):
    adata = sc.read_h5ad(files[kind])
    adata.write_h5ad(tmp_path / "again.h5ad")
    again = sc.read_h5ad(tmp_path / "again.h5ad")
    np.testing.assert_array_equal(again.to_df(), adata.to_df())
    assert all(again.obs[name].dtype == adata.obs[name].dtype for name in adata.obs)


@pytest.mark.parametrize("kind", KINDS)
def test_quality_control_and_normalisation(kind, made):
    adata = getattr(made, kind)
    total = np.asarray(adata.X.sum(axis=1)).ravel()
    sc.pp.calculate_qc_metrics(adata, percent_top=None, log1p=False, inplace=True)
    np.testing.assert_allclose(adata.obs["total_counts"], total, rtol=1e-5)
    sc.pp.normalize_total(adata, target_sum=1e4)
    np.testing.assert_allclose(np.asarray(adata.X.sum(axis=1)).ravel(), 1e4, rtol=1e-4)
    sc.pp.log1p(adata)
    assert adata.X.max() <= np.log1p(1e4)


def test_highly_variable_genes(normalised):
    sc.pp.highly_variable_genes(normalised, n_top_genes=20)
    assert normalised.var["highly_variable"].sum() == 20


@pytest.mark.skipif(importlib.util.find_spec("skmisc") is None, reason="scikit-misc is not installed")
def test_highly_variable_genes_of_counts(normalised):
    """seurat_v3 warns where values are no counts; synthetic cells are."""
    sc.pp.highly_variable_genes(normalised, flavor="seurat_v3", layer="counts", n_top_genes=20)
    assert normalised.var["highly_variable"].sum() == 20


def test_neighbours_of_the_components_find_the_cell_lines(normalised):
    graph = with_neighbours(normalised).obsp["distances"].tocoo()
    line = normalised.obs["cell_line"].to_numpy()
    assert np.mean(line[graph.row] == line[graph.col]) > 0.6  # a third by chance


@pytest.mark.skipif(importlib.util.find_spec("igraph") is None, reason="igraph is not installed")
def test_leiden(normalised):
    sc.tl.leiden(with_neighbours(normalised), flavor="igraph", n_iterations=2)
    assert normalised.obs["leiden"].nunique() > 1


def test_markers_are_those_of_the_real_cells(normalised, made):
    """The small data raises genes 0 to 9 fourfold in A549, and 10 to 19 in H1975."""
    sc.tl.rank_genes_groups(normalised, "cell_line", method="t-test", use_raw=False)
    for place, name in enumerate(("A549", "H1975")):
        expected = set(made.cells.var_names[10 * place : 10 * place + 10])
        found = normalised.uns["rank_genes_groups"]["names"][name][:10]
        assert len(expected & set(found)) >= 7


def test_scores_of_gene_sets(normalised):
    sc.tl.score_genes(normalised, list(normalised.var_names[:10]), ctrl_size=10, n_bins=5)
    of_line = normalised.obs.groupby("cell_line", observed=True)["score"].mean()
    assert of_line.idxmax() == "A549"


def test_profiles_are_scanpy_s_sums_under_its_name_for_the_number_of_cells(made):
    by = ["cell_line", "drug"]
    theirs = sc.get.aggregate(made.cells, by, "sum")
    ours = bg.bulk_profiles(made.cells, by=by)
    ours = ours[pd.MultiIndex.from_frame(ours.obs[by]).get_indexer(pd.MultiIndex.from_frame(theirs.obs[by]))]
    np.testing.assert_array_equal(ours.to_df().to_numpy(), np.asarray(theirs.layers["sum"]))
    if "n_obs_aggregated" in theirs.obs:  # in newer versions
        np.testing.assert_array_equal(ours.obs["n_obs_aggregated"], theirs.obs["n_obs_aggregated"])


def test_generated_cells_stay_marked_beside_real_ones(made):
    both = ad.concat({"real": made.cells, "synthetic": made.synthetic}, label="origin", join="outer", index_unique="-")
    marked = both.obs["synthetic"].eq(True)
    assert (marked == (both.obs["origin"] == "synthetic")).all()
