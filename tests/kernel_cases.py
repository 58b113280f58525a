"""Inputs for the kernels, and the comparison of two backends bit by bit (also used by the negative control)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bulkgen.kernels.truncated_gaussian import draw_truncated_gaussian, plan_truncated_gaussian

if TYPE_CHECKING:
    from bulkgen.kernels.protocol import Kernels

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
