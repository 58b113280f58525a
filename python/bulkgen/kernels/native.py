"""The compiled backend: the one place that imports ``bulkgen._core``.

The kernels are compiled for several instruction-set levels that give the same bits; the highest one that the processor
runs is used. ``BULKGEN_ISA=baseline|x86-64-v3|x86-64-v4`` forces one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bulkgen import _core
from bulkgen.kernels.protocol import CsrReport, RowsAdded

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from bulkgen.kernels.protocol import IndexArray, Int64Array, Kernels, ValueArray

__all__ = ["NativeKernels"]


def _rows_added(kernel: Callable[..., tuple[int, float]]) -> Callable[..., RowsAdded]:
    return lambda *arguments, **options: RowsAdded(*kernel(*arguments, **options))


class NativeKernels:
    """Kernels of the compiled core; the bindings check types, contiguity and memory safety."""

    name = "native"

    def __init__(self) -> None:
        core: ModuleType = _core
        self.version: str = core.__version__
        self.compiler: str = core.compiler
        self.levels: tuple[str, ...] = tuple(core.levels())
        self._level = core.level
        self._use_level = core.use_level
        named = os.environ.get("BULKGEN_ISA")
        if named is not None:
            self.use_level(named)
        self._check_csr = core.check_csr
        self.philox_block = core.philox_block
        self.philox_words = core.philox_words
        self.group_moments_integer = _rows_added(core.group_moments_integer)
        self.group_moments_real = _rows_added(core.group_moments_real)
        self.group_sums_dense = _rows_added(core.group_sums_dense)
        self.group_sums_count = _rows_added(core.group_sums_count)
        self.group_sums = _rows_added(core.group_sums)
        self.rank_tokens = core.rank_tokens
        self.truncated_gaussian = core.truncated_gaussian
        self.truncated_gaussian_tokens = core.truncated_gaussian_tokens
        self.alias_table = core.alias_table
        self.multinomial = core.multinomial
        self.poisson_log_normal = core.poisson_log_normal
        self.thin_rows = core.thin_rows
        self.negative_binomial = core.negative_binomial
        self.copula = core.copula
        self.choose_donors = core.choose_donors
        self.donor_shift = core.donor_shift
        self.variates = core.variates

    @property
    def level(self) -> str:
        """The instruction-set level that the kernels run at."""
        return str(self._level())

    def use_level(self, name: str) -> None:
        """Run the kernels at another level, one of `levels`."""
        if name not in self.levels:
            raise ValueError(
                f"BULKGEN_ISA must be one of the levels that this build and this processor have "
                f"({', '.join(self.levels)}), got {name!r}"
            )
        self._use_level(name)

    def check_csr(
        self,
        indptr: Int64Array,
        indices: IndexArray,
        data: ValueArray,
        *,
        n_columns: int,
        first_row: int,
        last_row: int,
    ) -> CsrReport:
        """Find what is wrong with rows ``[first_row, last_row)``, in one pass."""
        report = self._check_csr(indptr, indices, data, n_columns=n_columns, first_row=first_row, last_row=last_row)
        return CsrReport(*report)


if TYPE_CHECKING:

    def _meets_protocol(backend: NativeKernels) -> Kernels:
        return backend
