"""Moments of the genes over all cells: bulkgen, scanpy, scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import pandas as pd

import calls
import workloads
from peers import sklearn_moments

#: Peers add up in single precision, or subtract E[x]² from E[x²].
TOLERANCE = 1e-4


def bench_gene_moments(race, counts):
    """Seconds for number of non-zeros, sum, mean, variance and largest count of every gene."""
    cells = counts.shape[0]
    codes = np.zeros(cells, np.int64)
    sides: dict[str, Callable[[], object]] = {
        "bulkgen": lambda: calls.gene_moments(counts, codes, 1),
        "bulkgen, 1 thread": lambda: calls.gene_moments(counts, codes, 1, threads=1),
        "scikit-learn (mean, variance)": lambda: sklearn_moments.mean_and_variance(counts),
    }
    absent = {}
    if find_spec("scanpy"):
        from peers import scanpy_aggregate

        adata = workloads.as_anndata(counts, all=pd.Categorical(["all"] * cells))
        sides["scanpy aggregate (mean, variance)"] = lambda: scanpy_aggregate.mean_and_variance(adata, "all")
        sides["scanpy private (mean, variance)"] = lambda: scanpy_aggregate.mean_and_variance_private(counts)
    else:
        absent["scanpy"] = "not installed"
    expected = _by_definition(counts)

    def check(side: str, moments: object) -> None:
        if side.startswith("bulkgen"):
            for name in ("nonzeros", "sum", "max"):
                assert np.array_equal(np.ravel(getattr(moments, name)), expected[name]), f"{side}: {name}"
            mean, variance, tolerance = moments.mean, moments.variance, 1e-12
        else:
            (mean, variance), tolerance = moments, TOLERANCE
            if side.startswith("scikit-learn"):
                variance = variance * (cells / (cells - 1))
        np.testing.assert_allclose(np.ravel(mean), expected["mean"], rtol=tolerance, err_msg=side)
        np.testing.assert_allclose(np.ravel(variance), expected["variance"], rtol=tolerance, atol=1e-12, err_msg=side)

    race(
        "gene_moments",
        sides,
        check=check,
        rounds=5,
        work=counts.nnz,
        absent=absent,
        checked="bulkgen: numbers of non-zeros, sums and largest counts equal to the definition, means and variances "
        "to 1e-12. Peers, which compute means and variances alone, partly in single precision: to 1e-4.",
    )


def _by_definition(matrix) -> dict[str, np.ndarray]:
    cells, genes = matrix.shape
    total, squares, nonzeros = np.zeros(genes), np.zeros(genes), np.zeros(genes, np.int64)
    largest = np.zeros(genes)
    step = max(1, cells // 64)
    for first in range(0, cells, step):
        part = matrix[first : first + step]
        # sums of integers below 2^53 are exact in float64
        total += np.bincount(part.indices, weights=part.data, minlength=genes)
        squares += np.bincount(part.indices, weights=np.square(part.data, dtype=np.float64), minlength=genes)
        nonzeros += np.bincount(part.indices, minlength=genes)
        np.maximum(largest, part.max(axis=0).toarray().ravel(), out=largest)
    numerator = np.array([cells * int(q) - int(s) ** 2 for q, s in zip(squares, total, strict=True)], dtype=object)
    return {
        "nonzeros": nonzeros,
        "sum": total.astype(np.int64),
        "max": largest,
        "mean": total / cells,
        "variance": (numerator / (cells * (cells - 1))).astype(np.float64),
    }
