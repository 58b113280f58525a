"""Molecules drawn one by one from the bulk's profile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from bulkgen.elementary import exp
from bulkgen.estimation.dispersion import log_normal_sigma
from bulkgen.generators.base import Bulk, Reference, SparseGenerator, cell_address
from bulkgen.generators.learning import DrawsLibrarySizes
from bulkgen.kernels.rows import Rows
from bulkgen.kernels.sampling import MultinomialPlan, PoissonLogNormalPlan

__all__ = ["Multinomial", "Poisson"]


@dataclass(frozen=True)
class FittedMultinomial(SparseGenerator):
    """Plans, one per stratum."""

    plans: tuple[MultinomialPlan, ...]

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return self.plans[0].profile.n_genes

    def draw_rows(self, stratum: int, rows: Rows, *, key: int, first_cell: int) -> int:
        """Draw cells of a stratum."""
        return self.plans[stratum].draw(rows, key=key, first_cell=cell_address(stratum, first_cell))


class Multinomial(DrawsLibrarySizes):
    """Cells of the library size of a random real cell, each molecule's gene drawn from the bulk's profile.

    Attributes
    ----------
    concentration
        A finite one makes the profile itself vary from cell to cell, by a Dirichlet law with this sum of parameters
        (Dirichlet-multinomial); with ``estimate`` cells express as many genes as the reference's. A gene of share p
        has the dispersion 1 / (concentration · p): rare genes vary more than real ones, strong ones less.
    """

    fitted_type: ClassVar = FittedMultinomial

    concentration: Annotated[float, Field(gt=0)] | Literal["estimate"] | None = None

    def fit(self, bulk: Bulk, reference: Reference) -> FittedMultinomial:
        """Plan every stratum."""
        plans = []
        for profile, cells in zip(bulk.profile, self.cells_of(bulk, reference), strict=True):
            if self.concentration == "estimate":
                concentration = cells.concentration()
            else:
                concentration = np.inf if self.concentration is None else self.concentration
            plans.append(MultinomialPlan.of(profile, self.sizes_of(cells), concentration=concentration))
        return FittedMultinomial(tuple(plans))


@dataclass(frozen=True)
class FittedPoisson(SparseGenerator):
    """Plans, one per stratum, of one of two laws; the other tuple is empty."""

    poisson: tuple[MultinomialPlan, ...]
    log_normal: tuple[PoissonLogNormalPlan, ...]

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return self.poisson[0].profile.n_genes if self.poisson else self.log_normal[0].scale.size

    def draw_rows(self, stratum: int, rows: Rows, *, key: int, first_cell: int) -> int:
        """Draw cells of a stratum."""
        plan = self.poisson[stratum] if self.poisson else self.log_normal[stratum]
        return plan.draw(rows, key=key, first_cell=cell_address(stratum, first_cell))


class Poisson(DrawsLibrarySizes):
    """x ~ Poisson(L·p), genes independent, p the bulk's profile and L the library size of a random real cell.

    What a generator without any biology would make: the floor that others are measured against.

    Attributes
    ----------
    log_normal
        The rate of each gene varies from cell to cell by a log-normal law of mean 1, whose variance is the reference's
        dispersion.
    """

    fitted_type: ClassVar = FittedPoisson

    log_normal: bool = False

    def fit(self, bulk: Bulk, reference: Reference) -> FittedPoisson:
        """Plan every stratum."""
        learned = list(zip(bulk.profile, self.cells_of(bulk, reference), strict=True))
        if not self.log_normal:
            plans = (
                MultinomialPlan.of(profile, self.sizes_of(cells), poisson_total=True) for profile, cells in learned
            )
            return FittedPoisson(tuple(plans), ())
        varying = []
        for profile, cells in learned:
            sigma = log_normal_sigma(cells.dispersion)
            scale = profile * exp(-0.5 * sigma * sigma)
            varying.append(PoissonLogNormalPlan.of(scale, sigma, self.sizes_of(cells)))
        return FittedPoisson((), tuple(varying))
