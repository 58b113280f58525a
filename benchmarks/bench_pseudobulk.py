"""Sums of the counts of groups of cells: bulkgen, scanpy, decoupler, SciPy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import pytest
import scipy.sparse as sp

import calls
import workloads
from bulkgen.kernels import backend_names, get_kernels
from peers import scipy_product

_ROWS = 250


@pytest.mark.parametrize("grouping", ["many", "few"])
def bench_pseudobulk(race, counts, grouping):
    """Seconds for all cells in groups of ten (10,000 groups at full size), and in 28 groups."""
    cells = counts.shape[0]
    groups = cells // workloads.CELLS_PER_GROUP if grouping == "many" else workloads.FEW_GROUPS
    codes = workloads.random_groups(cells, groups)
    adata = workloads.as_anndata(counts, group=workloads.group_names(codes))
    sides: dict[str, Callable[[], object]] = {
        "bulkgen dense": lambda: calls.group_sums_dense(counts, codes, groups),
        "bulkgen sparse": lambda: calls.group_sums(counts, codes, groups),
        "bulkgen sparse, 1 thread": lambda: calls.group_sums(counts, codes, groups, threads=1),
        "SciPy product": lambda: scipy_product.group_sums(counts, codes, groups),
    }
    absent = {}
    if find_spec("scanpy"):
        from peers import scanpy_aggregate

        sides["scanpy"] = lambda: scanpy_aggregate.group_sums(adata, "group")
    else:
        absent["scanpy"] = "not installed"
    if find_spec("decoupler"):
        from peers import decoupler_pseudobulk

        # it runs once, so what its first call compiles and imports is done on a few cells
        decoupler_pseudobulk.group_sums(adata[: workloads.CELLS_PER_GROUP * 10].copy(), "group")
        sides["decoupler"] = lambda: decoupler_pseudobulk.group_sums(adata, "group")
    else:
        absent["decoupler"] = "not installed"
    expected = _by_definition(counts, codes, groups)

    def check(side: str, sums: object) -> None:
        if side == "decoupler":
            assert list(sums.var_names) == list(adata.var_names)
            rows = sums.obs_names.get_indexer(adata.obs["group"].cat.categories)
            sums = np.asarray(sums.X), rows
        else:
            sums = sums, np.arange(groups)
        matrix, rows = sums
        assert matrix.shape == expected.shape, side
        for first in range(0, groups, _ROWS):
            block = matrix[rows[first : first + _ROWS]]
            block = block.toarray() if sp.issparse(block) else block
            assert np.array_equal(block, expected[first : first + _ROWS].toarray()), f"{side}: other sums"

    race(
        f"pseudobulk_{grouping}",
        sides,
        check=check,
        once=("decoupler",),
        rounds=3,
        work=counts.nnz,
        absent=absent,
        checked="Same sums, every group and gene, equal as integers to the definition (the stored entries added up one "
        "by one in 64-bit integers).",
    )


@pytest.fixture(scope="module")
def unchecked(tmp_path_factory):
    """Build the kernel without its checks."""
    if "native" not in backend_names() or shutil.which("cmake") is None:
        pytest.skip("building the kernel without checks needs the compiled core, and cmake")
    return calls.unchecked_kernels(tmp_path_factory.mktemp("unchecked"))


@pytest.mark.parametrize("grouping", ["many", "few"])
def bench_checks(race, counts, grouping, unchecked):
    """Seconds of the dense sums kernel, two threads, with its checks of every entry and compiled without them."""
    groups = counts.shape[0] // workloads.CELLS_PER_GROUP if grouping == "many" else workloads.FEW_GROUPS
    grouped = calls.groups_of(workloads.random_groups(counts.shape[0], groups), groups)
    kernels = {"with checks": get_kernels("native"), "without checks": unchecked}
    outputs = {side: np.zeros((groups, counts.shape[1]), np.int64) for side in kernels}

    def run(side: str) -> Callable[[], np.ndarray]:
        return lambda: calls.group_sums_kernel(kernels[side], counts, grouped, outputs[side])

    def check(side: str, sums: np.ndarray) -> None:
        assert np.array_equal(sums, outputs["with checks"]), side

    race(
        f"checks_{grouping}",
        {side: run(side) for side in kernels},
        check=check,
        rounds=9,
        work=counts.nnz,
        checked="Same sums.",
    )


def _by_definition(matrix: sp.csr_matrix, codes: np.ndarray, groups: int) -> sp.csr_matrix:
    """Add up the entries as a list of (group, gene, count), a few groups at a time."""
    cells_by_group = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=groups))
    genes, parts = matrix.shape[1], []
    step = max(1, groups // 64)
    for first in range(0, groups, step):
        last = min(first + step, groups)
        cells = cells_by_group[ends[first - 1] if first else 0 : ends[last - 1]]
        part = matrix[cells]
        group = np.repeat(codes[cells] - first, np.diff(part.indptr))
        sums = np.bincount(group * genes + part.indices, weights=part.data, minlength=(last - first) * genes)
        # sums of integers below 2^53 are exact in float64
        parts.append(sp.csr_matrix(sums.reshape(last - first, genes).astype(np.int64)))
    return sp.vstack(parts, format="csr")
