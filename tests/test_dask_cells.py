"""An AnnData whose counts are a Dask array: the bits of one in memory, and every chunk computed once a pass."""

from __future__ import annotations

from collections import Counter

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

import bulkgen
from bulkgen.io import count_rows
from count_cases import labelled_cells
from test_out_of_core import same

da = pytest.importorskip("dask.array")

KINDS = ["csr", "csc", "dense", "dense in columns", "lazy", "lazy zarr"]


@pytest.fixture
def cells():
    return labelled_cells(2, {"a": 90, "b": 70}, n_genes=41, mean=0.8)


@pytest.fixture
def given(cells, tmp_path, monkeypatch):
    """Make the cells of a kind again: in memory, and lazy with the chunks that were computed."""
    # blocks and chunks do not end together, and a chunk has several blocks or a block several chunks
    monkeypatch.setattr(count_rows, "BLOCK_ENTRIES", 300)

    def make(kind: str, rows: int) -> tuple[ad.AnnData, ad.AnnData, Counter]:
        computed: Counter = Counter()
        whole = cells.copy()
        if kind.startswith("lazy"):
            path = tmp_path / ("cells.zarr" if kind.endswith("zarr") else "cells.h5ad")
            if not path.exists():
                bulkgen.write(cells, path)
            return whole, ad.experimental.read_lazy(path), computed
        if kind.startswith("dense"):
            whole.X = whole.X.toarray()

        def count(block, block_info=None):
            computed[block_info[0]["chunk-location"]] += 1
            return sp.csc_matrix(block) if kind == "csc" else block

        source = cells.X.tocsr() if kind in ("csr", "csc") else whole.X
        columns = 15 if kind.endswith("columns") else -1
        lazy = da.from_array(source, chunks=(rows, columns), asarray=False)
        meta = source[:0, :0] if sp.issparse(source) else np.empty((0, 0), source.dtype)
        lazy = da.map_blocks(count, lazy, dtype=source.dtype, meta=meta)
        computed.clear()
        return whole, ad.AnnData(lazy, obs=cells.obs, var=cells.var), computed

    return make


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [7, 100])
def test_profiles_pseudobulk_and_tokens(given, kind, rows):
    whole, lazy, computed = given(kind, rows)
    by = ["label", "dose"]

    def once() -> bool:
        found = set(computed.values())
        computed.clear()
        return found == (set() if kind.startswith("lazy") else {1})

    same(bulkgen.bulk_profiles(lazy, by=by), bulkgen.bulk_profiles(whole, by=by))
    assert once()
    for how in ({"strategy": "mean"}, {"thin": True}):
        same(bulkgen.pseudobulk(lazy, by=by, k=4, **how), bulkgen.pseudobulk(whole, by=by, k=4, **how))
        assert once()
    vocabulary = bulkgen.Vocabulary.fit(whole, context=64)
    assert bulkgen.Vocabulary.fit(lazy, context=64).fingerprint == vocabulary.fingerprint
    assert once()
    tokens = [bulkgen.tokenize(some, vocabulary=vocabulary, label="label").table for some in (lazy, whole)]
    assert tokens[0].equals(tokens[1])
    assert once()


@pytest.mark.parametrize("kind", ["csr", "dense", "lazy"])
@pytest.mark.parametrize("method", ["negative_binomial", "thin"])
def test_fits(given, kind, method):
    whole, lazy, _ = given(kind, 30)
    fits = [bulkgen.fit_generator(some, by="label", method=method) for some in (lazy, whole)]
    assert fits[0].fingerprint == fits[1].fingerprint
