"""The kernels, in two backends that give the same bits: compiled C++ and Numba.

``BULKGEN_BACKEND=native|numba`` forces one. Without it the compiled core is used where the package has one; a core
that is there but fails to load is an error, never a silent switch.
"""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from bulkgen.kernels.threads import available_threads, ordered_map, parallel_ranges, resolve_threads

if TYPE_CHECKING:
    from bulkgen.kernels.protocol import Kernels

__all__ = ["available_threads", "backend_names", "get_kernels", "ordered_map", "parallel_ranges", "resolve_threads"]


def backend_names() -> tuple[str, ...]:
    """Backends of this installation, the default first."""
    return ("native", "numba") if find_spec("bulkgen._core") is not None else ("numba",)


def get_kernels(name: str | None = None) -> Kernels:
    """Return a backend by name; by default ``BULKGEN_BACKEND`` or the first of :func:`backend_names`.

    Raises
    ------
    ValueError
        If this installation has no backend of that name.
    ImportError
        If the compiled core exists but cannot be loaded.
    """
    return _load(name or os.environ.get("BULKGEN_BACKEND") or backend_names()[0])


@cache
def _load(name: str) -> Kernels:
    if name not in backend_names():
        raise ValueError(
            f"no backend {name!r} here; available: {', '.join(backend_names())} "
            "(set BULKGEN_BACKEND, or install a wheel with the compiled core)"
        )
    if name == "native":
        from bulkgen.kernels.native import NativeKernels

        return NativeKernels()
    from bulkgen.kernels.numba_backend import NumbaKernels

    return NumbaKernels()
