"""Independent negative binomial genes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bulkgen.generators.base import Bulk, Reference, SparseGenerator, cell_address
from bulkgen.generators.ratios import MeanOfBulk
from bulkgen.kernels.negative_binomial import NegativeBinomialPlan
from bulkgen.kernels.rows import Rows

__all__ = ["NegativeBinomial"]


@dataclass(frozen=True)
class FittedNegativeBinomial(SparseGenerator):
    """Plans, one per stratum."""

    plans: tuple[NegativeBinomialPlan, ...]

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return self.plans[0].table.n_genes

    def draw_rows(self, stratum: int, rows: Rows, *, key: int, first_cell: int) -> int:
        """Draw cells of a stratum."""
        return self.plans[stratum].draw(rows, key=key, first_cell=cell_address(stratum, first_cell))


class NegativeBinomial(MeanOfBulk):
    """x ~ NB(mean L·p, variance mean + φ·mean²), genes independent, L the library size of a random real cell.

    Attributes
    ----------
    zero_inflation
        Add zeros to the genes for which a likelihood-ratio test on the reference cells rejects the negative binomial.
    """

    fitted_type: ClassVar = FittedNegativeBinomial

    zero_inflation: bool = False

    def fit(self, bulk: Bulk, reference: Reference) -> FittedNegativeBinomial:
        """Plan every stratum."""
        learned = self.cells_of(bulk, reference)
        plans = []
        for profile, cells in zip(self.profiles(bulk, learned), learned, strict=True):
            rate, dispersion, inflation = profile, cells.dispersion, None
            if self.zero_inflation:
                # what lies beside the additional zeros has a law of its own, and makes up for them
                zeros = cells.zero_inflation
                inflation = zeros.probability
                rate = profile / (1.0 - inflation)
                dispersion = np.where(inflation > 0, zeros.dispersion, dispersion)
            plans.append(NegativeBinomialPlan.of(rate, dispersion, self.sizes_of(cells), inflation=inflation))
        return FittedNegativeBinomial(tuple(plans))
