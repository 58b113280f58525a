"""Counts or transcripts per million: what was declared against what the values say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from bulkgen.errors import CountsError
from bulkgen.warning import warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulkgen.kernels.protocol import Float64Array, Int64Array

__all__ = ["Unit", "checked_values"]

Unit: TypeAlias = Literal["counts", "tpm"]

_MILLION = 1e6
#: How far rounding may move the sum of a sample's TPM.
_ROUNDING = 0.005
#: No logarithm of a count is larger; the largest raw value of a sample hardly ever is smaller.
_LARGEST_LOGARITHM = 30


def checked_values(
    values: np.ndarray, unit: Unit, *, round: bool, samples: Sequence[str], genes: Sequence[str]
) -> Int64Array | Float64Array:
    """Return bulk values in the type of their unit, refusing what they cannot be.

    Parameters
    ----------
    values
        Samples x genes, of any number type; not changed.
    unit
        What they are said to be.
    round
        Take fractional values as expected counts and round them.
    samples, genes
        Names, for messages.

    Returns
    -------
    numpy.ndarray
        int64 counts or float64 TPM.

    Raises
    ------
    CountsError
        If the values are of another kind; the message says what to pass.

    Warns
    -----
    UserWarning
        If TPM sum to less than a million.
    """

    def where(wrong: np.ndarray) -> str:
        sample, gene = divmod(int(np.argmax(wrong)), wrong.shape[1])
        return f"sample {samples[sample]!r}, gene {genes[gene]!r} holds {values[sample, gene]}"

    if not np.isfinite(values).all():
        raise CountsError(
            f"bulk values must be finite, but {where(~np.isfinite(values))}; write 0 where a gene was not seen, or "
            "leave out genes that were not measured in every sample"
        )
    if values.min(initial=0) < 0:
        raise CountsError(
            f"bulk values must not be negative, but {where(values < 0)}; pass counts or TPM as they were before a log "
            "transform, scaling or batch correction"
        )
    totals: Float64Array = values.sum(axis=1, dtype=np.float64)
    if not totals.all():
        raise CountsError(f"sample {samples[int(np.argmin(totals))]!r} has no counts; leave it out")
    fractional = values != np.rint(values)
    any_fractional = bool(fractional.any())
    if any_fractional and values.max() < _LARGEST_LOGARITHM:
        raise CountsError(
            f"the values look log-transformed: {where(fractional)}, and none exceeds {values.max():.4g}; pass counts "
            "or TPM as they were before (2**x - 1 undoes log2(x + 1))"
        )
    million = bool(np.all(np.abs(totals - _MILLION) <= _ROUNDING * _MILLION))
    if unit == "tpm":
        _check_tpm(totals, samples, whole=not any_fractional, million=million)
        return values.astype(np.float64)
    # equal sums of whole numbers are counts that were thinned to a million
    rounded_tpm = million and not any_fractional and bool(np.unique(totals).size > 1)
    if rounded_tpm or (million and any_fractional):
        raise CountsError(
            "every sample sums to about a million, as TPM do: pass unit='tpm' (--unit tpm), or better the counts that "
            "they were made from"
        )
    if any_fractional and not round:
        raise CountsError(
            f"counts must be whole numbers, but {where(fractional)}; for expected counts (RSEM, Salmon, kallisto) pass "
            "round=True (--round), for TPM of a part of the genes unit='tpm' (--unit tpm)"
        )
    counts: Int64Array = np.rint(values).astype(np.int64)
    return counts


def _check_tpm(totals: Float64Array, samples: Sequence[str], *, whole: bool, million: bool) -> None:
    if whole and not million:
        raise CountsError(
            f"unit='tpm', but all values are whole numbers and sample {samples[0]!r} sums to {totals[0]:,.0f}, not a "
            "million: pass unit='counts' (--unit counts)"
        )
    most = int(np.argmax(totals))
    if totals[most] > (1 + _ROUNDING) * _MILLION:
        raise CountsError(
            f"unit='tpm', but sample {samples[most]!r} sums to {totals[most]:,.0f}, where TPM cannot exceed a million; "
            "for expected counts pass unit='counts', round=True (--unit counts --round)"
        )
    least = int(np.argmin(totals))
    if totals[least] < (1 - _ROUNDING) * _MILLION:
        warn(
            f"the TPM of sample {samples[least]!r} sum to {totals[least]:,.0f}, not a million: a part of the genes is "
            "missing, or the values are FPKM"
        )
