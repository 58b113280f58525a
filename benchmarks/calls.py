"""Every call of bulkgen that is timed, in one place."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

import bulkgen
from bulkgen.aggregate import group_sums as bulkgen_group_sums
from bulkgen.io import canonical_counts
from bulkgen.kernels import get_kernels
from bulkgen.kernels.truncated_gaussian import (
    TruncatedGaussianPlan,
    draw_truncated_gaussian,
    plan_truncated_gaussian,
)
from bulkgen.profiles import GeneMoments
from bulkgen.profiles import gene_moments as bulkgen_gene_moments
from bulkgen.splits import Groups
from workloads import TruncatedNormals

#: Synthesis straight to tokens, dense sums, and checks made by the kernels are there.
FUSED = "to" in inspect.signature(bulkgen.synthesize).parameters
DENSE_SUMS = "sparse" in inspect.signature(bulkgen_group_sums).parameters
FUSED_CHECKS = "require_integers" in inspect.signature(bulkgen_group_sums).parameters


@contextmanager
def backend(name: str) -> Iterator[None]:
    """Make a backend the default: native, numba, or an instruction-set level of the native one."""
    level = name if name not in ("native", "numba") else None
    earlier = os.environ.get("BULKGEN_BACKEND")
    os.environ["BULKGEN_BACKEND"] = "native" if level else name
    native = get_kernels("native") if level else None
    before = getattr(native, "level", None)
    try:
        if level:
            native.use_level(level)  # type: ignore[union-attr]
        yield
    finally:
        if level:
            native.use_level(before)  # type: ignore[union-attr]
        if earlier is None:
            del os.environ["BULKGEN_BACKEND"]
        else:
            os.environ["BULKGEN_BACKEND"] = earlier


def levels() -> tuple[str, ...]:
    """Instruction-set levels that this build and this processor have."""
    return tuple(get_kernels("native").levels)  # type: ignore[attr-defined]


def plan(law: TruncatedNormals, *, sampler: str) -> TruncatedGaussianPlan:
    """Choose how each gene is drawn, once for any number of cells."""
    return plan_truncated_gaussian(law.mean, law.deviation, law.lower, law.upper, sampler=sampler)


def draw(plan: TruncatedGaussianPlan, out: np.ndarray, *, threads: int | None) -> np.ndarray:
    """Fill `out` (cells x genes) with truncated normals."""
    draw_truncated_gaussian(plan, out, key=1, threads=threads)
    return out


def groups_of(codes: np.ndarray, n_groups: int) -> Groups:
    """Make groups, in the order of their numbers, from the number of each cell's group."""
    offsets = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=n_groups))]).astype(np.int64)
    rows = np.argsort(codes, kind="stable").astype(np.int64)
    return Groups(rows, offsets, np.zeros(n_groups, np.int64), 0)


def group_sums(matrix: sp.csr_matrix, codes: np.ndarray, n_groups: int, *, threads: int | None = None) -> sp.csr_matrix:
    """Check counts and return groups x genes, sparse."""
    return bulkgen_group_sums(_checked(matrix), groups_of(codes, n_groups), threads=threads)


def group_sums_dense(
    matrix: sp.csr_matrix, codes: np.ndarray, n_groups: int, *, threads: int | None = None
) -> np.ndarray:
    """Check counts and return groups x genes, dense."""
    if not DENSE_SUMS:
        return group_sums(matrix, codes, n_groups, threads=threads).toarray()
    return bulkgen_group_sums(_checked(matrix), groups_of(codes, n_groups), sparse=False, threads=threads)


def group_sums_unchecked(matrix: sp.csr_matrix, codes: np.ndarray, n_groups: int) -> sp.csr_matrix:
    """Return groups x genes, sparse, without the checks; only where they are not part of the kernel."""
    return bulkgen_group_sums(matrix, groups_of(codes, n_groups))


def gene_moments(matrix: sp.csr_matrix, codes: np.ndarray, n_groups: int, *, threads: int | None = None) -> GeneMoments:
    """Check counts and return number of non-zeros, sum, mean, variance and largest count of each gene and group."""
    return bulkgen_gene_moments(_checked(matrix), codes, n_groups, threads=threads)


def _checked(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Check counts as every public function does, unless the kernels do it as they read them."""
    return matrix if FUSED_CHECKS else canonical_counts(matrix, require_integers=True)


def rank(matrix: sp.csr_matrix, *, most_genes: int) -> int:
    """Rank the genes of every row by count / median, medians from a fixed law; the number of tokens."""
    n_rows, n_genes = matrix.shape
    out = np.empty(n_rows * most_genes, np.int32)
    lengths, genes = np.empty((2, n_rows), np.int64)
    get_kernels().rank_tokens(
        matrix.indptr.astype(np.int64, copy=False),
        matrix.indices,
        matrix.data,
        np.arange(n_genes, dtype=np.int32),
        np.random.default_rng(0).lognormal(0.0, 0.7, n_genes),
        np.empty(0, np.int32),
        out,
        np.empty(0, np.float32),
        lengths,
        genes,
        most_genes=most_genes,
        cls=-1,
        eos=-1,
        first_row=0,
        last_row=n_rows,
    )
    return int(lengths.sum())


def tokenize(cells: AnnData, vocabulary: bulkgen.Vocabulary, out: Path | None, *, threads: int | None = None):
    """Turn cells in memory into a data set, on disk if `out` is given."""
    return bulkgen.tokenize(cells, vocabulary=vocabulary, out=out, overwrite=True, threads=threads)


def tokenize_file(cells: Path, vocabulary: bulkgen.Vocabulary, out: Path) -> bulkgen.TokenDataset:
    """Turn an h5ad file into a data set on disk."""
    return bulkgen.tokenize(cells, vocabulary=vocabulary, out=out, overwrite=True)


def synthesize_to_tokens(
    profiles: AnnData, reference: AnnData, cells_per_label: int, vocabulary: bulkgen.Vocabulary, out: Path
) -> bulkgen.TokenDataset:
    """Turn bulk profiles straight into tokens on disk."""
    return bulkgen.synthesize(
        profiles,
        reference=reference,
        n_cells=cells_per_label,
        rng=1,
        to="tokens",
        vocabulary=vocabulary,
        out=out,
        overwrite=True,
    )


def synthesize_to_file(profiles: AnnData, reference: AnnData, cells_per_label: int, out: Path) -> None:
    """Turn bulk profiles into cells in an h5ad file."""
    cells = bulkgen.synthesize(profiles, reference=reference, n_cells=cells_per_label, rng=1)
    bulkgen.write(cells, out, overwrite=True)
