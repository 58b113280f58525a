"""Molecules drawn one by one from the bulk's profile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from bulkgen.estimation.concentration import estimate_concentration, log_normal_sigma
from bulkgen.estimation.library_sizes import library_size_sample
from bulkgen.generators.base import Bulk, Reference, SparseGenerator, cell_address
from bulkgen.generators.learning import LearnsFromControls
from bulkgen.kernels.multinomial import MultinomialPlan, draw_multinomial, plan_multinomial
from bulkgen.kernels.poisson_log_normal import PoissonLogNormalPlan, draw_poisson_log_normal, plan_poisson_log_normal
from bulkgen.kernels.rows import Rows

__all__ = ["Multinomial", "Poisson"]


@dataclass(frozen=True)
class FittedMultinomial(SparseGenerator):
    """Plans, one per stratum."""

    plans: tuple[MultinomialPlan, ...]

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return self.plans[0].n_genes

    def draw_rows(self, stratum: int, rows: Rows, *, key: int, first_cell: int) -> int:
        """Draw cells of a stratum."""
        return draw_multinomial(self.plans[stratum], rows, key=key, first_cell=cell_address(stratum, first_cell))


@dataclass(frozen=True)
class FittedPoissonLogNormal(SparseGenerator):
    """Plans, one per stratum."""

    plans: tuple[PoissonLogNormalPlan, ...]

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return self.plans[0].n_genes

    def draw_rows(self, stratum: int, rows: Rows, *, key: int, first_cell: int) -> int:
        """Draw cells of a stratum."""
        return draw_poisson_log_normal(self.plans[stratum], rows, key=key, first_cell=cell_address(stratum, first_cell))


class Multinomial(LearnsFromControls):
    """Cells of the library size of a random real cell, each molecule's gene drawn from the bulk's profile.

    Attributes
    ----------
    library_sizes
        ``bootstrap`` the reference cells' own, or draw from a ``log_normal`` law fitted to them.
    concentration
        A finite one makes the profile itself vary from cell to cell, by a Dirichlet law with this sum of parameters
        (Dirichlet-multinomial); ``estimate`` takes it from the reference cells.
    """

    fitted_type: ClassVar = FittedMultinomial

    library_sizes: Literal["bootstrap", "log_normal"] = "bootstrap"
    concentration: float | Literal["estimate"] | None = Field(None, gt=0)

    _poisson_total: ClassVar[bool] = False

    def fit(self, bulk: Bulk, reference: Reference) -> FittedMultinomial:
        """Plan every stratum."""
        plans = []
        for profile, cells in zip(bulk.profile, self.cells_of(bulk, reference), strict=True):
            concentration = np.inf if self.concentration is None else self.concentration
            if concentration == "estimate":
                concentration = estimate_concentration(cells.counts)
            sizes = library_size_sample(cells.library_sizes, model=self.library_sizes)
            plans.append(
                plan_multinomial(profile, sizes, poisson_total=self._poisson_total, concentration=float(concentration))
            )
        return FittedMultinomial(tuple(plans))
