"""Negative binomial genes that vary together as the reference's do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from bulkgen.estimation.factors import estimate_factors
from bulkgen.estimation.library_sizes import library_size_table
from bulkgen.generators.base import Bulk, Reference, SparseGenerator, cell_address
from bulkgen.generators.learning import LearnsFromControls
from bulkgen.generators.ratios import moved_profiles
from bulkgen.kernels.copula import CopulaPlan, draw_copula, plan_copula
from bulkgen.kernels.rows import Rows

__all__ = ["Copula"]


@dataclass(frozen=True)
class FittedCopula(SparseGenerator):
    """Plans, one per stratum."""

    plans: tuple[CopulaPlan, ...]

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return self.plans[0].independent.n_genes

    def draw_rows(self, stratum: int, rows: Rows, *, key: int, first_cell: int) -> int:
        """Draw cells of a stratum."""
        return draw_copula(self.plans[stratum], rows, key=key, first_cell=cell_address(stratum, first_cell))


class Copula(LearnsFromControls):
    """Negative binomial genes, of which those often seen share a few factors of the reference cells.

    Attributes
    ----------
    mean, library_sizes
        As of :class:`bulkgen.generators.NegativeBinomial`.
    factors
        Most factors; fewer where the reference's correlations do not stand out of chance.
    """

    fitted_type: ClassVar = FittedCopula

    mean: Literal["absolute", "ratio"] = "absolute"
    library_sizes: Literal["bootstrap", "log_normal"] = "bootstrap"
    factors: int = Field(20, ge=1, le=100)

    def fit(self, bulk: Bulk, reference: Reference) -> FittedCopula:
        """Plan every stratum; strata with the same control share its factors."""
        if self.mean == "ratio" and self.control is None:
            raise ValueError("mean='ratio' needs control=, the label of the control cells")
        learned = self.cells_of(bulk, reference)
        profiles = list(bulk.profile) if self.mean == "absolute" else moved_profiles(self, bulk, learned)
        factors = {
            id(cells): estimate_factors(cells.counts, cells.profile, cells.dispersion, most=self.factors)
            for cells in {id(cells): cells for cells in learned}.values()
        }
        plans = []
        for profile, cells in zip(profiles, learned, strict=True):
            sizes = library_size_table(cells.library_sizes, law=self.library_sizes)
            genes, loadings = factors[id(cells)]
            plans.append(plan_copula(profile, cells.dispersion, sizes, genes, loadings))
        return FittedCopula(tuple(plans))
