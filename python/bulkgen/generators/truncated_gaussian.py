"""The poster's generator: independent truncated normals with the bulk's mean and the single cells' variance.

It makes no zeros, lifts low means and flattens fold changes (docs/design/generators.md); it is the baseline that the
other generators are measured against, and faithful to its definition.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from bulkgen.errors import LabelError
from bulkgen.generators.base import Bulk, DenseGenerator, Generator, Reference, cell_address
from bulkgen.generators.control import same_stratum, stratum_name
from bulkgen.kernels.truncated_gaussian import (
    TruncatedGaussianPlan,
    draw_truncated_gaussian,
    draw_truncated_gaussian_tokens,
    plan_truncated_gaussian,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bulkgen.kernels.protocol import Float32Array, Float64Array, Int64Array, TokenArray
    from bulkgen.kernels.row_encoding import RowEncoding

__all__ = ["TruncatedGaussian"]


@dataclass(frozen=True)
class FittedTruncatedGaussian(DenseGenerator):
    """Plans, one per stratum."""

    plans: tuple[TruncatedGaussianPlan, ...]

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return self.plans[0].n_genes

    def fill(self, stratum: int, out: Float32Array, *, key: int, first_cell: int, threads: int | None) -> None:
        """Fill `out` (cells x genes) with cells ``first_cell, first_cell + 1, …`` of a stratum."""
        draw_truncated_gaussian(
            self.plans[stratum], out, key=key, first_cell=cell_address(stratum, first_cell), threads=threads
        )

    def sample_tokens(
        self,
        stratum: int,
        encoding: RowEncoding,
        out: TokenArray,
        lengths: Int64Array,
        genes: Int64Array,
        *,
        key: int,
        first_cell: int,
    ) -> None:
        """Write the tokens of cells, one cell at a time."""
        address = cell_address(stratum, first_cell)
        draw_truncated_gaussian_tokens(self.plans[stratum], encoding, out, lengths, genes, key=key, first_cell=address)


class TruncatedGaussian(Generator):
    """x ~ Normal(μ of the bulk, σ² of single cells), conditioned on 0 ≤ x ≤ the largest count of a single cell.

    Attributes
    ----------
    variance_from
        Whose variance and largest count: the reference cells of the same ``stratum``, ``all`` of them, or those of the
        stratum named by `control`.
    control
        Value of the first grouping column that marks control cells; needed by ``variance_from="control"``.
    sampler
        ``inverse`` or ``rejection``: the same law by other draws, the first in half of the time.
    round
        Round to whole counts.
    zero_mask
        Set each value to zero with the fraction of the same cells in which the gene was not seen.
    """

    variance_from: Literal["stratum", "all", "control"] = "stratum"
    control: str | None = None
    sampler: Literal["inverse", "rejection"] = "inverse"
    round: bool = False
    zero_mask: bool = False

    fitted_type: ClassVar = FittedTruncatedGaussian

    def fit(self, bulk: Bulk, reference: Reference) -> FittedTruncatedGaussian:
        """Plan every gene of every stratum."""
        plans = []
        for mean, (variance, largest, detection) in zip(
            bulk.mean(reference), self._spread(bulk, reference), strict=True
        ):
            deviation = np.sqrt(np.nan_to_num(variance))
            # a gene that does not vary in single cells takes its mean, whatever the largest count was
            fixed = deviation == 0
            lower = np.where(fixed, mean, 0.0)
            upper = np.where(fixed, mean, largest)
            plan = plan_truncated_gaussian(mean, deviation, lower, upper, sampler=self.sampler)
            plan = plan.masked(detection) if self.zero_mask else plan
            plans.append(replace(plan, round=self.round))
        return FittedTruncatedGaussian(tuple(plans))

    def _spread(self, bulk: Bulk, reference: Reference) -> Iterator[tuple[Float64Array, Float64Array, Float64Array]]:
        """Yield variance, largest count and detection rate of each gene, stratum by stratum of the bulk."""
        for row in bulk.strata.itertuples(index=False):
            moments, index = reference.moments, 0
            if self.variance_from == "all":
                moments = reference.pooled
            else:
                index = self._reference_stratum(tuple(row), reference)
            n = int(moments.n[index])
            if n < 2:
                raise LabelError(
                    f"the reference has {n} cell(s) of stratum {stratum_name(tuple(row))}, but a variance needs at "
                    "least 2; use variance_from='all'"
                )
            yield moments.variance[index], moments.max[index], moments.nonzeros[index] / n

    def _reference_stratum(self, row: tuple[object, ...], reference: Reference) -> int:
        if self.variance_from == "control":
            if self.control is None:
                raise ValueError("variance_from='control' needs control=, the label of the control cells")
            first = reference.strata.columns[0]
            wanted = (reference.strata[first].astype(str) == self.control).to_numpy()
            if wanted.sum() != 1:
                raise LabelError(
                    f"control={self.control!r} names {int(wanted.sum())} strata of the reference, it must name one; "
                    f"values of {first!r}: {', '.join(map(str, reference.strata[first].unique()))}"
                )
            return int(np.argmax(wanted))
        return same_stratum(row, reference.strata, otherwise="; use variance_from='all', or 'control'")
