"""Inputs for the kernels, and the comparison of two backends bit by bit (also used by the negative control)."""

from __future__ import annotations

import numpy as np

from bulkgen.kernels.protocol import Kernels
from bulkgen.kernels.rows import Rows
from bulkgen.kernels.sampling import MultinomialPlan, PoissonLogNormalPlan, draw_variates
from bulkgen.kernels.truncated_gaussian import draw_truncated_gaussian, plan_truncated_gaussian
from bulkgen.rng import Purpose

#: Names of all kernels.
KERNELS = [name for name, member in vars(Kernels).items() if not name.startswith("_") and callable(member)]

VALUE_TYPES = (np.float32, np.float64, np.int32, np.int64)
INDEX_TYPES = (np.int32, np.int64)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def random_csr(seed, *, cells=40, genes=130, density=0.2, value=np.float32, index=np.int32, fractional=False):
    """Row pointers, columns and values with empty rows and explicit zeros."""
    rng = np.random.default_rng(seed)
    mask = rng.random((cells, genes)) < density
    mask[rng.integers(0, cells, 2)] = False
    counts = rng.negative_binomial(1, 0.2, (cells, genes))  # zeros included: stored as explicit zeros
    indptr = np.concatenate([[0], np.cumsum(mask.sum(axis=1))]).astype(np.int64)
    data = counts[mask].astype(value)
    if fractional:
        data = (data * rng.random(data.size)).astype(value)
    return indptr, np.nonzero(mask)[1].astype(index), data


def random_groups(seed, cells, n_groups):
    """Rows sorted by group with offsets; some cells in no group, some groups empty."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(-1, n_groups, cells)
    codes[codes == 1] = 0
    order = np.argsort(codes, kind="stable")
    order = order[codes[order] >= 0].astype(np.int64)
    sizes = np.bincount(codes[order], minlength=n_groups)
    return order, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def moments_integer(kernels: Kernels, csr, groups, n_genes):
    """Non-zeros, sum, sum of squares and largest, groups x genes."""
    n = groups[1].size - 1
    moments = np.zeros((n, n_genes, 4), np.int64)
    ends = {"first_group": 0, "last_group": n, "first_gene": 0, "last_gene": n_genes}
    assert kernels.group_moments_integer(*csr, *groups, moments, n_genes=n_genes, **ends).bad_row == -1
    return np.moveaxis(moments, -1, 0)


def moments_real(kernels: Kernels, csr, groups, n_genes):
    """Non-zeros, sum, mean, squared deviations and largest, groups x genes."""
    n = groups[1].size - 1
    moments = np.zeros((n, n_genes, 5))
    ends = {"first_group": 0, "last_group": n, "first_gene": 0, "last_gene": n_genes}
    assert kernels.group_moments_real(*csr, *groups, moments, n_genes=n_genes, **ends).bad_row == -1
    return np.moveaxis(moments, -1, 0)


def sums(kernels: Kernels, csr, groups, n_genes, sum_type):
    """Row pointers, columns and values of the sums, and the number of non-zero ones of each group."""
    n = groups[1].size - 1
    counts = np.zeros(n, np.int64)
    ends = {"n_genes": n_genes, "first_group": 0, "last_group": n}
    assert kernels.group_sums_count(*csr, *groups, counts, **ends).bad_row == -1
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    indices, data = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], sum_type)
    assert kernels.group_sums(*csr, *groups, indptr, indices, data, counts, **ends).bad_row == -1
    return indptr, indices, data, counts


def tokens(
    kernels: Kernels, csr, token, median, first_column=(), *, most_genes, cls=-1, eos=-1, token_type=np.int32, room=None
):
    """Genes and tokens of each row, then all tokens and counts end to end."""
    rows = csr[0].size - 1
    most = np.minimum(np.diff(csr[0]), most_genes) + (cls >= 0) + (eos >= 0)
    genes, lengths = np.full((2, rows), -1, np.int64)
    out = np.empty(most.sum() if room is None else room, token_type)
    counts = np.empty(out.size, np.float32)
    first_column = np.asarray(first_column, np.int32)
    options = {"most_genes": most_genes, "cls": cls, "eos": eos, "first_row": 0, "last_row": rows}
    kernels.rank_tokens(*csr, token, median, first_column, out, counts, lengths, genes, **options)
    return genes, lengths, out[: lengths.sum()], counts[: lengths.sum()]


def truncated_gaussian_parameters(n_genes=700, seed=0):
    """Means, deviations and bounds of every kind of gene: ordinary, far tails on both sides, narrow, constant."""
    rng = np.random.default_rng(seed)
    mean = rng.lognormal(-3, 1.5, n_genes)
    sd = np.sqrt(mean + mean**2 / 2)
    lower, upper = np.zeros(n_genes), mean + 10 * sd
    odd = slice(0, n_genes // 2)
    size = n_genes // 2
    mean[odd] = rng.normal(0, 20, size)
    sd[odd] = rng.lognormal(0, 2, size)
    lower[odd] = rng.normal(0, 20, size)
    upper[odd] = lower[odd] + rng.lognormal(0, 4, size)
    sd[::50] = 0
    upper[::51] = np.inf
    lower[7], upper[7] = -np.inf, np.inf
    mean[8], sd[8], lower[8], upper[8] = -1e6, 1.0, 0.0, 5.0
    return mean, sd, lower, upper


def draw(kernels: Kernels, sampler, *, cells=60, key=20240131, first_cell=0, threads=1, masked=False):
    plan = plan_truncated_gaussian(*truncated_gaussian_parameters(), sampler=sampler)
    if masked:
        plan = plan.masked(np.random.default_rng(1).random(plan.n_genes).round(1))
    out = np.empty((cells, plan.n_genes), np.float32)
    draw_truncated_gaussian(plan, out, key=key, first_cell=first_cell, threads=threads, kernels=kernels)
    return out


def sampled_paths_agree(first: Kernels, second: Kernels) -> bool:
    """Whether two backends draw the same bits: what a fused multiply-add must break."""
    return all(
        same_bits(draw(first, sampler, masked=masked), draw(second, sampler, masked=masked))
        for sampler in ("rejection", "inverse")
        for masked in (False, True)
    )


#: Laws of single variates at every branch of their samplers, and on both sides of each switch between two.
VARIATES = [
    ("bernoulli", 0.3),
    ("bernoulli", 1e-6),
    ("poisson", 1e-3),
    ("poisson", 0.7),
    ("poisson", 9.99),
    ("poisson", 10.0),
    ("poisson", 37.5),
    ("poisson", 1e4),
    ("poisson", 1e12),
    ("poisson", 9e15),
    ("binomial", 1, 0.7),
    ("binomial", 8, 0.3),
    ("binomial", 9, 0.3),
    ("binomial", 9, 0.95),
    ("binomial", 50, 0.01),
    ("binomial", 99, 0.1),
    ("binomial", 101, 0.1),
    ("binomial", 20, 0.5),
    ("binomial", 1000, 0.6),
    ("binomial", 10**9, 1e-8),
    ("binomial", 10**9, 0.7),
    ("binomial", 2**53, 1e-15),
    ("binomial", 2**53, 0.5),
    ("log_series", 1e-3, float(np.log1p(-1e-3))),
    ("log_series", 0.5, float(np.log(0.5))),
    ("log_series", 0.99, float(np.log1p(-0.99))),
    ("log_series", 1 - 1e-6, float(np.log1p(-(1 - 1e-6)))),
    ("geometric", 0.3, float(np.log(0.3))),
    ("geometric", 0.99, float(np.log(0.99))),
    ("geometric_sum", 1, 0.6, float(np.log(0.6))),
    ("geometric_sum", 8, 0.3, float(np.log(0.3))),
    ("geometric_sum", 9, 0.3, float(np.log(0.3))),
    ("geometric_sum", 400, 0.9, float(np.log(0.9))),
    ("gamma", 1e-3),
    ("gamma", 0.5),
    ("gamma", 1.0),
    ("gamma", 7.3),
    ("gamma", 1e8),
    ("beta", 0.01, 0.02),
    ("beta", 0.5, 0.5),
    ("beta", 3.0, 5.0),
    ("beta", 200.0, 2.0),
]


def variates(kernels: Kernels, case, *, cells=4, values=400, key=20240131, first_cell=0):
    law, *parameters = case
    return draw_variates(
        law,
        *parameters,
        n_cells=cells,
        n_values=values,
        key=key,
        purpose=int(Purpose.MULTINOMIAL),
        first_cell=first_cell,
        kernels=kernels,
    )


def profile(n_genes=700, seed=0):
    """Weights over ten orders of magnitude, a third of them zero."""
    rng = np.random.default_rng(seed)
    weights = rng.lognormal(0, 4, n_genes)
    weights[rng.random(n_genes) < 0.3] = 0
    return weights


def cell_plans(kernels: Kernels):
    """A plan of every way to draw sparse cells."""
    weights, sizes = profile(), np.array([0.0, 1.0, 300.0, 127.6, 4000.0])
    return {
        "multinomial": MultinomialPlan.of(weights, sizes, kernels=kernels),
        "poisson": MultinomialPlan.of(weights, sizes, poisson_total=True, kernels=kernels),
        "dirichlet_multinomial": MultinomialPlan.of(weights, sizes, concentration=50.0, kernels=kernels),
        "poisson_log_normal": PoissonLogNormalPlan.of(weights / weights.sum(), np.linspace(0, 2, weights.size), sizes),
    }


def cells_of(plan, kernels: Kernels, *, cells=30, key=20240131, first_cell=2**40 - 3, room=None):
    """Row pointers, columns and values of cells, drawn into a buffer that is used again where it is small."""
    rows = Rows.empty(cells, 700 * cells if room is None else room)
    columns, values, lengths = [], [], []
    done = 0
    while done < cells:
        left = Rows(rows.indptr[: cells - done + 1], rows.columns, rows.values)
        written = plan.draw(left, key=key, first_cell=first_cell + done, kernels=kernels)
        assert written > 0
        end = left.indptr[written]
        columns.append(left.columns[:end].copy())
        values.append(left.values[:end].copy())
        lengths.append(np.diff(left.indptr[: written + 1]))
        done += written
    return np.concatenate(lengths), np.concatenate(columns), np.concatenate(values)


def thinned(kernels: Kernels, csr, probability, *, key=20240131, first_cell=5, room=None):
    """How many rows had room, then their pointers, columns and values."""
    rows = Rows.empty(csr[0].size - 1, csr[1].size if room is None else room)
    outputs = (rows.indptr, rows.columns, rows.values)
    written = kernels.thin_rows(*outputs, *csr, probability, key=key, purpose=int(Purpose.THIN), first_cell=first_cell)
    end = rows.indptr[written]
    return written, rows.indptr[: written + 1], rows.columns[:end], rows.values[:end]


def variates_agree(first: Kernels, second: Kernels) -> bool:
    """Whether two backends draw the same variates of every law."""
    return all(same_bits(variates(first, case), variates(second, case)) for case in VARIATES)
