"""decoupler takes bulkgen's pseudo-bulk for its own."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import bulkgen as bg

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    dc = pytest.importorskip("decoupler")
    sc = pytest.importorskip("scanpy")


def test_profiles_are_those_of_decoupler_under_its_names(made):
    theirs = dc.pp.pseudobulk(made.cells, sample_col="drug", groups_col="cell_line", mode="sum")
    ours = bg.bulk_profiles(made.cells, by=["drug", "cell_line"])
    place = pd.MultiIndex.from_frame(ours.obs[["drug", "cell_line"]].astype(str))
    ours = ours[place.get_indexer(pd.MultiIndex.from_frame(theirs.obs[["drug", "cell_line"]].astype(str)))]
    np.testing.assert_array_equal(ours.to_df().to_numpy(), theirs.to_df().to_numpy())
    for column in ("psbulk_cells", "psbulk_counts"):
        np.testing.assert_array_equal(ours.obs[column], theirs.obs[column])
    # the share of the cells that express a gene has the name "detection" here
    np.testing.assert_allclose(np.asarray(ours.layers["detection"]), np.asarray(theirs.layers["psbulk_props"]))


@pytest.mark.parametrize("kind", ["pseudobulk", "profiles"])
def test_samples_are_filtered_by_cells_and_counts(kind, made):
    adata = getattr(made, kind)
    few = adata.obs["psbulk_cells"].median()
    kept = dc.pp.filter_samples(adata, min_cells=few, min_counts=1, inplace=False)
    assert set(kept) == set(adata.obs_names[adata.obs["psbulk_cells"] >= few])
    assert 0 < len(kept) < adata.n_obs


def test_genes_are_filtered_by_expression_and_by_the_share_of_cells(made):
    adata = made.profiles
    by_counts = dc.pp.filter_by_expr(adata, group="drug", min_count=30, inplace=False)
    assert 0 < len(by_counts) < adata.n_vars
    adata.layers["psbulk_props"] = adata.layers["detection"]
    by_share = dc.pp.filter_by_prop(adata, min_prop=0.5, min_smpls=3, inplace=False)
    expected = adata.var_names[(adata.layers["detection"] >= 0.5).sum(axis=0) >= 3]
    assert set(by_share) == set(expected) != set()


@pytest.mark.parametrize("kind", ["pseudobulk", "synthetic"])
def test_enrichment_tells_the_cell_lines_apart(kind, made):
    """The small data raises genes 0 to 9 fourfold in A549, 10 to 19 in H1975, 20 to 29 in HCC827."""
    adata = getattr(made, kind)
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    # each gene by its mean, so that a high gene is not taken for an active set
    adata.X = np.asarray(adata.X.todense() if hasattr(adata.X, "todense") else adata.X, dtype=np.float64)
    adata.X -= adata.X.mean(axis=0)
    lines = ("A549", "H1975", "HCC827")
    net = pd.DataFrame(
        [(line, adata.var_names[10 * i + j], 1.0) for i, line in enumerate(lines) for j in range(10)],
        columns=["source", "target", "weight"],
    )
    dc.mt.ulm(adata, net, tmin=5)
    scores = dc.pp.get_obsm(adata, "score_ulm").to_df()
    assert np.mean(scores.idxmax(axis=1).to_numpy() == adata.obs["cell_line"].to_numpy()) > 0.9
