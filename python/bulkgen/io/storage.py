"""What a file claims of itself, checked before any of it is read: sizes, links, and who decodes it."""

from __future__ import annotations

import math
import mmap
import os
import re
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from bulkgen.io.resources import total_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["check_storage", "plausible_bytes"]

#: No compression of real data reaches this; a bomb does.
_MOST_COMPRESSED = 2048
#: What any file may claim.
_ALLOWED_BYTES = 1 << 28
#: Groups in groups: far beyond any AnnData, far below what exhausts the stack.
_DEEPEST = 64
#: Decoders that compute numbers and strings; numcodecs also has pickles, which run code.
_CODECS = frozenset(
    (
        *("adler32", "crc32", "crc32c", "fletcher32", "jenkins_lookup3"),
        *("astype", "bitround", "bytes", "delta", "fixedscaleoffset", "packbits", "quantize", "shuffle", "transpose"),
        *("blosc", "bz2", "gzip", "lz4", "lzma", "zlib", "zstd"),
        *("sharding_indexed", "vlen-array", "vlen-bytes", "vlen-utf8"),
    )
)
#: What a heap of strings begins with: signature, version, three zeros.
_HEAP = b"GCOL\x01\x00\x00\x00"
#: Names of chunks by their places: what else lies about (``9.<id>.partial`` of a writer that was killed) is none.
_CHUNK_NAME = re.compile(r"c|(c\.)?\d+(\.\d+)*")
#: The arrays of a sparse matrix: a lost chunk of one reads as zeros, which are other counts.
_SPARSE_PARTS = ("data", "indices", "indptr")


def plausible_bytes(stored: int, most_compressed: int = _MOST_COMPRESSED) -> int:
    """Return the most bytes that so many stored ones may claim to hold."""
    return _ALLOWED_BYTES + most_compressed * stored


def _claimable(stored: int) -> int:
    """Return the most bytes that a store of cells may claim: zeros need not be stored, if memory has room for them."""
    return max(plausible_bytes(stored), (total_memory() or 0) // 8)


def check_storage(path: Path) -> None:
    """Refuse a store of cells that claims more than it holds, asks for other files, or asks to run code.

    It reads names and sizes, no values.

    Raises
    ------
    ValueError
        The message says which part is wrong.
    Exception
        What h5py and zarr raise for a damaged store.
    """
    (_check_zarr if path.suffix == ".zarr" else _check_hdf5)(path)


def _check_annotated(root: Any) -> None:  # noqa: ANN401 - of h5py or zarr
    missing = [name for name in ("obs", "var") if name not in root]
    if missing:
        remedy = "; read a file of Cell Ranger with scanpy.read_10x_h5, and write it as .h5ad"
        raise ValueError(f"it has no {missing[0]}, as an AnnData has{remedy if 'matrix' in root else ''}")


def _check_hdf5(path: Path) -> None:
    values: list[tuple[int, int]] = []
    matrices: list[h5py.Group] = []
    with h5py.File(path, "r") as file:
        _check_annotated(file)
        stored = path.stat().st_size
        claimed = 0
        seen = {h5py.h5o.get_info(file.id).addr}
        groups: list[tuple[h5py.Group, int]] = [(file, 0)]
        while groups:
            group, depth = groups.pop()
            if depth > _DEEPEST:
                raise ValueError(f"its groups are nested more than {_DEEPEST} deep at {group.name[:80]!r}")
            if set(_SPARSE_PARTS) <= set(group):
                matrices.append(group)
            for name in group:
                place = f"{group.name.rstrip('/')}/{name}"
                _check_link(group, name, place)
                item = group[name]
                if isinstance(item, h5py.Group):
                    address = h5py.h5o.get_info(item.id).addr
                    if address in seen:
                        raise ValueError(f"its group {place} is linked twice, or into itself")
                    seen.add(address)
                    groups.append((item, depth + 1))
                elif isinstance(item, h5py.Dataset):
                    extents = _extents(item)
                    _check_dataset(item, place, extents)
                    values += extents
                    claimed += _claimed_bytes(item.shape, item.dtype.itemsize)
                    if claimed > _claimable(stored):
                        raise ValueError(_bomb(place, item.shape, stored))
        _check_heaps(path, values)
        for group in matrices:
            _check_shape(group)


def _check_shape(group: Any) -> None:  # noqa: ANN401 - of h5py or zarr
    """Refuse a sparse matrix that claims other rows than it has pointers to, before they are allocated."""
    shape = group.attrs.get("shape", group.attrs.get("h5sparse_shape"))
    if shape is not None and np.shape(shape) != (2,):
        raise ValueError(f"its {group.name} claims the shape {shape!s:.40}, but a matrix has rows and columns")
    if shape is not None and int(shape[1 if _by_columns(group) else 0]) != group["indptr"].shape[0] - 1:
        raise ValueError(f"its {group.name} claims the shape {tuple(map(int, shape))}, but has other row pointers")


def _extents(dataset: h5py.Dataset) -> list[tuple[int, int]]:
    """Where in the file the values of a data set lie: first byte, number of bytes."""
    found: list[tuple[int, int]] = []
    if dataset.chunks is not None:
        # returns at the first answer that is not None
        dataset.id.chunk_iter(lambda chunk: found.append((chunk.byte_offset, chunk.size)))
    elif dataset.id.get_offset() is not None:
        found.append((dataset.id.get_offset(), dataset.id.get_storage_size()))
    return found


def _check_heaps(path: Path, values: list[tuple[int, int]]) -> None:
    """Refuse damaged heaps of strings, at whose entries without a size the HDF5 library loops for ever.

    They are looked for wherever no data set has its values.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = 0
        for first, length in [*sorted(values), (len(content), 0)]:
            place = content.find(_HEAP, start, first)
            while place >= 0:
                end = min(place + int.from_bytes(content[place + 8 : place + 16], "little"), first)
                _check_heap(content[place:end], place)
                place = content.find(_HEAP, place + 1, first)
            start = max(start, first + length)


def _check_heap(heap: bytes, place: int) -> None:
    entry = 16
    while entry + 16 <= len(heap):
        number = int.from_bytes(heap[entry : entry + 2], "little")
        length = int.from_bytes(heap[entry + 8 : entry + 16], "little")
        # entry 0 is what is free, its own head included
        step = length if number == 0 else 16 + -(-length // 8) * 8
        if step == 0:
            raise ValueError(f"its heap of strings at byte {place} is damaged at entry {entry}")
        entry += step


def _check_link(group: h5py.Group, name: str, place: str) -> None:
    # asked of the library itself: h5py has no word for links of unknown kinds
    kind = group.id.links.get_info(name.encode("utf-8", "surrogateescape")).type
    if kind not in (h5py.h5l.TYPE_HARD, h5py.h5l.TYPE_SOFT):
        raise ValueError(f"its {place} is a link into another file; copy what it links to into the file (h5repack)")


def _check_dataset(dataset: h5py.Dataset, place: str, extents: list[tuple[int, int]]) -> None:
    properties = dataset.id.get_create_plist()
    if properties.get_external_count() or dataset.is_virtual:
        raise ValueError(f"its {place} keeps its values in other files; copy them into the file (h5repack)")
    if not dataset.shape:
        return
    stored = dataset.id.get_storage_size()
    claimed = _claimed_bytes(dataset.shape, dataset.dtype.itemsize)
    if claimed > _claimable(stored):
        raise ValueError(_bomb(place, dataset.shape, stored))
    if dataset.chunks is None:
        if stored < claimed and stored:
            raise ValueError(f"its {place} is cut off: {stored:,} of {claimed:,} bytes are there")
        return
    chunk = math.prod(dataset.chunks) * dataset.dtype.itemsize
    largest = max((length for _, length in extents), default=0)
    # what is stored in more bytes than it has may unpack to anything
    if largest > 2 * chunk + (1 << 16):
        raise ValueError(f"its {place} stores {largest:,} bytes for {chunk:,} bytes of values")
    chunks = _grid(dataset.shape, dataset.chunks)
    if len(extents) < chunks and _holds_counts(dataset.parent, place.rpartition("/")[2]):
        raise ValueError(_lost(place, len(extents), chunks))


def _check_zarr(path: Path) -> None:
    import zarr

    files = _chunk_files(path)
    group = zarr.open(str(path), mode="r")
    _check_annotated(group)
    claimed = 0
    for array in _zarr_arrays(group):
        place = f"/{array.path}"
        unknown = sorted(_codecs(array.metadata.to_dict()) - _CODECS)
        if unknown:
            raise ValueError(f"its {place} asks for the decoder {unknown[0]!r:.40}, which is not among those trusted")
        own = files.get(array.path, [])
        size = _claimed_bytes(array.shape, array.dtype.itemsize or 1)
        _check_claim(size, own, place, array.shape)
        claimed += size
        grid = _grid(array.shape, getattr(array, "shards", None) or array.chunks)
        parent, _, name = array.path.rpartition("/")
        above = group[parent] if parent else group
        if name in _SPARSE_PARTS and _holds_counts(above, name):
            # beyond the end may lie what was there before the array was cut
            places = (int(file.name.removeprefix("c.")) for file in own)
            found = sum(place < grid for place in places)
            if found < grid:
                raise ValueError(_lost(place, found, grid))
        if name == "indptr":
            _check_shape(above)
    _check_claim(claimed, [file for own in files.values() for file in own], "", "of all its arrays")


def _check_claim(claimed: int, files: list[os.DirEntry[str]], place: str, shape: object) -> None:
    """Refuse what claims more than its files may hold; as few of them are asked for their size as will do."""
    stored = 0
    if claimed > _claimable(stored):
        for file in files:
            stored += file.stat().st_size
            if claimed <= _claimable(stored):
                return
        raise ValueError(_bomb(place, shape, stored))


def _chunk_files(path: Path) -> dict[str, list[os.DirEntry[str]]]:
    """List the files of a zarr store that hold values, by the path of their array."""
    found: dict[str, list[os.DirEntry[str]]] = {}
    folders = [(str(path), "", "")]
    while folders:
        folder, place, owner = folders.pop()
        with os.scandir(folder) as listed:
            entries = list(listed)
        names = {entry.name for entry in entries}
        if not names.isdisjoint((".zarray", "zarr.json")):
            owner = place
        for entry in entries:
            name = f"{place}/{entry.name}" if place else entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append((entry.path, name, owner))
            elif not entry.is_file(follow_symlinks=False):
                raise ValueError(f"its {name} is a link or no ordinary file; copy the store with cp -rL")
            elif _CHUNK_NAME.fullmatch(entry.name):
                found.setdefault(owner, []).append(entry)
    return found


def _zarr_arrays(group: Any, depth: int = 0) -> Iterator[Any]:  # noqa: ANN401 - zarr's types differ with its version
    if depth > _DEEPEST:
        raise ValueError(f"its groups are nested more than {_DEEPEST} deep at {group.path[:80]!r}")
    if not hasattr(group, "arrays"):
        yield group
        return
    for _, array in group.arrays():
        yield array
    for _, below in group.groups():
        yield from _zarr_arrays(below, depth + 1)


def _holds_counts(group: Any, name: str) -> bool:  # noqa: ANN401 - of h5py or zarr
    """Whether an array is a part of a sparse matrix that may hold something else than zeros.

    Zarr leaves out chunks of zeros. Of a matrix without values, or of the indices of one row or column, nothing else is
    there to be lost.
    """
    if name not in _SPARSE_PARTS or not all(part in group for part in _SPARSE_PARTS) or group["data"].shape == (0,):
        return False
    shape = group.attrs.get("shape", group.attrs.get("h5sparse_shape"))
    if name != "indices" or shape is None:
        return True
    return int(shape[0 if _by_columns(group) else 1]) > 1


def _by_columns(group: Any) -> bool:  # noqa: ANN401 - of h5py or zarr
    return str(group.attrs.get("encoding-type", group.attrs.get("h5sparse_format", ""))).startswith("csc")


def _codecs(described: Mapping[str, Any]) -> set[str]:
    """Names of all decoders that the metadata of an array asks for."""
    found: set[str] = set()
    for kind in ("compressor", "filters", "codecs", "index_codecs"):
        entries = described.get(kind) or ()
        for codec in (entries,) if isinstance(entries, dict) else entries:
            found.add(str(codec.get("id", codec.get("name"))).removeprefix("numcodecs."))
            found |= _codecs(codec.get("configuration") or {})
    return found


def _claimed_bytes(shape: tuple[int, ...] | None, itemsize: int) -> int:
    return math.prod(shape) * itemsize if shape else itemsize


def _grid(shape: tuple[int, ...], chunks: tuple[int, ...]) -> int:
    return math.prod(-(-length // chunk) for length, chunk in zip(shape, chunks, strict=True))


def _bomb(place: str, shape: object, stored: int) -> str:
    return f"its {place} claims the shape {shape}, for which {stored:,} stored bytes are too few"


def _lost(place: str, found: int, chunks: int) -> str:
    return (
        f"its {place} has lost {chunks - found} of {chunks} chunks; get the data anew, or if zarr left out zeros "
        f"write it with zarr.config.set({{'array.write_empty_chunks': True}})"
    )
