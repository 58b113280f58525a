"""Tissue bulk: fractions of reference states, and cells of each state moved by what the states do not explain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from bulkgen.errors import LabelError
from bulkgen.estimation.fractions import cell_fractions, estimate_fractions
from bulkgen.estimation.ratios import information, shrunk_ratios
from bulkgen.generators.base import Bulk, Generator, Reference, SparseGenerator, cell_address
from bulkgen.generators.control import stratum_name
from bulkgen.generators.donor_shift import response_law
from bulkgen.generators.learning import ReferenceCells
from bulkgen.kernels import get_kernels
from bulkgen.kernels.donor_shift import Donors, DonorShiftPlan, donors_of_cells
from bulkgen.kernels.rows import Rows
from bulkgen.rng import Purpose

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bulkgen.kernels.protocol import Float64Array, Int64Array

__all__ = ["Mixture"]

#: Strata whose plans are kept: threads near the end of one have begun the next.
_STRATA_AT_ONCE = 2


@dataclass(frozen=True)
class FittedMixture(SparseGenerator):
    """Donors of every state, and how those of each state are moved in each stratum.

    Attributes
    ----------
    states
        Name of each state, joined by new lines.
    fractions
        Share of the cells of each state in each stratum, shape (n_strata, n_states).
    donors, reference_rows
        All donors, and their numbers among the reference cells.
    pools
        The donors of each state.
    profiles, dispersions
        Of each state, shape (n_states, n_genes).
    ratios
        What the states do not explain of each stratum, shape (n_strata, n_genes).
    renoise, heterogeneity
        As of :class:`Mixture`.
    """

    states: str
    fractions: Float64Array
    donors: Donors
    reference_rows: Int64Array
    pools: tuple[Int64Array, ...]
    profiles: Float64Array
    dispersions: Float64Array
    ratios: Float64Array
    renoise: float
    heterogeneity: float

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return self.donors.n_genes

    def cell_columns(self, stratum: int, n_cells: int, *, key: int, first_cell: int) -> dict[str, np.ndarray]:
        """Return the state and the donor of each cell."""
        states = self._states(stratum, n_cells, key=key, first_cell=first_cell)
        of_state = [
            self._donors(stratum, state, n_cells, key=key, first_cell=first_cell) for state in range(len(self.pools))
        ]
        donor = np.stack(of_state)[states, np.arange(n_cells)]
        return {"state": np.asarray(self.states.split("\n"))[states], "donor": self.reference_rows[donor]}

    def draw_rows(self, stratum: int, rows: Rows, *, key: int, first_cell: int) -> int:
        """Draw cells, those of one state in a row together."""
        n_cells = rows.indptr.size - 1
        states = self._states(stratum, n_cells, key=key, first_cell=first_cell)
        begins = np.flatnonzero(np.diff(states, prepend=-1))
        end = 0
        for begin, stop in zip(begins, [*begins[1:], n_cells], strict=True):
            state = int(states[begin])
            part = Rows(np.zeros(stop - begin + 1, np.int64), rows.columns[end:], rows.values[end:])
            donor = self._donors(stratum, state, stop - begin, key=key, first_cell=first_cell + int(begin))
            address = cell_address(stratum, first_cell + int(begin))
            drawn = self._plan(stratum, state).draw(part, self.donors, donor, key=key, first_cell=address)
            rows.indptr[begin : begin + drawn + 1] = part.indptr[: drawn + 1] + end
            end += int(part.indptr[drawn])
            if drawn < stop - begin:
                return int(begin) + drawn
        return n_cells

    @cached_property
    def _plan(self) -> Callable[[int, int], DonorShiftPlan]:
        """Plans by stratum and state, made when they are needed: those of all strata would fill gigabytes."""
        return lru_cache(maxsize=_STRATA_AT_ONCE * len(self.pools))(self._made_plan)

    def __getstate__(self) -> dict[str, object]:
        """Return what is copied and sent to other processes: all but the plans, which are made again."""
        return {name: value for name, value in vars(self).items() if name != "_plan"}

    def _made_plan(self, stratum: int, state: int) -> DonorShiftPlan:
        ratio, profile = self.ratios[stratum], self.profiles[state]
        return DonorShiftPlan.of(
            ratio / (ratio * profile).sum(),
            profile,
            self.dispersions[state],
            renoise=self.renoise,
            response=response_law(self.heterogeneity),
        )

    def _states(self, stratum: int, n_cells: int, *, key: int, first_cell: int) -> Int64Array:
        words = np.empty((n_cells, 1), np.uint32)
        address = cell_address(stratum, first_cell)
        get_kernels().philox_words(words, key=key, purpose=int(Purpose.MIXTURE_STATE), first_cell=address)
        ends = np.cumsum(self.fractions[stratum])
        uniform = (words[:, 0] + 0.5) * 2.0**-32 * ends[-1]
        chosen: Int64Array = np.searchsorted(ends, uniform).astype(np.int64)
        return chosen

    def _donors(self, stratum: int, state: int, n_cells: int, *, key: int, first_cell: int) -> Int64Array:
        address = cell_address(stratum, first_cell)
        return donors_of_cells(self.pools[state], n_cells, shared=True, key=key, first_cell=address)


class Mixture(Generator):
    """Cells of the states that a tissue's bulk is made of, in the proportions that explain it.

    What the mixture of states does not explain is one ratio per gene, by which the donors of every state are moved:
    the bulk does not say in which state a gene changed.

    Attributes
    ----------
    states
        Column of the reference's ``obs`` that holds the state (cell type, cell line, cluster) of each cell.
    fractions
        How the fractions are found: non-negative least squares, ``nnls``, or the ``poisson`` likelihood.
    residual
        Whether donors are moved by what the fractions do not explain; without, real cells are resampled.
    renoise, heterogeneity
        As of :class:`~bulkgen.generators.donor_shift.DonorShift`.
    """

    fitted_type: ClassVar = FittedMixture

    states: str
    fractions: Literal["nnls", "poisson"] = "nnls"
    residual: bool = True
    renoise: float = Field(0.0, ge=0, lt=1)
    heterogeneity: float = Field(0.0, ge=0, le=1)

    def reference_columns(self, grouping: Sequence[str]) -> list[str]:
        """Tell reference cells apart by their state; they need not have been in any of the bulk's strata."""
        return [self.states]

    def fit(self, bulk: Bulk, reference: Reference) -> FittedMixture:
        """Find the fractions of the states in each stratum, and what they leave unexplained."""
        bulk.require_counts("how sure a ratio is depends on how many molecules were counted")
        cells = [ReferenceCells(reference, reference.rows([state])) for state in range(len(reference.strata))]
        names = [str(name) for name in reference.strata[self.states]]
        for name, of_state in zip(names, cells, strict=True):
            if of_state.rows.size == 0:
                raise LabelError(f"no cell of state {stratum_name([name])} has counts; leave the state out")
        profiles = [of_state.profile for of_state in cells]
        library_sizes = np.array([of_state.library_sizes.mean() for of_state in cells])
        sums = np.stack([of_state.sums for of_state in cells])
        molecules = np.atleast_2d(estimate_fractions(bulk.counts, sums, method=self.fractions))
        ratios = []
        for stratum, shares in enumerate(molecules):
            # state after state: a matrix product takes another order elsewhere
            parts = (share * profile for share, profile in zip(shares, profiles, strict=True))
            expected = sum(parts, np.zeros(bulk.counts.shape[1]))
            ratios.append(self._residual(bulk, stratum, expected, cells))
        first = np.cumsum([0, *(of_state.rows.size for of_state in cells)])
        return FittedMixture(
            "\n".join(names),
            cell_fractions(molecules, library_sizes),
            Donors.of(sp.vstack([of_state.counts for of_state in cells], format="csr")),
            np.concatenate([of_state.rows for of_state in cells]),
            tuple(np.arange(a, b) for a, b in zip(first[:-1], first[1:], strict=True)),
            np.stack(profiles),
            np.stack([of_state.dispersion for of_state in cells]),
            np.stack(ratios),
            self.renoise,
            self.heterogeneity,
        )

    def _residual(self, bulk: Bulk, stratum: int, expected: Float64Array, cells: list[ReferenceCells]) -> Float64Array:
        """Ratio of each gene in the bulk to what the fractions make expect."""
        if not self.residual:
            return np.ones(expected.size)
        counts = bulk.counts[stratum]
        depth = sum(float(of_state.sums.sum()) for of_state in cells)
        n_cells = sum(of_state.rows.size for of_state in cells)
        dispersion = np.mean([of_state.dispersion for of_state in cells], axis=0)
        known = information(counts)
        if bulk.cells[stratum] > 0:
            samples = int(bulk.cells[stratum])
            size = float(np.mean([of_state.library_sizes.mean() for of_state in cells]))
            molecules = samples * size * counts / counts.sum()
            known = information(counts, molecules=molecules, dispersion=dispersion, samples=samples)
        known_states = information(expected * depth, dispersion=dispersion, samples=n_cells)
        return shrunk_ratios(
            counts,
            expected * depth,
            treated_information=known,
            control_information=known_states,
            reference=expected,
        )
