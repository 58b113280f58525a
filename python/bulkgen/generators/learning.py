"""Which reference cells a generator learns from."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import BeforeValidator

from bulkgen.errors import LabelError
from bulkgen.estimation.concentration import estimate_concentration
from bulkgen.estimation.dispersion import estimate_dispersion
from bulkgen.estimation.factors import Factors, estimate_factors
from bulkgen.estimation.library_sizes import library_size_sample
from bulkgen.estimation.profile import profile_of
from bulkgen.estimation.zero_inflation import ZeroInflation, estimate_zero_inflation
from bulkgen.generators.base import Bulk, Generator, Reference
from bulkgen.generators.control import control_strata, stratum_name

if TYPE_CHECKING:
    import scipy.sparse as sp

    from bulkgen.kernels.protocol import Float64Array, Int64Array

__all__ = ["DrawsLibrarySizes", "LearnsFromControls", "ReferenceCells"]

#: Fewer cells say nothing of how a gene varies.
_FEWEST_CELLS = 10


class ReferenceCells:
    """Some reference cells and what is estimated from them, each estimate when it is first needed.

    Attributes
    ----------
    rows
        Numbers of the cells among all of the reference, ascending.
    counts
        Their counts, cells x genes.
    library_sizes
        Their total counts; all above zero, since cells without counts are left out.
    """

    def __init__(self, reference: Reference, rows: Int64Array) -> None:
        rows = rows[reference.library_sizes[rows] > 0]
        self.rows = reference.numbers(rows)
        self.counts: sp.csr_matrix = reference.counts[rows]
        self.library_sizes: Float64Array = reference.library_sizes[rows]
        self._threads = reference.threads

    @cached_property
    def sums(self) -> Float64Array:
        """Total counts of each gene."""
        return np.asarray(self.counts.sum(axis=0, dtype=np.float64)).ravel()

    @cached_property
    def profile(self) -> Float64Array:
        """Share of each gene."""
        return profile_of(self.sums)

    @cached_property
    def zero_inflation(self) -> ZeroInflation:
        """Zeros beyond the negative binomial law of each gene."""
        return estimate_zero_inflation(self.counts, self._one_stratum(), 1)

    @cached_property
    def dispersion(self) -> Float64Array:
        """Dispersion of each gene."""
        return estimate_dispersion(self.counts, self._one_stratum(), 1, threads=self._threads)

    def factors(self, most: int) -> Factors:
        """Return the factors that genes share, at most so many."""
        return estimate_factors(self.counts, self._one_stratum(), 1, self.dispersion, n_factors=most)

    def concentration(self) -> float:
        """Return the concentration of a Dirichlet-multinomial law of the cells."""
        return estimate_concentration(self.counts, self._one_stratum(), 1)

    def _one_stratum(self) -> Int64Array:
        return np.zeros(self.rows.size, np.int64)


class LearnsFromControls(Generator):
    """Base of the generators that learn from the control cells, or from all where no control is named.

    Attributes
    ----------
    control
        Value of the first grouping column that marks control cells (vehicle, untreated, healthy).
    control_by
        Further grouping columns (cell type, patient) in which a stratum and its controls must agree; one or several.
    """

    control: str | None = None
    control_by: Annotated[tuple[str, ...], BeforeValidator(lambda by: (by,) if isinstance(by, str) else by)] = ()

    def cells_of(self, bulk: Bulk, reference: Reference) -> list[ReferenceCells]:
        """Return the cells that each stratum of the bulk learns from; the same object for the same cells.

        Raises
        ------
        LabelError
            If a stratum has no control cells, or too few.
        ValueError
            If `control_by` is given without `control`.
        """
        if self.control is None:
            if self.control_by:
                raise ValueError("control_by needs control=, the label of the control cells")
            return [self._checked(ReferenceCells(reference, np.arange(reference.codes.size)))] * len(bulk.strata)
        found = control_strata(
            bulk.strata, reference.strata, control=self.control, control_by=self.control_by, where="reference"
        )
        made = {
            strata: self._checked(ReferenceCells(reference, reference.rows(strata)))
            for strata in dict.fromkeys(tuple(numbers) for numbers in found)
        }
        return [made[tuple(numbers)] for numbers in found]

    def _checked(self, cells: ReferenceCells) -> ReferenceCells:
        if cells.rows.size < _FEWEST_CELLS:
            which = "" if self.control is None else f" of control {stratum_name([self.control])}"
            raise LabelError(
                f"the reference has {cells.rows.size} cell(s){which} with counts, but at least {_FEWEST_CELLS} are "
                "needed to learn how genes vary; add cells, or name fewer columns in control_by"
            )
        return cells


class DrawsLibrarySizes(LearnsFromControls):
    """Base of the generators whose cells take a library size from the reference cells.

    Attributes
    ----------
    library_sizes
        ``bootstrap`` the reference cells' own, or draw from a ``log_normal`` law fitted to them.
    """

    library_sizes: Literal["bootstrap", "log_normal"] = "bootstrap"

    def sizes_of(self, cells: ReferenceCells) -> Float64Array:
        """Return the library sizes to choose from."""
        return library_size_sample(cells.library_sizes, model=self.library_sizes).astype(np.float64)
