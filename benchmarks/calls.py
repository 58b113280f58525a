"""Every call of bulkgen that is timed, in one place."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

import bulkgen
from bulkgen.aggregate import group_sums as bulkgen_group_sums
from bulkgen.io import canonical_counts
from bulkgen.kernels import get_kernels, parallel_ranges
from bulkgen.kernels.truncated_gaussian import draw_truncated_gaussian, plan_truncated_gaussian
from bulkgen.profiles import GeneMoments
from bulkgen.profiles import gene_moments as bulkgen_gene_moments
from bulkgen.splits import Groups
from bulkgen.tokens.genes import map_genes
from workloads import TruncatedNormals

#: Synthesis straight to tokens is there.
FUSED = "to" in inspect.signature(bulkgen.synthesize).parameters


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


def draw(law: TruncatedNormals, out: np.ndarray, *, sampler: str, threads: int | None) -> np.ndarray:
    """Plan and fill `out` (cells x genes) with truncated normals."""
    plan = plan_truncated_gaussian(law.mean, law.deviation, law.lower, law.upper, sampler=sampler)
    draw_truncated_gaussian(plan, out, key=1, threads=threads)
    return out


def groups_of(codes: np.ndarray, n_groups: int) -> Groups:
    """Make groups, in the order of their numbers, from the number of each cell's group."""
    offsets = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=n_groups))]).astype(np.int64)
    rows = np.argsort(codes, kind="stable").astype(np.int64)
    return Groups(rows, offsets, np.zeros(n_groups, np.int64), 0)


def group_sums(matrix: sp.csr_matrix, codes: np.ndarray, n_groups: int, *, threads: int | None = None) -> sp.csr_matrix:
    """Return groups x genes, sparse."""
    return bulkgen_group_sums(matrix, groups_of(codes, n_groups), threads=threads)


def group_sums_dense(
    matrix: sp.csr_matrix, codes: np.ndarray, n_groups: int, *, threads: int | None = None
) -> np.ndarray:
    """Return groups x genes, dense."""
    return group_sums(matrix, codes, n_groups, threads=threads).toarray()


def checked(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Check counts the way every public function does first."""
    return canonical_counts(matrix, require_integers=True)


def gene_moments(matrix: sp.csr_matrix, codes: np.ndarray, n_groups: int, *, threads: int | None = None) -> GeneMoments:
    """Return number of non-zeros, sum, mean, variance and largest count of each gene in each group."""
    return bulkgen_gene_moments(matrix, codes, n_groups, threads=threads)


def tokenize(cells: AnnData, vocabulary: bulkgen.Vocabulary, out: Path | None, *, threads: int | None = None):
    """Turn cells in memory into a data set, on disk if `out` is given."""
    return bulkgen.tokenize(cells, vocabulary=vocabulary, out=out, overwrite=True, threads=threads)


def tokenize_file(cells: Path, vocabulary: bulkgen.Vocabulary, out: Path) -> bulkgen.TokenDataset:
    """Turn an h5ad file into a data set on disk."""
    return bulkgen.tokenize(cells, vocabulary=vocabulary, out=out, overwrite=True)


def rank_kernel(cells: AnnData, vocabulary: bulkgen.Vocabulary) -> Callable[[int | None], np.ndarray]:
    """Give the ranking kernel alone, as a function of threads that takes the backend of the moment."""
    genes, matrix = map_genes(cells.var, vocabulary, gene_ids=None), cells.X
    csr = (matrix.indptr.astype(np.int64), matrix.indices, matrix.data)
    expressed = np.zeros(cells.n_obs, np.int64)
    get_kernels().count_tokens(*csr, genes.token, expressed, first_row=0, last_row=cells.n_obs)
    special = vocabulary.context - vocabulary.max_genes
    offsets = np.zeros(cells.n_obs + 1, np.int64)
    np.cumsum(np.minimum(expressed, vocabulary.max_genes) + special, out=offsets[1:])

    def run(threads: int | None) -> np.ndarray:
        kernels = get_kernels()
        tokens = np.empty(offsets[-1], np.int16)

        def rank(first: int, last: int) -> None:
            kernels.rank_tokens(
                *csr,
                genes.token,
                genes.median,
                offsets,
                tokens,
                np.empty(0, np.float32),
                most_genes=vocabulary.max_genes,
                cls=-1 if vocabulary.cls is None else vocabulary.cls,
                eos=-1 if vocabulary.eos is None else vocabulary.eos,
                first_row=first,
                last_row=last,
            )

        parallel_ranges(rank, cells.n_obs, threads=threads, weights=csr[0])
        return tokens

    return run


def synthesize_to_tokens(
    profiles: AnnData, reference: AnnData, cells: int, vocabulary: bulkgen.Vocabulary, out: Path
) -> bulkgen.TokenDataset:
    """Turn bulk profiles straight into tokens on disk."""
    return bulkgen.synthesize(
        profiles, reference=reference, n_cells=cells, rng=1, to="tokens", vocabulary=vocabulary, out=out
    )


def synthesize_to_file(profiles: AnnData, reference: AnnData, cells: int, out: Path) -> None:
    """Turn bulk profiles into cells in an h5ad file."""
    bulkgen.write(bulkgen.synthesize(profiles, reference=reference, n_cells=cells, rng=1), out, overwrite=True)
