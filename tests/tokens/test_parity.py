"""Parity with the reference Geneformer tokenizer on real cells, for both versions and both backends.

Equality is as the design defines it: the same multiset of tokens, the same sequence of values, the same order outside
exact ties (the reference's own order inside ties depends on the processor).
"""

from __future__ import annotations

from collections import Counter
from functools import cache

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from bulkgen.tokens import Vocabulary, tokenize
from bulkgen.tokens.pickles import read_pickle

pytestmark = pytest.mark.real_data

CASES = [("scmix_5cl_mini", None), ("kang_ifnb_2000", "ensembl_id")]


@pytest.fixture(scope="module")
def dictionaries(shared_data):
    """Tokens, medians and mapping as plain dictionaries, without bulkgen's vocabulary."""

    def load(version):
        release = {"V1": "30M", "V2": "104M"}[version]
        names = ("token_dictionary", "gene_median_dictionary", "ensembl_mapping_dict")
        files = [shared_data / "geneformer" / f"{name}_gc{release}.pkl" for name in names]
        return [read_pickle(file.read_bytes(), source=file.name, trusted=True) for file in files]

    return load


@pytest.fixture(scope="module")
def vocabularies(shared_data):
    return {version: Vocabulary.load(version, path=shared_data / "geneformer") for version in ("V1", "V2")}


@pytest.fixture(scope="module")
def real_cells(shared_data):
    return cache(lambda name: ad.read_h5ad(shared_data / f"{name}.h5ad"))


@pytest.fixture(scope="module")
def values_of_tokens(real_cells, dictionaries):
    """Value of every gene in every cell (cells x genes) and each token's column, straight from the definition."""

    @cache
    def compute(name, gene_ids, version):
        adata = real_cells(name)
        tokens, medians, mapping = dictionaries(version)
        ids = adata.var_names if gene_ids is None else adata.var[gene_ids]
        mapped = [mapping.get(str(gene).upper()) for gene in ids]
        genes = sorted({gene for gene in mapped if gene in tokens})
        place = {gene: i for i, gene in enumerate(genes)}
        dense = adata.X.toarray()
        values = np.zeros((adata.n_obs, len(genes)))
        for column, gene in enumerate(mapped):
            if gene in place:
                values[:, place[gene]] += dense[:, column]
        values /= np.array([medians[gene] for gene in genes])
        column_of = np.full(max(tokens.values()) + 1, -1)
        column_of[[tokens[gene] for gene in genes]] = np.arange(len(genes))
        return values, column_of

    return compute


@pytest.mark.parametrize("version", ["V1", "V2"])
@pytest.mark.parametrize(("name", "gene_ids"), CASES)
def test_tokens_equal_those_of_the_reference(
    name, gene_ids, version, backend, shared_data, real_cells, values_of_tokens, vocabularies
):
    adata = real_cells(name)
    dataset = tokenize(adata, vocabulary=vocabularies[version], gene_ids=gene_ids)
    reference = pd.read_parquet(shared_data / "oracle" / f"{name}.{version}.parquet")
    assert dataset.column("cell_id").tolist() == reference["cell_id"].tolist() == adata.obs_names.tolist()
    np.testing.assert_array_equal(dataset.lengths, reference["length"])

    values, column_of = values_of_tokens(name, gene_ids, version)
    special = [token for token in (dataset.vocabulary.cls, dataset.vocabulary.eos) if token is not None]
    tied = compared = 0
    for i, theirs in enumerate(reference["input_ids"]):
        ours = dataset.input_ids(i).astype(np.int64)
        np.testing.assert_array_equal(np.sort(ours), np.sort(theirs))
        if special:
            assert [ours[0], ours[-1]] == [theirs[0], theirs[-1]] == special
            ours, theirs = ours[1:-1], theirs[1:-1]
        assert min(column_of[ours]) >= 0
        mine, other = values[i, column_of[ours]], values[i, column_of[theirs]]
        np.testing.assert_array_equal(mine, other)
        assert (np.diff(mine) <= 0).all()
        assert mine.min() > 0
        unique = np.ones(len(mine), dtype=bool)
        equal = mine[1:] == mine[:-1]
        unique[1:] &= ~equal
        unique[:-1] &= ~equal
        np.testing.assert_array_equal(ours[unique], theirs[unique])
        tied += int((~unique).sum())
        compared += len(mine)
    assert compared > 100_000
    assert tied / compared < 0.02


def test_ties_follow_the_columns_of_the_input(backend, vocabularies):
    # 72 genes of V2 share one imputed median, so equal counts tie; the real cells above hold next to no ties
    vocabulary = vocabularies["V2"]
    shared, _ = Counter(vocabulary.medians.values()).most_common(1)[0]
    genes = np.array([gene for gene, median in vocabulary.medians.items() if median == shared])
    assert len(genes) == 72
    rng = np.random.default_rng(0)
    for _ in range(5):
        order = rng.permutation(genes)
        counts = rng.integers(1, 4, size=(1, 72))
        cells = ad.AnnData(counts, obs=pd.DataFrame(index=["c0"]), var=pd.DataFrame(index=order))
        expected = [vocabulary.tokens[gene] for gene in order[np.argsort(-counts[0], kind="stable")]]
        assert tokenize(cells, vocabulary=vocabulary).input_ids(0)[1:-1].tolist() == expected


def test_symbols_resolve_through_the_mapping_of_v2(shared_data, vocabularies):
    adata = ad.read_h5ad(shared_data / "kang_ifnb_2000.h5ad")
    by_symbol = tokenize(adata, vocabulary=vocabularies["V2"])
    assert by_symbol.summary.mapped_fraction > 0.9
    assert by_symbol.vocabulary.tokens["ENSG00000187608"] in by_symbol.flat()[0]  # ISG15


def test_symbols_with_v1_name_the_column_that_maps(shared_data, vocabularies):
    adata = ad.read_h5ad(shared_data / "kang_ifnb_2000.h5ad")
    with pytest.raises(ValueError, match=r"ids in var_names \(LINC00115.*gene_ids='ensembl_id'"):
        tokenize(adata, vocabulary=vocabularies["V1"])


def test_a_fitted_vocabulary_follows_its_definition_on_real_cells(shared_data):
    adata = ad.read_h5ad(shared_data / "scmix_5cl_mini.h5ad")
    vocabulary = Vocabulary.fit(adata)
    dense = adata.X.toarray().astype(np.float64)
    normalised = dense / dense.sum(axis=1, keepdims=True) * 10_000
    for gene in list(vocabulary.tokens)[::500]:
        values = normalised[:, adata.var_names.get_loc(gene)]
        assert vocabulary.medians[gene] == pytest.approx(np.median(values[values > 0]), rel=1e-12)
    assert list(vocabulary.tokens) == sorted(g for g, n in zip(adata.var_names, dense.sum(axis=0), strict=True) if n)
