"""Negative binomial genes that vary together as the reference's do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from bulkgen.generators.base import Bulk, Reference, SparseGenerator, cell_address
from bulkgen.generators.ratios import MeanOfBulk
from bulkgen.kernels.copula import CopulaPlan
from bulkgen.kernels.rows import Rows

__all__ = ["Copula"]


@dataclass(frozen=True)
class FittedCopula(SparseGenerator):
    """Plans, one per stratum."""

    plans: tuple[CopulaPlan, ...]

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return self.plans[0].independent.table.n_genes

    def draw_rows(self, stratum: int, rows: Rows, *, key: int, first_cell: int) -> int:
        """Draw cells of a stratum."""
        return self.plans[stratum].draw(rows, key=key, first_cell=cell_address(stratum, first_cell))


class Copula(MeanOfBulk):
    """Negative binomial genes, of which those often seen share a few factors of the reference cells.

    Attributes
    ----------
    factors
        Most factors; fewer where the reference's correlations do not stand out of chance.
    """

    fitted_type: ClassVar = FittedCopula

    factors: int = Field(20, ge=1, le=100)

    def fit(self, bulk: Bulk, reference: Reference) -> FittedCopula:
        """Plan every stratum; strata with the same control share its factors."""
        learned = self.cells_of(bulk, reference)
        factors = {cells: cells.factors(self.factors) for cells in dict.fromkeys(learned)}
        plans = []
        for profile, cells in zip(self.profiles(bulk, learned), learned, strict=True):
            shared = factors[cells]
            plans.append(
                CopulaPlan.of(profile, cells.dispersion, self.sizes_of(cells), shared.genes, shared.loadings.T)
            )
        return FittedCopula(tuple(plans))
