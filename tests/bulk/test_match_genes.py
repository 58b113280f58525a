"""match_genes: bulk and cells that name their genes differently."""

from __future__ import annotations

import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import bulkgen as bg
from bulkgen.errors import CountsError, GeneOverlapError

GENES = [f"ENSG{i:011d}" for i in range(1, 9)]


@pytest.fixture
def cells() -> ad.AnnData:
    """Cells with symbols, of which ISG15 occurs under an alias too, and a gene that nobody knows."""
    counts = np.random.default_rng(3).poisson(2.0, (30, 6))
    names = ["TP53", "ISG15", "nothing", "G1P2", "KRAS", "MYC"]
    adata = ad.AnnData(sp.csr_matrix(counts, dtype=np.float32), obs=pd.DataFrame(index=[f"c{i}" for i in range(30)]))
    adata.var_names = names
    adata.obs["drug"] = ["none", "Dex"] * 15
    return adata


@pytest.fixture
def bulk(counts, meta) -> ad.AnnData:
    return bg.read_bulk(counts, samples=meta)


def test_both_get_the_genes_that_they_share_in_the_order_of_the_bulk(bulk, cells, vocabulary):
    with pytest.warns(UserWarning, match="4 genes are shared") as caught:
        matched = bg.match_genes(bulk, cells, vocabulary)
    shared = [GENES[0], GENES[2], GENES[5], GENES[7]]
    assert list(matched.bulk.var_names) == list(matched.reference.var_names) == shared
    np.testing.assert_array_equal(matched.bulk.X, bulk[:, shared].X)
    dense = cells.X.toarray()
    np.testing.assert_array_equal(
        matched.reference.X.toarray(), dense[:, [1, 0, 5, 4]] + np.outer(dense[:, 3], [1, 0, 0, 0])
    )
    assert sp.issparse(matched.reference.X)
    assert matched.reference.X.dtype == np.float32
    assert matched.reference.X.has_sorted_indices
    assert list(matched.reference.obs["drug"]) == list(cells.obs["drug"])
    assert matched.bulk.uns["bulkgen"]["kind"] == "bulk_samples"
    overlap = matched.overlap
    assert (overlap.shared, overlap.bulk, overlap.reference, overlap.bulk_ids, overlap.reference_ids) == (4, 8, 4, 8, 6)
    assert overlap.bulk_share == pytest.approx(matched.bulk.X.sum() / bulk.X.sum())
    assert overlap.reference_share == pytest.approx(1 - dense[:, 2].sum() / dense.sum())
    assert str(caught[0].message) == (
        f"4 genes are shared: of 8 in the bulk (8 ids), with {overlap.bulk_share:.1%} of its counts, and of 4 in the "
        f"reference (6 ids), with {overlap.reference_share:.1%}; the others are left out"
    )
    assert caught[0].filename == __file__


def test_nothing_is_said_where_nothing_is_lost(counts, vocabulary, recwarn):
    samples = bg.read_bulk(counts)
    matched = bg.match_genes(samples, samples[:, ::-1].copy(), vocabulary)
    assert list(matched.reference.var_names) == GENES
    np.testing.assert_array_equal(matched.reference.X, samples.X)
    assert not recwarn.list


def test_layers_stay_unless_genes_are_added(cells, counts, vocabulary):
    """Variances of two genes do not add up to that of their sum."""
    other = cells[:, [0, 1, 4, 5]].copy()
    for reference, kept in ((other, True), (cells, False)):
        profiles = bg.bulk_profiles(reference, by="drug")
        with pytest.warns(UserWarning, match="are shared"):
            matched = bg.match_genes(profiles, bg.read_bulk(counts), vocabulary)
        assert ("variance" in matched.bulk.layers) == kept
        if kept:
            np.testing.assert_array_equal(matched.bulk.layers["variance"], profiles.layers["variance"])


def test_ids_in_a_column_are_named_for_the_side_that_they_belong_to(bulk, cells, vocabulary):
    cells.var["symbol"] = list(cells.var_names)
    cells.var_names = [f"f{i}" for i in range(6)]
    words = "genes of the reference (reference_gene_ids): only 0 of 6 ids in var_names (f0, f1, f2, ...) are genes"
    with pytest.raises(GeneOverlapError, match=re.escape(words)) as error:
        bg.match_genes(bulk, cells, vocabulary)
    assert "'symbol' maps 83.3%" in str(error.value)
    with pytest.raises(ValueError, match=re.escape("(bulk_gene_ids): gene_ids='gone' is not a column of var")):
        bg.match_genes(bulk, cells, vocabulary, bulk_gene_ids="gone")
    with pytest.warns(UserWarning, match="4 genes are shared"):
        bg.match_genes(bulk, cells, vocabulary, reference_gene_ids="symbol")


def test_genes_that_do_not_meet_are_refused(bulk, vocabulary):
    words = "only 0 genes of vocabulary 'small' are in both bulk (4) and reference (4); are they of the same species"
    with pytest.raises(GeneOverlapError, match=re.escape(words)):
        bg.match_genes(bulk[:, :4], bulk[:, 4:], vocabulary)


def test_a_reference_that_holds_no_counts_is_refused(bulk, cells, vocabulary):
    cells.X.data[3] = -1
    with pytest.raises(CountsError, match="counts must not be negative"):
        bg.match_genes(bulk, cells, vocabulary)


@pytest.mark.real_data
def test_real_bulk_with_ensembl_ids_meets_real_cells_with_symbols(shared_data):
    v2 = bg.Vocabulary.load("V2", path=shared_data / "geneformer")
    bulk = bg.read_bulk(shared_data / "scmix_bulk90.h5ad")
    cells = bg.read(shared_data / "kang_ifnb_2000.h5ad")
    assert not set(bulk.var_names) & set(cells.var_names)
    with pytest.warns(UserWarning, match="genes are shared: of 15422 in the bulk"):
        matched = bg.match_genes(bulk, cells, v2)
    assert list(matched.bulk.var_names) == list(matched.reference.var_names)
    # the annotation that came with the cells agrees
    known = matched.reference.var["ensembl_id"].astype(str)
    given = known[known != ""]
    assert (given == given.index).mean() > 0.95
    isg15 = matched.reference[:, "ENSG00000187608"].X.sum(axis=0)
    np.testing.assert_array_equal(isg15, cells[:, "ISG15"].X.sum(axis=0))
