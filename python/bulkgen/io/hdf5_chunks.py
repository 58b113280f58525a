"""Chunks of HDF5 datasets, packed and unpacked by many threads: h5py itself holds one lock while it does that."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    import numpy.typing as npt

__all__ = ["ColumnWriter", "chunk_reader"]

#: Registered numbers of the filters that are known here.
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


class ColumnWriter:
    """Appends to a new one-dimensional dataset, packed by gzip.

    Parameters
    ----------
    group
        Of h5py.
    name
        Of the dataset.
    dtype
        Of its values.
    chunk
        Values of a chunk.
    pool
        Packs the chunks.
    level
        Of gzip.
    shuffled
        Sort the bytes of a chunk by significance. Only runs are sought in these then, which is as fast as lzf without
        the bytes sorted, and packs whole numbers as gzip does.
    """

    def __init__(
        self,
        group: Any,  # noqa: ANN401 - h5py.Group
        name: str,
        dtype: npt.DTypeLike,
        *,
        chunk: int,
        pool: Executor,
        level: int = 1,
        shuffled: bool = True,
    ) -> None:
        self._dataset = group.create_dataset(
            name,
            shape=(0,),
            maxshape=(None,),
            dtype=dtype,
            chunks=(chunk,),
            compression="gzip",
            compression_opts=level,
            shuffle=shuffled,
        )
        self._chunk, self._pool, self._level, self._shuffled = chunk, pool, level, shuffled
        self._held: npt.NDArray[Any] = np.empty(0, dtype)
        self._written = 0

    def append(self, values: npt.NDArray[Any]) -> None:
        """Add values of the type of the dataset; what does not fill a chunk is held back."""
        if self._held.size:
            missing = self._chunk - self._held.size
            self._held = np.concatenate([self._held, values[:missing]])
            values = values[missing:]
            if self._held.size < self._chunk:
                return
            self._write(self._held)
        whole = values.size // self._chunk * self._chunk
        self._write(values[:whole])
        self._held = values[whole:].copy()

    def finish(self) -> None:
        """Write what was held back."""
        size = self._written + self._held.size
        self._write(np.pad(self._held, (0, -self._held.size % self._chunk)))
        self._dataset.resize((size,))

    def _write(self, values: npt.NDArray[Any]) -> None:
        self._dataset.resize((self._written + values.size,))
        for packed in self._pool.map(self._packed, np.ascontiguousarray(values).reshape(-1, self._chunk)):
            self._dataset.id.write_direct_chunk((self._written,), packed)
            self._written += self._chunk

    def _packed(self, values: npt.NDArray[Any]) -> bytes:
        if not self._shuffled:
            return zlib.compress(values.data, self._level)
        pack = zlib.compressobj(self._level, strategy=zlib.Z_RLE)
        return pack.compress(_shuffled(values)) + pack.flush()


def _shuffled(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return the first bytes of all values, then the second, and so on."""
    size = values.itemsize
    used = size
    if np.little_endian:
        # the other bytes are 0
        used = -(-int(values.view(f"u{size}").max()).bit_length() // 8)
    rows = values.view(np.uint8).reshape(-1, size)
    shuffled = np.zeros((size, values.size), np.uint8)
    for place in range(used):
        shuffled[place] = rows[:, place]
    return shuffled
