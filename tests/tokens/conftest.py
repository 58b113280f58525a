"""Small vocabularies and count matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from bulkgen.kernels import backend_names
from bulkgen.tokens import Vocabulary

#: Geneformer's ids are of this form; the digits count up.
GENES = [f"ENSG{i:011d}" for i in range(1, 13)]
MEDIANS = [1.0, 2.0, 0.5, 3.0, 1.5, 1.0, 0.25, 4.0, 2.5, 1.0, 0.75, 2.0]


@pytest.fixture(params=["native", "numba"])
def backend(request, monkeypatch) -> str:
    """Run the test with each backend of this installation."""
    if request.param not in backend_names():
        pytest.skip(f"this installation has no {request.param} backend")
    monkeypatch.setenv("BULKGEN_BACKEND", request.param)
    return request.param


@pytest.fixture(scope="session")
def plain_vocabulary() -> Vocabulary:
    """Like V1: no special tokens in cells, ids stand for themselves; room for 5 genes."""
    return Vocabulary(
        name="plain",
        tokens={gene: i + 2 for i, gene in enumerate(GENES)},
        medians=dict(zip(GENES, MEDIANS, strict=True)),
        pad=0,
        mask=1,
        cls=None,
        eos=None,
        context=5,
        mapping=None,
    )


@pytest.fixture(scope="session")
def mapped_vocabulary() -> Vocabulary:
    """Like V2: cells open and close with special tokens, symbols and retired ids lead to genes."""
    return Vocabulary(
        name="mapped",
        tokens={gene: i + 4 for i, gene in enumerate(GENES)},
        medians=dict(zip(GENES, MEDIANS, strict=True)),
        pad=0,
        mask=1,
        cls=2,
        eos=3,
        context=8,
        mapping={"ISG15": GENES[0], "G1P2": GENES[0], "ACTB": GENES[1], "ENSG00000999999": GENES[2]},
    )


@pytest.fixture(scope="session")
def make_cells() -> Callable[..., ad.AnnData]:
    """Make an AnnData of a matrix; genes are the first of GENES by default, and cells c0, c1, ..."""

    def make(
        X: object,
        genes: Sequence[str] | None = None,
        *,
        obs: dict[str, object] | None = None,
        var: dict[str, object] | None = None,
        uns: dict[str, object] | None = None,
    ) -> ad.AnnData:
        matrix = np.asarray(X) if isinstance(X, list) else X
        n_cells, n_genes = matrix.shape
        names = GENES[:n_genes] if genes is None else genes
        return ad.AnnData(
            X=matrix,
            obs=pd.DataFrame(obs or {}, index=[f"c{i}" for i in range(n_cells)]),
            var=pd.DataFrame(var or {}, index=pd.Index(names, dtype=object)),
            uns=uns or {},
        )

    return make
