"""Chunks of an HDF5 dataset, decompressed by many threads: h5py itself holds one lock while it decompresses."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

__all__ = ["chunk_reader"]

#: Registered numbers of the filters that are undone here.
_DEFLATE, _SHUFFLE = 1, 2


def chunk_reader(dataset: Any) -> Callable[[int], npt.NDArray[Any]] | None:  # noqa: ANN401 - h5py.Dataset, or of zarr
    """Return a function that reads the chunk which begins at a place; many threads may call it.

    Parameters
    ----------
    dataset
        One-dimensional.

    Returns
    -------
    callable or None
        The last chunk is as long as the others, beyond the end of the dataset. ``None`` where the chunks are not
        packed by gzip, with or without shuffled bytes: HDF5 has to read those.
    """
    if not hasattr(dataset, "read_direct") or dataset.chunks is None or dataset.dtype.kind not in "iuf":
        return None
    settings = dataset.id.get_create_plist()
    filters = [settings.get_filter(i)[0] for i in range(settings.get_nfilters())]
    if filters not in ([_DEFLATE], [_SHUFFLE, _DEFLATE]):
        return None
    (size,), dtype = dataset.chunks, dataset.dtype

    def read(first: int) -> npt.NDArray[Any]:
        if dataset.id.get_chunk_info_by_coord((first,)).byte_offset is None:
            # never written
            return np.full(size, dataset.fillvalue, dtype)
        # bit i of the mask: the chunk was written without filter i
        mask, raw = dataset.id.read_direct_chunk((first,))
        if not mask >> (len(filters) - 1) & 1:
            raw = zlib.decompress(raw, bufsize=size * dtype.itemsize)
        if len(raw) != size * dtype.itemsize:
            raise OSError(f"the chunk of {dataset.name} at {first} has {len(raw)} bytes, not {size * dtype.itemsize}")
        if len(filters) == 2 and not mask & 1:
            raw = np.frombuffer(raw, np.uint8).reshape(dtype.itemsize, size).T.tobytes()
        return np.frombuffer(raw, dtype)

    return read
