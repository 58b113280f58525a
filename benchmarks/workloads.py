"""The inputs of the benchmarks, at any scale, the same on every machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from bulkgen import Vocabulary

#: Where matrices that take long to make are kept between runs; git ignores it.
CACHE = Path(os.environ.get("BULKGEN_BENCHMARK_CACHE", Path(__file__).parents[1] / "build" / "benchmarks" / "cache"))

GENES = 20_000
GENES_PER_CELL = 1_500
CELLS = 100_000
CELLS_PER_GROUP = 10
FEW_GROUPS = 28

#: Cells that generators learn from, and those behind the bulk of the treated.
REFERENCE_CELLS, TREATED_CELLS = 10_000, 1_000
UMIS = 4_800

_BLOCK = 2_000
_SIMULATED = 100
_SEED = 20_240_229


def scaled(size: int, scale: float, *, least: int = 1) -> int:
    """Size at a scale."""
    return max(least, round(size * scale))


@dataclass(frozen=True)
class TruncatedNormals:
    """Parameters of one truncated normal per gene, shape (genes,)."""

    mean: np.ndarray
    deviation: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


@dataclass(frozen=True)
class CellLaw:
    """Cells of counts: profile and dispersion of the genes, shape (genes,), and library sizes to choose from."""

    profile: np.ndarray
    dispersion: np.ndarray
    sizes: np.ndarray


@dataclass(frozen=True)
class Shift:
    """How donors are moved: ratio of each gene, and the profile and dispersion of the donors; shape (genes,)."""

    ratio: np.ndarray
    profile: np.ndarray
    dispersion: np.ndarray


def truncated_normals(genes: int = GENES) -> TruncatedNormals:
    """Mean log-normal(-3, 1.5), variance μ + μ²/2 (negative binomial), bounds 0 and μ + 10σ."""
    mean = np.random.default_rng(_SEED).lognormal(-3.0, 1.5, genes)
    deviation = np.sqrt(mean + mean**2 / 2)
    return TruncatedNormals(mean, deviation, np.zeros(genes), mean + 10 * deviation)


def sparse_counts(cells: int, genes: int, genes_per_cell: int, *, seed: int = _SEED) -> sp.csr_matrix:
    """Make counts with exactly `genes_per_cell` expressed genes in every cell, float32.

    The chance that a gene is expressed is log-normal over genes, with 1 as its ceiling. The genes are cut into
    `genes_per_cell` consecutive blocks of total chance about one, and each cell draws one gene of every block: so
    columns are sorted and unique by construction, at the cost of one binary search each. A count is 1 + a geometric
    number of mean 2.
    """
    rng = np.random.default_rng(seed)
    chance = _chances(rng.lognormal(0.0, 1.5, genes), genes_per_cell)
    after = np.cumsum(chance)
    # neighbouring midpoints are at most 1 apart, so that no block is empty
    block = np.clip(np.floor(after - chance / 2).astype(np.int64), 0, genes_per_cell - 1)
    first_gene = np.searchsorted(block, np.arange(genes_per_cell))
    end = np.append(after[first_gene[1:] - 1], after[-1])
    start = np.append(0.0, end[:-1])
    last_gene = np.append(first_gene[1:], genes) - 1
    counts = rng.geometric(1 / 3, 2**16).astype(np.float32)
    indices = np.empty((cells, genes_per_cell), np.int32)
    data = np.empty((cells, genes_per_cell), np.float32)
    for row in range(0, cells, _BLOCK):
        shape = indices[row : row + _BLOCK].shape
        drawn = np.searchsorted(after, start + rng.random(shape) * (end - start), side="right")
        indices[row : row + _BLOCK] = np.clip(drawn, first_gene, last_gene)
        data[row : row + _BLOCK] = counts[rng.integers(0, 2**16, shape)]
    indptr = np.arange(cells + 1, dtype=np.int64) * genes_per_cell
    index = np.int32 if indptr[-1] < 2**31 else np.int64
    matrix = sp.csr_matrix(
        (data.ravel(), indices.ravel().astype(index, copy=False), indptr.astype(index)), shape=(cells, genes)
    )
    matrix.has_sorted_indices = matrix.has_canonical_format = True
    return matrix


def cached_counts(cells: int, genes: int = GENES, genes_per_cell: int = GENES_PER_CELL) -> sp.csr_matrix:
    """Return :func:`sparse_counts`, kept as ``.npy`` files in :data:`CACHE`."""
    return _cached(f"counts-{cells}-{genes}-{genes_per_cell}", lambda: sparse_counts(cells, genes, genes_per_cell))


def cell_law() -> CellLaw:
    """Control cells: about 2,300 of 20,000 genes expressed, dispersions log-normal around 0.5."""
    rng = np.random.default_rng(_SEED)
    profile = rng.lognormal(0.0, 1.75, GENES)
    dispersion = 0.5 * rng.lognormal(0.0, 0.3, GENES)
    return CellLaw(profile / profile.sum(), dispersion, UMIS * rng.lognormal(-0.045, 0.3, 1_000))


def shift_law() -> Shift:
    """Treatment of the control cells, which moves every gene: log-ratios of standard deviation 0.5."""
    law = cell_law()
    ratio = np.random.default_rng(_SEED + 1).lognormal(0.0, 0.5, GENES)
    return Shift(ratio / (ratio * law.profile).sum(), law.profile, law.dispersion)


def negative_binomial_counts(law: CellLaw, cells: int, *, seed: int = _SEED) -> sp.csr_matrix:
    """Simulate cells, float32, a block of them dense at a time."""
    rng = np.random.default_rng(seed)
    blocks = []
    for first in range(0, cells, _SIMULATED):
        sizes = rng.choice(law.sizes, (min(_SIMULATED, cells - first), 1))
        rates = sizes * law.profile * rng.gamma(1 / law.dispersion, law.dispersion, (len(sizes), law.profile.size))
        blocks.append(sp.csr_matrix(rng.poisson(rates).astype(np.float32)))
    return sp.vstack(blocks, format="csr")


def control_cells(scale: float) -> sp.csr_matrix:
    """10,000 cells of :func:`cell_law`."""
    cells = scaled(REFERENCE_CELLS, scale, least=100)
    return _cached(f"control-{cells}-{GENES}", lambda: negative_binomial_counts(cell_law(), cells))


def treated_cells(scale: float) -> sp.csr_matrix:
    """1,000 cells of :func:`cell_law`, treated as :func:`shift_law` says."""
    cells, law = scaled(TREATED_CELLS, scale, least=50), cell_law()
    treated = CellLaw(law.profile * shift_law().ratio, law.dispersion, law.sizes)
    return _cached(f"treated-{cells}-{GENES}", lambda: negative_binomial_counts(treated, cells, seed=_SEED + 1))


def treated_and_control(vocabulary: Vocabulary, scale: float) -> AnnData:
    """Control cells, then treated ones; the genes are the first 20,000 of a vocabulary; ``obs``: a label."""
    parts = {"control": control_cells(scale), "treated": treated_cells(scale)}
    labels = np.repeat(list(parts), [part.shape[0] for part in parts.values()])
    return AnnData(
        sp.vstack(list(parts.values()), format="csr"),
        obs=pd.DataFrame({"label": pd.Categorical(labels)}, index=[f"c{i}" for i in range(labels.size)]),
        var=pd.DataFrame(index=list(vocabulary.tokens)[:GENES]),
    )


def libraries(number: int, reads: float = 20e6) -> sp.csr_matrix:
    """Bulk libraries of so many reads on 20,000 genes."""
    reads_of_genes = np.random.default_rng(_SEED).poisson(reads * cell_law().profile, (number, GENES))
    return sp.csr_matrix(reads_of_genes.astype(np.float32))


def random_groups(cells: int, groups: int) -> np.ndarray:
    """Group of each cell, shape (cells,): groups of equal size (to one cell), cells in random order."""
    return np.random.default_rng(_SEED).permutation(np.arange(cells, dtype=np.int64) % groups)


def group_names(codes: np.ndarray) -> pd.Categorical:
    """Return group numbers as a categorical whose sorted categories are in the order of the numbers."""
    width = len(str(codes.max()))
    return pd.Categorical.from_codes(codes, [f"g{i:0{width}}" for i in range(codes.max() + 1)])


def as_anndata(matrix: sp.csr_matrix, **obs: object) -> AnnData:
    """Cells named c0, c1, …, genes g0, g1, …; the matrix is not copied."""
    return AnnData(
        matrix,
        obs=pd.DataFrame(obs, index=[f"c{i}" for i in range(matrix.shape[0])]),
        var=pd.DataFrame(index=[f"g{i}" for i in range(matrix.shape[1])]),
    )


def vocabulary(name: str) -> Vocabulary:
    """Geneformer's V1 or V2 where its dictionaries are at hand, else one of the same shape."""
    shared = Path(os.environ.get("BULKGEN_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if (shared / "geneformer").is_dir():
        return Vocabulary.load(name, path=shared / "geneformer")
    genes, special, context = {"V1": (25_424, 2, 2_048), "V2": (20_271, 4, 4_096)}[name]
    ids = [f"ENSG{i:011d}" for i in range(1, genes + 1)]
    medians = np.random.default_rng(_SEED).lognormal(0.5, 0.8, genes)
    return Vocabulary(
        name=f"{name}-shaped",
        tokens={gene: i + special for i, gene in enumerate(ids)},
        medians=dict(zip(ids, medians.tolist(), strict=True)),
        pad=0,
        mask=1,
        cls=2 if special == 4 else None,
        eos=3 if special == 4 else None,
        context=context,
        mapping=None,
    )


def cells_of_vocabulary(vocabulary: Vocabulary, cells: int, genes: int, genes_per_cell: int) -> AnnData:
    """Cells whose genes are the first `genes` of a vocabulary; ``obs``: a label and the total counts."""
    ids = list(vocabulary.tokens)[:genes]
    matrix = sparse_counts(cells, len(ids), genes_per_cell)
    obs = pd.DataFrame(
        {"label": np.where(np.arange(cells) % 2, "b", "a"), "n_counts": np.asarray(matrix.sum(axis=1)).ravel()},
        index=[f"c{i}" for i in range(cells)],
    )
    return AnnData(matrix, obs=obs, var=pd.DataFrame(index=ids))


def _cached(name: str, make: Callable[[], sp.csr_matrix]) -> sp.csr_matrix:
    """Return a matrix from its folder in :data:`CACHE`; make it the first time."""
    folder = CACHE / name
    if not folder.is_dir():
        matrix = make()
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        unfinished.mkdir(parents=True)
        for part in ("indptr", "indices", "data", "shape"):
            np.save(unfinished / f"{part}.npy", getattr(matrix, part))
        unfinished.rename(folder)
        del matrix
    indptr, indices, data, shape = (np.load(folder / f"{part}.npy") for part in ("indptr", "indices", "data", "shape"))
    matrix = sp.csr_matrix((data, indices, indptr), shape=tuple(shape))
    matrix.has_sorted_indices = matrix.has_canonical_format = True
    return matrix


def _chances(weight: np.ndarray, total: int) -> np.ndarray:
    """Chances in proportion to weights, at most 1, that add up to a total."""
    if total > weight.size:
        raise ValueError(f"a cell cannot express {total} of {weight.size} genes")
    certain = np.zeros(weight.size, bool)
    while True:
        factor = (total - certain.sum()) / weight[~certain].sum() if not certain.all() else 0.0
        above = ~certain & (weight * factor > 1)
        if not above.any():
            return np.where(certain, 1.0, weight * factor)
        certain |= above
