"""Independent negative binomial genes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from bulkgen.estimation.library_sizes import library_size_table
from bulkgen.estimation.zero_inflation import fit_zero_inflation
from bulkgen.generators.base import Bulk, Reference, SparseGenerator, cell_address
from bulkgen.generators.learning import LearnsFromControls
from bulkgen.generators.ratios import moved_profiles
from bulkgen.kernels.negative_binomial import NegativeBinomialPlan, draw_negative_binomial, plan_negative_binomial
from bulkgen.kernels.rows import Rows

__all__ = ["NegativeBinomial"]


@dataclass(frozen=True)
class FittedNegativeBinomial(SparseGenerator):
    """Plans, one per stratum."""

    plans: tuple[NegativeBinomialPlan, ...]

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return self.plans[0].n_genes

    def draw_rows(self, stratum: int, rows: Rows, *, key: int, first_cell: int) -> int:
        """Draw cells of a stratum."""
        return draw_negative_binomial(self.plans[stratum], rows, key=key, first_cell=cell_address(stratum, first_cell))


class NegativeBinomial(LearnsFromControls):
    """x ~ NB(mean L·p, variance mean + φ·mean²), genes independent, L the library size of a random real cell.

    Attributes
    ----------
    mean
        ``absolute``: p is the bulk's profile. ``ratio``: the control cells' profile times the ratio of the bulk to
        the control's bulk, in which what bulk and single-cell protocols measure differently cancels to first order.
    library_sizes
        ``bootstrap`` the reference cells' own, or draw from a ``log_normal`` law fitted to them.
    zero_inflation
        Add zeros to the genes for which a likelihood-ratio test on the reference cells rejects the negative binomial.
    """

    fitted_type: ClassVar = FittedNegativeBinomial

    mean: Literal["absolute", "ratio"] = "absolute"
    library_sizes: Literal["bootstrap", "log_normal"] = "bootstrap"
    zero_inflation: bool = False

    def fit(self, bulk: Bulk, reference: Reference) -> FittedNegativeBinomial:
        """Plan every stratum."""
        if self.mean == "ratio" and self.control is None:
            raise ValueError("mean='ratio' needs control=, the label of the control cells")
        learned = self.cells_of(bulk, reference)
        profiles = bulk.profile if self.mean == "absolute" else moved_profiles(self, bulk, learned)
        plans = []
        for profile, cells in zip(profiles, learned, strict=True):
            rate, dispersion, inflation = profile, cells.dispersion, None
            if self.zero_inflation:
                # what lies beside the additional zeros has a law of its own
                zeros = cells.zero_inflation
                rate, dispersion, inflation = profile * zeros.mean_factor, zeros.dispersion, zeros.probability
            plans.append(NegativeBinomialPlan.of(rate, dispersion, sizes_of(self, cells), inflation=inflation))
        return FittedNegativeBinomial(tuple(plans))
