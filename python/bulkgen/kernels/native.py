"""The compiled backend: the one place that imports ``bulkgen._core``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulkgen import _core
from bulkgen.kernels.protocol import CsrReport

if TYPE_CHECKING:
    from types import ModuleType

    from bulkgen.kernels.protocol import IndexArray, Int64Array, Kernels, ValueArray

__all__ = ["NativeKernels"]


class NativeKernels:
    """Kernels of the compiled core; the bindings check types, contiguity and memory safety."""

    name = "native"

    def __init__(self) -> None:
        core: ModuleType = _core
        self.version: str = core.__version__
        self.compiler: str = core.compiler
        self._check_csr = core.check_csr
        self.philox_block = core.philox_block
        self.philox_words = core.philox_words
        self.group_moments_integer = core.group_moments_integer
        self.group_moments_real = core.group_moments_real
        self.group_sums_count = core.group_sums_count
        self.group_sums = core.group_sums
        self.count_tokens = core.count_tokens
        self.rank_tokens = core.rank_tokens
        self.truncated_gaussian = core.truncated_gaussian

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
