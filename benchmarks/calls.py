"""Every call of bulkgen that is timed, in one place."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

import bulkgen
from bulkgen.generators import SparseGenerator
from bulkgen.generators.copula import FittedCopula
from bulkgen.generators.donor_shift import FittedDonorShift
from bulkgen.generators.multinomial import FittedMultinomial, FittedPoisson
from bulkgen.generators.negative_binomial import FittedNegativeBinomial
from bulkgen.group_sums import group_sums as bulkgen_group_sums
from bulkgen.kernels import get_kernels, parallel_ranges
from bulkgen.kernels.copula import CopulaPlan
from bulkgen.kernels.donor_shift import Donors, DonorShiftPlan
from bulkgen.kernels.negative_binomial import NegativeBinomialPlan
from bulkgen.kernels.sampling import MultinomialPlan, PoissonLogNormalPlan, thin_matrix
from bulkgen.kernels.truncated_gaussian import (
    TruncatedGaussianPlan,
    draw_truncated_gaussian,
    plan_truncated_gaussian,
)
from bulkgen.profiles import GeneMoments
from bulkgen.profiles import gene_moments as bulkgen_gene_moments
from bulkgen.splits import Groups
from workloads import CellLaw, Shift, TruncatedNormals

ROOT = Path(__file__).parent.parent


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
    return bulkgen_group_sums(matrix, groups_of(codes, n_groups), threads=threads)


def group_sums_dense(
    matrix: sp.csr_matrix, codes: np.ndarray, n_groups: int, *, threads: int | None = None
) -> np.ndarray:
    """Check counts and return groups x genes, dense."""
    return bulkgen_group_sums(matrix, groups_of(codes, n_groups), sparse=False, threads=threads)


def group_sums_kernel(kernels: object, matrix: sp.csr_matrix, groups: Groups, out: np.ndarray) -> np.ndarray:
    """Fill `out` (groups x genes, int64) in two threads by a kernel, the checked or the unchecked one."""
    n_groups, n_genes = out.shape
    indptr = matrix.indptr.astype(np.int64, copy=False)

    def add(first: int, last: int) -> None:
        kernels.group_sums_dense(  # type: ignore[attr-defined]
            indptr,
            matrix.indices,
            matrix.data,
            groups.rows,
            groups.offsets,
            out,
            n_genes=n_genes,
            first_group=first,
            last_group=last,
            first_gene=0,
            last_gene=n_genes,
        )

    parallel_ranges(add, n_groups, threads=2)
    return out


def unchecked_kernels(folder: Path) -> ModuleType:
    """Build the group sums without checks, at the level that the native backend runs at."""
    import pybind11

    level = get_kernels("native").level  # type: ignore[attr-defined]
    configure = ["cmake", "-S", str(ROOT), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Release", "-DBULKGEN_UNCHECKED=ON"]
    configure += [f"-DBULKGEN_UNCHECKED_LEVEL={level.removeprefix('x86-64-')}", f"-DPython_EXECUTABLE={sys.executable}"]
    configure += [f"-Dpybind11_DIR={pybind11.get_cmake_dir()}"]
    for command in (configure, ["cmake", "--build", str(folder), "--target", "_unchecked"]):
        subprocess.run(command, check=True, capture_output=True)
    (library,) = folder.glob("_unchecked*")
    spec = importlib.util.spec_from_file_location("_unchecked", library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def gene_moments(matrix: sp.csr_matrix, codes: np.ndarray, n_groups: int, *, threads: int | None = None) -> GeneMoments:
    """Check counts and return number of non-zeros, sum, mean, variance and largest count of each gene and group."""
    return bulkgen_gene_moments(matrix, codes, n_groups, threads=threads)


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


def fit(bulk: AnnData, reference: AnnData, method: str, **parameters: object) -> bulkgen.Fit:
    """Learn from reference cells."""
    return bulkgen.fit_generator(bulk, reference=reference, method=method, **parameters)


def cells_of_fit(fit: bulkgen.Fit, label: str, cells: int, *, threads: int | None) -> AnnData:
    """Draw cells of one stratum, CSR where they are counts."""
    return bulkgen.synthesize(fitted=fit, n_cells={label: cells}, rng=1, threads=threads)


def tokens_of_fit(
    fit: bulkgen.Fit, label: str, cells: int, vocabulary: bulkgen.Vocabulary, *, threads: int | None
) -> bulkgen.TokenDataset:
    """Draw cells of one stratum straight to tokens in memory."""
    return bulkgen.synthesize(
        fitted=fit, n_cells={label: cells}, rng=1, threads=threads, to="tokens", vocabulary=vocabulary
    )


def synthetic_tokens(
    fit: bulkgen.Fit, cells_per_label: int, vocabulary: bulkgen.Vocabulary, *, batch_size: int
) -> bulkgen.SyntheticTokens:
    """Make fresh cells inside a loader."""
    return bulkgen.SyntheticTokens(fit, cells_per_label, vocabulary=vocabulary, rng=1, batch_size=batch_size)


def stored_loader(tokens: bulkgen.TokenDataset, *, batch_size: int, workers: int) -> Iterable[dict[str, object]]:
    """Read a token data set in batches of like lengths, as a training does."""
    from torch.utils.data import DataLoader

    from bulkgen.training.batches import Cells, LengthGroupedSampler, collate

    cells = Cells(tokens, context=None)
    return DataLoader(
        cells,
        batch_size=batch_size,
        sampler=LengthGroupedSampler(cells.lengths, batch_size=batch_size, seed=1),
        collate_fn=partial(collate, pad=tokens.vocabulary.pad, positions=tokens.vocabulary.context),
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def generators_of_law(law: CellLaw) -> dict[str, SparseGenerator]:
    """Make generators of independent genes by name, without a fit."""
    return {
        "multinomial": FittedMultinomial((MultinomialPlan.of(law.profile, law.sizes),)),
        "negative_binomial": FittedNegativeBinomial((NegativeBinomialPlan.of(law.profile, law.dispersion, law.sizes),)),
        "poisson_log_normal": FittedPoisson((), (PoissonLogNormalPlan.of(law.profile, 0.5, law.sizes),)),
    }


def copula_of_law(law: CellLaw) -> SparseGenerator:
    """Make a generator whose 2,000 most abundant genes share 20 factors, without a fit."""
    genes = np.sort(np.argsort(law.profile)[-2_000:])
    loadings = np.random.default_rng(1).normal(0.0, 0.1, (genes.size, 20))
    loadings /= np.maximum(1.0, np.sqrt((loadings**2).sum(axis=1, keepdims=True)) / 0.9)
    return FittedCopula((CopulaPlan.of(law.profile, law.dispersion, law.sizes, genes, loadings),))


def donor_shift_of_law(shift: Shift, donors: sp.csr_matrix) -> SparseGenerator:
    """Make a generator that moves donors, without a fit."""
    cells = np.arange(donors.shape[0])
    plan = DonorShiftPlan.of(shift.ratio, shift.profile, shift.dispersion)
    return FittedDonorShift(Donors.of(donors), cells, (cells,), (plan,), shared=True)


def sample(generator: SparseGenerator, cells: int, *, threads: int | None) -> sp.csr_matrix:
    """Draw cells of the first stratum."""
    return generator.sample(0, cells, key=1, first_cell=0, threads=threads)


def thin(counts: sp.csr_matrix, keep: float, *, threads: int | None) -> sp.csr_matrix:
    """Keep each molecule with a chance."""
    return thin_matrix(counts, keep, key=1, threads=threads)


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
