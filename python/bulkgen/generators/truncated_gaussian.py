"""The poster's generator: independent truncated normals with the bulk's mean and the single cells' variance.

It makes no zeros, lifts low means and flattens fold changes (docs/design/generators.md); it is the baseline that the
other generators are measured against, and faithful to its definition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from bulkgen.errors import LabelError
from bulkgen.generators.base import Bulk, Generator, Reference
from bulkgen.kernels import get_kernels
from bulkgen.kernels.truncated_gaussian import (
    TruncatedGaussianPlan,
    draw_truncated_gaussian,
    plan_truncated_gaussian,
)
from bulkgen.rng import Purpose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bulkgen.kernels.protocol import Float64Array, RealArray, UInt32Array

__all__ = ["TruncatedGaussian"]

#: Rows of random words held at once for the zero mask.
_MASK_ROWS = 256


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
        ``rejection`` or ``inverse``: the same law by other draws.
    round
        Round to whole counts.
    zero_mask
        Set each value to zero with the fraction of the same cells in which the gene was not seen.
    """

    variance_from: Literal["stratum", "all", "control"] = "stratum"
    control: str | None = None
    sampler: Literal["rejection", "inverse"] = "rejection"
    round: bool = False
    zero_mask: bool = False

    def fit(self, bulk: Bulk, reference: Reference) -> FittedTruncatedGaussian:
        """Plan every gene of every stratum."""
        plans = []
        detections = []
        for stratum, (variance, largest, detection) in enumerate(self._spread(bulk, reference)):
            mean = bulk.mean[stratum]
            deviation = np.sqrt(np.nan_to_num(variance))
            # a gene that does not vary in single cells takes its mean, whatever the largest count was
            fixed = deviation == 0
            lower = np.where(fixed, mean, 0.0)
            upper = np.where(fixed, mean, largest)
            plans.append(plan_truncated_gaussian(mean, deviation, lower, upper, sampler=self.sampler))
            detections.append(detection)
        return FittedTruncatedGaussian(self, tuple(plans), tuple(detections))

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
                    f"the reference has {n} cell(s) of stratum {_name(tuple(row))}, but a variance needs at least 2; "
                    "use variance_from='all'"
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
        else:
            wanted = (reference.strata.astype(str) == [str(value) for value in row]).all(axis=1).to_numpy()
            if not wanted.any():
                raise LabelError(
                    f"the reference has no cells of stratum {_name(row)}; use variance_from='all', or 'control'"
                )
        return int(np.argmax(wanted))


@dataclass(frozen=True)
class FittedTruncatedGaussian:
    """Plans and detection rates, one per stratum."""

    parameters: TruncatedGaussian
    plans: tuple[TruncatedGaussianPlan, ...]
    detections: tuple[Float64Array, ...]

    def sample(self, stratum: int, out: RealArray, *, key: int, first_cell: int, threads: int | None) -> None:
        """Fill `out` (cells x genes) with cells ``first_cell, first_cell + 1, …`` of a stratum."""
        draw_truncated_gaussian(self.plans[stratum], out, key=key, first_cell=first_cell, threads=threads)
        if self.parameters.zero_mask:
            _mask_zeros(out, self.detections[stratum], key=key, first_cell=first_cell)
        if self.parameters.round:
            np.rint(out, out=out)


def _mask_zeros(out: RealArray, detection: Float64Array, *, key: int, first_cell: int) -> None:
    kernels = get_kernels()
    threshold = np.floor(detection * 2.0**32)
    for start in range(0, len(out), _MASK_ROWS):
        rows = out[start : start + _MASK_ROWS]
        words: UInt32Array = np.empty(rows.shape, np.uint32)
        kernels.philox_words(words, key=key, purpose=int(Purpose.ZERO_MASK), first_cell=first_cell + start)
        rows[words >= threshold] = 0


def _name(row: tuple[object, ...]) -> str:
    return repr(" | ".join(map(str, row)))
