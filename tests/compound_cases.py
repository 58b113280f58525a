"""Plans of the compound kernels at all their branches, and cells drawn with them."""

from __future__ import annotations

from functools import partial

import numpy as np
import scipy.sparse as sp

from bulkgen.kernels.copula import CopulaPlan
from bulkgen.kernels.donor_shift import Donors, DonorShiftPlan, donors_of_cells
from bulkgen.kernels.negative_binomial import NegativeBinomialPlan
from bulkgen.kernels.rows import Rows
from kernel_cases import random_csr

GENES = 300
SHIFTS = {
    "donor_shift": {},
    "donor_shift_renoise": {"renoise": 0.3},
    "donor_shift_response": {"response": (4.0, 1.0)},
    "donor_shift_renoise_response": {"renoise": 0.1, "response": (0.4, 0.7)},
}
NAMES = ("negative_binomial", "copula", *SHIFTS)


def parameters():
    """Rates, dispersions and library sizes over many orders of magnitude, zeros among them."""
    rng = np.random.default_rng(5)
    rate = rng.lognormal(0, 3, GENES)
    rate[::11] = 0
    dispersion = rng.lognormal(-1, 2, GENES)
    dispersion[::7] = 0
    dispersion[3:20:5] = 1e-9
    return rate / rate.sum(), dispersion, np.array([0.0, 1.0, 300.0, 127.6, 4000.0])


def donors():
    indptr, indices, data = random_csr(8, cells=40, genes=GENES)
    data[::50] = 700
    return Donors.of(sp.csr_matrix((data, indices, indptr), shape=(40, GENES)))


def cells_drawer(name, kernels):
    """Return draw(rows, key=, first_cell=) of a case."""
    rng = np.random.default_rng(6)
    rate, dispersion, sizes = parameters()
    inflation = rng.random(GENES) * (rng.random(GENES) < 0.5)
    if name == "negative_binomial":
        plan = NegativeBinomialPlan.of(rate, dispersion, sizes, inflation=inflation, kernels=kernels)
        return partial(plan.draw, kernels=kernels)
    if name == "copula":
        # abundant genes and genes that are hardly ever seen; a tile and a part of one
        gene = np.flatnonzero(np.arange(GENES) % 10)
        loadings = rng.normal(size=(gene.size, 3)) * 0.3
        large = np.array([4000.0, 2e6])
        plan = CopulaPlan.of(rate, dispersion, large, gene, loadings, inflation=inflation, kernels=kernels)
        return partial(plan.draw, kernels=kernels)
    ratio = np.exp(np.clip(rng.normal(0, 2, GENES), -4, 4))
    ratio[::4] = 1
    plan = DonorShiftPlan.of(ratio, rate, dispersion, **SHIFTS[name], kernels=kernels)
    cells = donors()

    def draw(rows, *, key, first_cell):
        chosen = donors_of_cells(np.arange(3, 40), rows.n_cells, key=key, first_cell=first_cell, kernels=kernels)
        return plan.draw(rows, cells, chosen, key=key, first_cell=first_cell, kernels=kernels)

    return draw


def drawn(draw, n_cells, *, key=20240131, first_cell=(3 << 40) + 7, room=None):
    """Lengths, columns and values of cells; a small buffer is used again until all have been drawn."""
    parts = []
    done = 0
    while done < n_cells:
        rows = Rows.empty(n_cells - done, GENES * n_cells if room is None else room)
        written = draw(rows, key=key, first_cell=first_cell + done)
        assert written > 0
        end = rows.indptr[written]
        parts.append((np.diff(rows.indptr[: written + 1]), rows.columns[:end].copy(), rows.values[:end].copy()))
        done += written
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))
