"""Chunks of HDF5 datasets, packed and unpacked by many threads: h5py itself holds one lock while it does that."""

from __future__ import annotations

import zlib
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

unpacker: Any
try:
    from isal import isal_zlib as unpacker
except ImportError:
    unpacker = zlib

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    import numpy.typing as npt

__all__ = ["ColumnWriter", "check_filters", "chunk_reader"]

#: A packed chunk of at most so many bytes is unpacked at once, to at most 1,032 times as many (deflate's limit).
_AT_ONCE = 1 << 18
#: Registered numbers of the filters that are known here, in the order in which they pack.
_SHUFFLE, _DEFLATE, _FLETCHER32 = 2, 1, 3
_PACKINGS = ([_DEFLATE], [_SHUFFLE, _DEFLATE], [_DEFLATE, _FLETCHER32], [_SHUFFLE, _DEFLATE, _FLETCHER32])
#: The sums of a checksum fit 64 bits as long as there are no more bytes than this in a chunk.
_MOST_CHECKED = 1 << 24


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
        packed by gzip, with or without shuffled bytes and checksums: HDF5 has to read those.
    """
    if not hasattr(dataset, "read_direct") or dataset.chunks is None or dataset.dtype.kind not in "iuf":
        return None
    settings = dataset.id.get_create_plist()
    filters = [settings.get_filter(i)[0] for i in range(settings.get_nfilters())]
    (size,), dtype, place = dataset.chunks, dataset.dtype, f"{dataset.file.filename}, {dataset.name}"
    n_bytes = size * dtype.itemsize
    if filters not in _PACKINGS or (_FLETCHER32 in filters and n_bytes > _MOST_CHECKED):
        return None

    def read(first: int) -> npt.NDArray[Any]:
        try:
            # bit i of the mask: the chunk was written without filter i
            mask, raw = dataset.id.read_direct_chunk((first,))
        except (OSError, RuntimeError) as error:
            # asked only now, for it takes a walk over all chunks
            if dataset.id.get_chunk_info_by_coord((first,)).byte_offset is not None:
                raise OSError(f"{place} cannot be read at {first}: {error}") from error
            # never written
            return np.full(size, dataset.fillvalue, dtype)
        applied = [number for i, number in enumerate(filters) if not mask >> i & 1]
        try:
            if _FLETCHER32 in applied:
                raw = _checked(raw)
            if _DEFLATE in applied:
                raw = _unpacked(raw, n_bytes)
        except (zlib.error, unpacker.error, ValueError) as error:
            raise OSError(f"{place} is damaged at {first}: {error}") from error
        if len(raw) != n_bytes:
            raise OSError(f"{place} is damaged: the chunk at {first} has {len(raw)} bytes, not {n_bytes}")
        if _SHUFFLE in applied:
            values = np.empty((size, dtype.itemsize), np.uint8)
            # a byte at a time, which is four times as fast as the transposed at once
            for place_in_value, of_values in enumerate(np.frombuffer(raw, np.uint8).reshape(dtype.itemsize, size)):
                values[:, place_in_value] = of_values
            return values.reshape(-1).view(dtype)
        return np.frombuffer(raw, dtype)

    return read


def _checked(raw: bytes) -> bytes:
    """Return what stands before its checksum by Fletcher, as HDF5 has it: of big-endian words, an odd byte padded."""
    content = raw[:-4]
    sums = np.cumsum(np.frombuffer(content + bytes(len(content) % 2), ">u2"), dtype=np.uint64)
    # both sums modulo 2^16 - 1, where 0 is of zeros alone
    low, high = ((int(found) - 1) % 65_535 + 1 if found else 0 for found in (sums[-1:].sum(), sums.sum()))
    if raw[-4:] != (high << 16 | low).to_bytes(4, "little"):
        raise ValueError("its checksum is another")
    return content


def _unpacked(raw: bytes, n_bytes: int) -> bytes:
    """Unpack what should give `n_bytes`; where it gives more, not much more."""
    if len(raw) <= _AT_ONCE:
        return bytes(unpacker.decompress(raw, bufsize=n_bytes))
    # slower: the interpreter's lock is taken for each piece of the result
    unpack = unpacker.decompressobj()
    found = bytes(unpack.decompress(raw, n_bytes + 1))
    if not unpack.eof:
        raise zlib.error(f"it does not end after {n_bytes} bytes")
    return found


def check_filters(group: Any) -> None:  # noqa: ANN401 - of h5py or zarr
    """Refuse datasets that are packed by what neither HDF5 nor an installed plugin unpacks.

    Raises
    ------
    OSError
        Naming the dataset, the filter and what to install.
    """
    if not type(group).__module__.startswith("h5py"):
        return
    import h5py

    def check(name: str, item: object) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        settings = item.id.get_create_plist()
        for i in range(settings.get_nfilters()):
            number, _, _, filter_name = settings.get_filter(i)
            if not h5py.h5z.filter_avail(number):
                what = filter_name.decode(errors="replace") or "without a name"
                raise OSError(
                    f"{item.name} is packed by the HDF5 filter {number} ({what}), which is not installed: "
                    f"pip install hdf5plugin"
                )

    check(group.name, group)
    if hasattr(group, "visititems"):
        group.visititems(check)


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
        Sort the bytes of a chunk by significance, and pack whole numbers faster than lzf does; the level has no effect.
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
        return _packed_by_byte(values) if self._shuffled else zlib.compress(values.data, self._level)


def _packed_by_byte(values: npt.NDArray[Any]) -> bytes:
    """Return what HDF5's shuffle and gzip filters undo: the first bytes of all values, then the second, and so on.

    The first byte of a count or column looks random, so that repeats are not sought, and the others hardly change, so
    that runs of one byte are; those that are all 0 are packed once for all chunks. Any of this is valid deflate.
    """
    size = used = values.itemsize
    if np.little_endian:
        used = -(-int(values.view(f"u{size}").max()).bit_length() // 8)
    parts, checksum = [b"\x78\x01"], 1
    for place in range(used):
        of_values = np.ascontiguousarray(values.view(np.uint8).reshape(-1, size)[:, place])
        pack = zlib.compressobj(1, wbits=-15, strategy=zlib.Z_RLE if place else zlib.Z_HUFFMAN_ONLY)
        parts += [pack.compress(of_values.data), pack.flush(zlib.Z_SYNC_FLUSH)]
        checksum = zlib.adler32(of_values.data, checksum)
    zeros = (size - used) * values.size
    low, high = checksum & 0xFFFF, checksum >> 16
    return b"".join([*parts, _packed_zeros(zeros), ((high + zeros * low) % 65_521 << 16 | low).to_bytes(4, "big")])


@cache
def _packed_zeros(n: int) -> bytes:
    """Return the end of a deflate stream: so many zeros."""
    pack = zlib.compressobj(1, wbits=-15)
    return pack.compress(bytes(n)) + pack.flush()
