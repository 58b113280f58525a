"""Cells of counts with NumPy's vectorised draws: a block of cells dense, then to CSR.

API: NumPy >= 1.22, ``numpy.random.Generator``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from workloads import CellLaw, Shift

#: Cells that are dense at once; 10 MB of draws.
_BLOCK = 64


def multinomial(law: CellLaw, cells: int, rng: np.random.Generator) -> sp.csr_matrix:
    """Draw the molecules of each cell from the profile."""
    sizes = np.rint(rng.choice(law.sizes, cells)).astype(np.int64)
    return _blocks(lambda rows: rng.multinomial(sizes[rows], law.profile), cells)


def poisson(law: CellLaw, cells: int, rng: np.random.Generator) -> sp.csr_matrix:
    """Draw every gene of every cell."""
    sizes = rng.choice(law.sizes, (cells, 1))
    return _blocks(lambda rows: rng.poisson(sizes[rows] * law.profile), cells)


def negative_binomial(law: CellLaw, cells: int, rng: np.random.Generator) -> sp.csr_matrix:
    """Draw every gene of every cell."""
    sizes = rng.choice(law.sizes, (cells, 1))
    shape, overdispersion = 1 / law.dispersion, law.dispersion * law.profile
    return _blocks(lambda rows: rng.negative_binomial(shape, 1 / (1 + sizes[rows] * overdispersion)), cells)


def donor_shift(shift: Shift, donors: sp.csr_matrix, rng: np.random.Generator) -> sp.csr_matrix:
    """Thin the genes of the donors that go down; add a Poisson number with a Gamma rate to those that go up."""
    up, down = np.flatnonzero(shift.ratio > 1), np.flatnonzero(shift.ratio < 1)
    sizes = np.asarray(donors.sum(axis=1, dtype=np.float64))
    shape, overdispersion = 1 / shift.dispersion[up], shift.dispersion[up] * shift.profile[up]

    def draw(rows: slice) -> np.ndarray:
        counts = donors[rows].toarray().astype(np.int64)
        counts[:, down] = rng.binomial(counts[:, down], shift.ratio[down])
        rate = rng.gamma(shape + counts[:, up]) / (1 / (sizes[rows] * overdispersion) + 1)
        counts[:, up] += rng.poisson((shift.ratio[up] - 1) * rate)
        return counts

    return _blocks(draw, donors.shape[0])


def thin(counts: sp.csr_matrix, keep: float, rng: np.random.Generator) -> sp.csr_matrix:
    """Keep each molecule with a chance: one binomial number for each stored count."""
    kept = rng.binomial(counts.data.astype(np.int64), keep).astype(np.float32)
    thinned = sp.csr_matrix((kept, counts.indices.copy(), counts.indptr.copy()), shape=counts.shape)
    thinned.eliminate_zeros()
    return thinned


def _blocks(draw: Callable[[slice], np.ndarray], cells: int) -> sp.csr_matrix:
    rows = (slice(first, min(first + _BLOCK, cells)) for first in range(0, cells, _BLOCK))
    return sp.vstack([sp.csr_matrix(draw(block).astype(np.float32)) for block in rows], format="csr")
